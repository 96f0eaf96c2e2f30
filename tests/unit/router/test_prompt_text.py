"""The text of prompts, and what an answer adds to it."""

import json
from typing import Any

import pytest

from router.prefix_chain import CUTS, chain_of
from router.prompt_text import answered
from tests.unit.router.fakes import COMPACT, read

CHAT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "What is a roundhouse?"},
    {"role": "assistant", "content": "A shed for engines."},
    {"role": "user", "content": "Why is it round?"},
]
MARK = {"cache_control": {"type": "ephemeral"}}


def text_of(way: dict[str, Any] | None = None, **fields: Any) -> bytes:
    return read(way, **fields)[0]


@pytest.mark.parametrize("way", [COMPACT, {}, {"indent": 2}], ids=["compact", "spaced", "indented"])
@pytest.mark.parametrize("field", ["messages", "input"])
def test_prompt_begins_with_the_one_before_it_however_its_client_writes(field: str, way: dict[str, Any]) -> None:
    assert text_of(way, **{field: CHAT}).startswith(text_of(way, **{field: CHAT[:2]}))


@pytest.mark.parametrize("text", ["A shed.", '"quoted"\n', "模型 é", "\x01\u2028"])
@pytest.mark.parametrize("way", [COMPACT, {}], ids=["compact", "spaced"])
@pytest.mark.parametrize("content_first", [False, True])
def test_prompt_begins_with_the_one_before_it_and_its_answer(
    way: dict[str, Any], content_first: bool, text: str
) -> None:
    answer = {"role": "assistant", "content": text}
    chat = [
        {"content": each["content"], "role": each["role"]} if content_first else each for each in [*CHAT[:2], answer]
    ]
    before = text_of(way, messages=chat[:2])
    assert text_of(way, messages=chat) == before + answered(read(way, messages=chat)[1], text)


@pytest.mark.parametrize(
    ("fields", "way"),
    [
        ({"messages": CHAT}, {"indent": 2}),
        ({"messages": [{"name": "eve", **CHAT[0]}]}, {}),
        ({"messages": "hello"}, {}),
        ({"messages": {"role": "user"}}, {}),
        ({"input": "hello"}, {}),
        ({"input": [{"type": "message", **CHAT[0]}]}, {}),
    ],
    ids=["indented", "more fields", "text", "one message", "responses text", "responses items"],
)
def test_answer_adds_nothing_where_it_is_not_known_how_it_comes_back(fields: Any, way: dict[str, Any]) -> None:
    assert answered(read(way, **fields)[1], "Because.") == b""


def test_chain_of_the_next_turn_shares_prompt_and_answer() -> None:
    question = {"role": "user", "content": "Tell me all about roundhouses. " * 200}
    answer = "A roundhouse is a shed for engines. " * 300
    before = text_of(messages=[question])
    known = chain_of(before).extended(answered(read(messages=[question])[1], answer))
    again = chain_of(text_of(messages=[question, {"role": "assistant", "content": answer}, *CHAT[1:2]]))
    assert again.hashes[: len(known.hashes)] == known.hashes
    assert CUTS[len(known.hashes) - 1] > 0.9 * (len(question["content"]) + len(answer))


def test_answer_continues_a_prompt_that_is_no_conversation() -> None:
    assert text_of(prompt="once upon a time") == text_of(prompt="once upon") + answered(b"", " a time")
    assert text_of(prompt=[1, 2, 3]).startswith(text_of(prompt=[1, 2]))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([{"role": "user", "content": "ab"}], [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]),
        ([{"role": "user", "content": "a"}], [{"role": "assistant", "content": "a"}]),
        ([{"role": "user", "content": "a"}], "b"),
        (
            [
                {
                    "role": "user",
                    "content": [{"type": "image_url", "image_url": {"url": "data:image/png,A" + "B" * 9**5}}],
                }
            ],
            [
                {
                    "role": "user",
                    "content": [{"type": "image_url", "image_url": {"url": "data:image/png,C" + "B" * 9**5}}],
                }
            ],
        ),
        (
            [{"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": "1"}}]}],
            [{"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": "2"}}]}],
        ),
    ],
    ids=["turns", "roles", "text", "pictures", "tool calls"],
)
def test_prompts_that_differ_have_texts_that_differ(one: Any, other: Any) -> None:
    assert text_of(messages=one) != text_of(messages=other)


@pytest.mark.parametrize("before", [{"tools": [{"name": "weather"}]}, {"system": "Be brief."}, {"instructions": "Be."}])
def test_what_stands_outside_the_messages_comes_before_them(before: dict[str, Any]) -> None:
    assert text_of(messages=CHAT, **before).endswith(text_of(messages=CHAT))
    assert text_of(messages=CHAT, **before) != text_of(messages=CHAT)


@pytest.mark.parametrize("prompt", ["once upon", [1, 2, 3], ["once", " upon"], [[1, 2], [3]]], ids=str)
def test_prompt_of_completions_is_read_as_text_parts_or_ids(prompt: Any) -> None:
    assert text_of(prompt=prompt) == json.dumps(prompt).encode()[:-1]


@pytest.mark.parametrize(
    "messages", [None, 5, {}, [], [None], ["a"], [[]], [{}], [{"role": None, "content": 5}]], ids=str
)
def test_strange_messages_are_borne(messages: Any) -> None:
    assert isinstance(text_of(messages=messages), bytes)


@pytest.mark.parametrize("way", [COMPACT, {}], ids=["compact", "spaced"])
def test_mark_for_a_cache_is_no_text_so_that_it_can_move_on(way: dict[str, Any]) -> None:
    def turns(marked: int, count: int) -> list[dict[str, Any]]:
        parts = [{"type": "text", "text": f"part {number}"} for number in range(count)]
        return [{"role": "user", "content": [part | (MARK if at == marked else {})]} for at, part in enumerate(parts)]

    assert text_of(way, messages=turns(2, 3)).startswith(text_of(way, messages=turns(1, 2)))


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 1_000_000}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "A" * 1_000_000}},
        {"type": "input_audio", "input_audio": {"data": "A" * 1_000_000 + "==", "format": "wav"}},
    ],
    ids=["picture", "anthropic", "sound"],
)
def test_picture_or_sound_is_not_carried_into_the_text_whole(part: dict[str, Any]) -> None:
    assert 4096 < len(text_of(messages=[{"role": "user", "content": [part]}])) < 5000


def test_long_text_is_carried_whole() -> None:
    text = "line of a file\n" * 5000
    assert len(text_of(messages=[{"role": "tool", "content": text}])) > len(text)
