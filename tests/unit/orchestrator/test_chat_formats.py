"""Chats as files."""

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.chat_formats import file_name, found_snippet, from_openai, title_of, to_openai
from orchestrator.chat_types import ChatHead, ChatText, Message, branch_of, tree_problem

TURN = st.tuples(st.sampled_from(["user", "assistant"]), st.text(min_size=1), st.just(()))


def head_of(title: str = "t") -> ChatHead:
    return ChatHead(id="c", title=title, model="m", created_at=0, updated_at=0, version=1, size_bytes=0)


def imported(messages: list[tuple[str, str, tuple[str, ...]]]) -> ChatText:
    numbers = count()
    return from_openai(messages, "m", 1.0, lambda: f"m{next(numbers)}")


@given(st.lists(TURN))
def test_import_then_export_gives_back_the_messages(turns: list[tuple[str, str, tuple[str, ...]]]) -> None:
    text = imported(turns)
    assert tree_problem(text) is None
    sent = to_openai(head_of(), text)["messages"]
    assert [(each["role"], each["content"]) for each in sent] == [(role, content) for role, content, _ in turns]


def test_import_makes_system_messages_the_system_prompt_and_drops_tools() -> None:
    text = imported([("system", "A", ()), ("user", "q", ()), ("tool", "x", ()), ("developer", "B", ())])
    assert text.settings.system_prompt == "A\n\nB"
    assert [message.content for message in text.messages] == ["q"]


def test_export_of_a_picture_has_parts() -> None:
    text = imported([("user", "see", ("data:image/png;base64,AA==",))])
    (message,) = to_openai(head_of(), text)["messages"]
    assert [part["type"] for part in message["content"]] == ["text", "image_url"]


def test_branch_is_the_way_to_the_leaf() -> None:
    tree = (("q", None), ("a", "q"), ("b", "q"), ("r", "b"))
    messages = tuple(Message(id=name, parent=parent, role="user", content=name) for name, parent in tree)
    assert [each.id for each in branch_of(ChatText(messages=messages, leaf="r"))] == ["q", "b", "r"]


@pytest.mark.parametrize(
    ("title", "name"), [("../a b?", "a-b.md"), ("写作 助手", "写作-助手.md"), ("", "chat.md"), ("\r\n", "chat.md")]
)
def test_file_name_has_letters_and_digits_of_any_script(title: str, name: str) -> None:
    assert file_name(title, "md") == name


def test_title_is_the_first_line_cut() -> None:
    assert title_of("  Hello\nworld") == "Hello"
    assert len(title_of("火" * 80)) == 60


def test_snippet_begins_a_little_before_what_was_found() -> None:
    text = imported([("user", "x" * 100 + " Needle " + "y" * 200, ())])
    snippet = found_snippet(text, "needle")
    assert snippet is not None
    assert snippet.startswith("…x")
    assert 100 < len(snippet) < 130
    assert found_snippet(text, "absent") is None
