"""The chain of hashes of a prompt's beginning, and the one form of prompts of all APIs."""

from itertools import pairwise
from time import perf_counter
from typing import Any

import pytest

from router.prefix_chain import CUTS, EMPTY, chain_of, prompt_text, turn
from tests.unit.router.fakes import facts

BLOCK = CUTS[0]
CHAT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "What is a roundhouse?"},
    {"role": "assistant", "content": "A shed for engines."},
    {"role": "user", "content": "Why is it round?"},
]


def parts(text: str, kind: str = "text") -> list[dict[str, str]]:
    return [{"type": kind, "text": text}]


def in_parts(messages: list[dict[str, str]], kind: str = "text") -> list[dict[str, Any]]:
    return [message | {"content": parts(message["content"], kind)} for message in messages]


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": in_parts(CHAT)},
        {"messages": [CHAT[0], *in_parts(CHAT[1:])]},
        {"system": "Be brief.", "messages": CHAT[1:]},
        {"system": parts("Be brief."), "messages": in_parts(CHAT[1:])},
        {"system": [*parts("Be "), *parts("brief.")], "messages": CHAT[1:]},
        {"messages": in_parts(CHAT, "input_text")},
        {"messages": [{"type": "message", **message} for message in in_parts(CHAT, "output_text")]},
    ],
    ids=["parts", "some parts", "anthropic", "anthropic parts", "split part", "responses", "responses items"],
)
def test_conversation_has_one_text_whatever_form_it_comes_in(fields: dict[str, Any]) -> None:
    assert prompt_text(**fields) == prompt_text(messages=CHAT)


def test_responses_input_of_one_string_is_a_user_turn() -> None:
    assert prompt_text(messages="Hello", system="Be brief.") == prompt_text(
        messages=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]
    )


def test_next_turn_begins_with_the_prompt_and_the_answer_that_were() -> None:
    before = prompt_text(messages=CHAT[:2])
    assert prompt_text(messages=CHAT).startswith(before + turn("assistant", CHAT[2]["content"]).encode())


def test_chain_of_the_next_turn_shares_prompt_and_answer() -> None:
    question = {"role": "user", "content": "Tell me all about roundhouses. " * 200}
    answer = "A roundhouse is a shed for engines. " * 300
    known = chain_of(prompt_text(messages=[question])).extended(turn("assistant", answer).encode())
    again = chain_of(prompt_text(messages=[question, {"role": "assistant", "content": answer}, *CHAT[1:2]]))
    assert again.hashes[: len(known.hashes)] == known.hashes
    assert CUTS[len(known.hashes) - 1] > 0.9 * (len(question["content"]) + len(answer))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([{"role": "user", "content": "ab"}], [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]),
        ([{"role": "user", "content": "a"}], [{"role": "assistant", "content": "a"}]),
        ([{"role": "user", "content": "a"}], "b"),
        (
            [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:1"}}]}],
            [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:2"}}]}],
        ),
        (
            [{"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": "1"}}]}],
            [{"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": "2"}}]}],
        ),
        (
            [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": "sunny"}]}],
            [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": "rainy"}]}],
        ),
    ],
    ids=["turns", "roles", "text", "pictures", "tool calls", "tool results"],
)
def test_prompts_that_differ_have_texts_that_differ(one: Any, other: Any) -> None:
    assert prompt_text(messages=one) != prompt_text(messages=other)


@pytest.mark.parametrize("field", ["arguments", "output"])
def test_tool_items_of_the_responses_api_count(field: str) -> None:
    item = {"type": "function_call_output" if field == "output" else "function_call", "call_id": "1"}
    texts = [prompt_text(messages=[*CHAT, item | {field: each}]) for each in ("sunny", "rainy " * 1000)]
    assert texts[0] != texts[1]
    assert len(texts[1]) > 5000


def test_long_tool_result_of_anthropic_counts_in_full() -> None:
    """In agents' conversations tool results are most of the prompt."""
    result = [{"type": "tool_result", "tool_use_id": "1", "content": "line of a file\n" * 5000}]
    assert len(prompt_text(messages=[{"role": "user", "content": result}])) > 70_000


def test_tools_stand_before_the_messages() -> None:
    text = prompt_text(messages=CHAT, tools=[{"name": "weather"}])
    assert text.endswith(prompt_text(messages=CHAT))
    assert text != prompt_text(messages=CHAT, tools=[{"name": "stocks"}])


@pytest.mark.parametrize("prompt", ["once upon", [1, 2, 3], ["once", " upon"]], ids=str)
def test_prompt_of_completions_is_read_as_text_parts_or_ids(prompt: Any) -> None:
    assert prompt_text(prompt=prompt)


def test_prompt_of_several_lists_of_token_ids_is_read() -> None:
    assert prompt_text(prompt=[[1, 2, 3], [4, 5]])


@pytest.mark.parametrize(
    "messages",
    [None, 5, {}, [None], ["a"], [[]], [{}], [{"role": None, "content": 5}], [{"content": [5, None]}]],
    ids=str,
)
def test_strange_messages_are_borne(messages: Any) -> None:
    assert isinstance(prompt_text(messages=messages), bytes)


def test_half_a_surrogate_pair_is_borne() -> None:
    assert prompt_text(messages="\ud800")


def test_picture_is_not_carried_into_the_text_whole() -> None:
    url = "data:image/png;base64," + "A" * 1_000_000
    picture = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]
    assert len(prompt_text(messages=picture)) < 5000


def test_cuts_are_a_block_apart_and_then_at_most_a_tenth() -> None:
    for before, after in pairwise((0, *CUTS)):
        assert after - before == BLOCK or after - before <= before / 10


def test_chain_grows_with_the_logarithm_of_its_text() -> None:
    blocks = [len(chain_of(b"x" * size).hashes) for size in (10_000, 100_000, 1_000_000, 10_000_000)]
    assert all(after - before < 30 for before, after in pairwise(blocks)), "10 ln 10 and rounding"


def test_text_shorter_than_a_block_has_no_hashes() -> None:
    assert chain_of(b"x" * (BLOCK - 1)).hashes == ()
    assert len(chain_of(b"x" * BLOCK).hashes) == 1
    assert facts(EMPTY.extended(b"x" * BLOCK)) == facts(chain_of(b"x" * BLOCK))


def test_same_block_behind_another_beginning_is_another_block() -> None:
    one, other = chain_of(b"a" * BLOCK + b"x" * BLOCK), chain_of(b"b" * BLOCK + b"x" * BLOCK)
    assert not set(one.hashes) & set(other.hashes)


def test_chain_of_a_long_prompt_takes_its_time_in_proportion() -> None:
    """Some 0.7 µs a KiB; a bound that only a quadratic one would break."""
    text = b"x" * 4_000_000
    began = perf_counter()
    chain_of(text)
    assert perf_counter() - began < 0.5
