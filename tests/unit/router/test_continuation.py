"""Which requests may be continued, and what a continuation asks for."""

import json
from typing import Any

import pytest

from router.continuation import (
    LONGEST_BODY_BYTES,
    Continuable,
    Finish,
    GiveUp,
    Ineligible,
    Resume,
    continuation_request,
    eligible,
)
from router.sent_tokens import SentTokens
from tests.unit.router.vllm_streams import (
    DONE,
    HEAD,
    chat_event,
    event,
    role_event,
    text_event,
    usage_event,
)

CHAT, COMPLETIONS = b"/v1/chat/completions", b"/v1/completions"
MESSAGES = [{"role": "user", "content": "Hello?"}]
PROMPT = [1, 2, 3]


def _judge(path: bytes = CHAT, **fields: Any) -> tuple[Continuable, bytes] | Ineligible:
    asked: dict[str, Any] = {"messages": MESSAGES} if path == CHAT else {"prompt": "Hello?"}
    return eligible(path, json.dumps({"model": "m", "stream": True, **asked, **fields}).encode())


def _request(path: bytes = CHAT, /, **fields: Any) -> Continuable:
    found = _judge(path, **fields)
    assert isinstance(found, tuple)
    return found[0]


def _after(request: Continuable, *events: bytes) -> SentTokens:
    sent = SentTokens(request)
    for data in events:
        sent.pass_on(data)
    return sent


def _asked(request: Continuable, sent: SentTokens, context_tokens: int | None = 100) -> dict[str, Any]:
    step = continuation_request(request, sent, context_tokens)
    assert isinstance(step, Resume)
    assert step.path == COMPLETIONS
    asked: dict[str, Any] = json.loads(step.body)
    return asked


# --- who is eligible ---

PART = {"type": "text", "text": 'an "image_url"'}
IMAGE = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"temperature": 0.7, "top_p": 0.9, "top_k": 20, "min_p": 0.1, "seed": 5, "repetition_penalty": 1.1},
        {
            "n": 1,
            "best_of": None,
            "logprobs": False,
            "top_logprobs": 0,
            "presence_penalty": 0,
            "frequency_penalty": 0.0,
        },
        {"stop": None, "tools": None, "tool_choice": "none", "response_format": {"type": "text"}, "bad_words": []},
        {"stop": [], "logit_bias": {"5": 1}, "allowed_token_ids": [1], "ignore_eos": True, "min_tokens": 5},
        {"user": "u", "metadata": {"a": "b"}, "store": False, "cache_salt": "s", "request_id": "r", "priority": 0},
        {"stream_options": {"include_usage": True, "continuous_usage_stats": True}, "return_token_ids": True},
        {"chat_template_kwargs": {"enable_thinking": False}, "reasoning_effort": "low", "add_generation_prompt": True},
        {"messages": [{"role": "system", "content": [PART]}, {"role": "assistant", "content": None}, *MESSAGES]},
        {"messages": [{"role": "assistant", "tool_calls": [{"id": "1"}]}, {"role": "tool", "content": "x"}]},
        {"max_tokens": 5, "max_completion_tokens": 6, "skip_special_tokens": False, "stop_token_ids": [7]},
    ],
)
def test_chat_is_eligible_with_what_a_continuation_can_honour(fields: dict[str, Any]) -> None:
    assert isinstance(_judge(**fields), tuple)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"stream": False}, "not_streamed"),
        ({"stream": None}, "not_streamed"),
        ({"n": 2}, "setting"),
        ({"best_of": 2}, "setting"),
        ({"tools": [{"type": "function"}]}, "field"),
        ({"tool_choice": "auto"}, "field"),
        ({"functions": []}, "field"),
        ({"response_format": {"type": "json_object"}}, "field"),
        ({"structured_outputs": {"regex": "a"}}, "field"),
        ({"guided_json": {}}, "field"),
        ({"logprobs": True}, "setting"),
        ({"top_logprobs": 2}, "setting"),
        ({"prompt_logprobs": 0}, "field"),
        ({"echo": True}, "setting"),
        ({"stop": "x"}, "setting"),
        ({"stop": ["x"]}, "setting"),
        ({"presence_penalty": 0.1}, "setting"),
        ({"frequency_penalty": -0.1}, "setting"),
        ({"bad_words": ["x"]}, "setting"),
        ({"use_beam_search": True}, "setting"),
        ({"spaces_between_special_tokens": False}, "setting"),
        ({"include_reasoning": False}, "setting"),
        ({"thinking_token_budget": 10}, "field"),
        ({"repetition_detection": {"max_pattern_size": 3}}, "field"),
        ({"truncate_prompt_tokens": 10}, "field"),
        ({"kv_transfer_params": {}}, "field"),
        ({"vllm_xargs": {"a": 1}}, "field"),
        ({"return_token_ids": False}, "setting"),
        ({"return_token_ids": None}, "setting"),
        ({"messages": [{"role": "user", "content": [PART, IMAGE]}]}, "field"),
        ({"messages": [{"role": "user", "content": {"type": "text"}}]}, "field"),
        ({"messages": "Hello?"}, "field"),
        ({"a_field_of_tomorrow": 1}, "field"),
        ({"metadata": {"long": "x" * LONGEST_BODY_BYTES}}, "too_long"),
    ],
)
def test_chat_is_not_eligible_with_anything_else(fields: dict[str, Any], reason: str) -> None:
    assert _judge(**fields) == Ineligible(reason)


@pytest.mark.parametrize(
    ("prompt", "eligible_"),
    [
        ("text", True),
        ([1, 2], True),
        (["text"], True),
        ([[1, 2]], True),
        (["a", "b"], False),
        ([[1], [2]], False),
        ([], False),
        (None, False),
    ],
)
def test_completion_is_eligible_with_one_prompt(prompt: Any, eligible_: bool) -> None:
    assert isinstance(_judge(COMPLETIONS, prompt=prompt), tuple) is eligible_


@pytest.mark.parametrize("fields", [{"suffix": "x"}, {"echo": True}, {"logprobs": 0}, {"prompt_embeds": "AA=="}])
def test_completion_is_not_eligible_with_more_than_text_after_a_prompt(fields: dict[str, Any]) -> None:
    assert isinstance(_judge(COMPLETIONS, **fields), Ineligible)


@pytest.mark.parametrize("path", [b"/v1/responses", b"/v1/messages", b"/v1/embeddings"])
def test_no_other_path_is_eligible(path: bytes) -> None:
    assert eligible(path, b'{"model":"m","stream":true}') == Ineligible("path")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"model":"m","stream":true', b"\xff"])
def test_malformed_body_is_not_eligible(body: bytes) -> None:
    assert eligible(CHAT, body) == Ineligible("field")


def test_ids_are_asked_for_in_front_of_what_the_client_sent() -> None:
    body = b' { "model":"m", "stream":true,\n "messages":[{"role":"user","content":"{"}]}'
    found = eligible(CHAT, bytearray(body))
    assert isinstance(found, tuple)
    assert found[1] == b' {"return_token_ids":true,' + body[2:]


def test_ids_are_not_asked_for_twice_when_the_client_does() -> None:
    found = _judge(return_token_ids=True)
    assert isinstance(found, tuple)
    assert found[0].wants_token_ids
    assert found[1].count(b"return_token_ids") == 1


# --- what the next replica is asked ---


def test_continuation_asks_for_the_rest_with_the_clients_settings() -> None:
    carried: dict[str, Any] = {
        "temperature": 0.5,
        "seed": 3,
        "cache_salt": "s",
        "logit_bias": {"5": -1.5},
        "stop_token_ids": [9],
    }
    request = _request(**carried, user="u", max_tokens=7, min_tokens=4, presence_penalty=0.0)
    sent = _after(request, role_event(PROMPT), chat_event("a", [10]), chat_event("b", [11]))
    assert _asked(request, sent) == {
        "model": "m",
        "prompt": [*PROMPT, 10, 11],
        **carried,
        "presence_penalty": 0,
        "max_tokens": 5,
        "min_tokens": 2,
        "stream": True,
        "return_token_ids": True,
    }


@pytest.mark.parametrize(
    ("path", "fields", "context_tokens", "left"),
    [
        (CHAT, {"max_tokens": 50}, 100, 49),
        (CHAT, {"max_tokens": 50, "max_completion_tokens": 20}, 100, 19),
        (CHAT, {"max_tokens": 50}, None, 49),
        (CHAT, {"max_tokens": 500}, 100, 96),
        (CHAT, {}, 100, 96),
        (COMPLETIONS, {}, 100, 15),
        (COMPLETIONS, {"max_tokens": None}, None, 15),
    ],
)
def test_continuation_may_use_what_is_left_of_the_budget(
    path: bytes, fields: dict[str, Any], context_tokens: int | None, left: int
) -> None:
    request = _request(path, **fields)
    first = [role_event(PROMPT), chat_event("a", [10])] if path == CHAT else [text_event("a", [10], prompt=PROMPT)]
    assert _asked(request, _after(request, *first), context_tokens)["max_tokens"] == left


def test_tokens_without_text_are_generated_again() -> None:
    request = _request()
    sent = _after(request, role_event(PROMPT), chat_event("a", [10]), chat_event("", [11]), chat_event("", [12]))
    assert _asked(request, sent)["prompt"] == [*PROMPT, 10]
    assert sent.output_tokens == 1


def test_chunk_of_several_tokens_is_generated_again_unless_its_last_is_known_to_be_whole() -> None:
    request = _request()
    events = [role_event(PROMPT), chat_event(" a", [10]), chat_event("b c", [11, 12, 13])]
    assert _asked(request, _after(request, *events))["prompt"] == [*PROMPT, 10]
    events = [*events[:2], chat_event("b c a", [11, 12, 10])]
    assert _asked(request, _after(request, *events))["prompt"] == [*PROMPT, 10, 11, 12, 10]


def test_token_that_only_ended_a_character_is_not_known_to_be_whole() -> None:
    request = _request()
    # 20 and 21 are the halves of a character; 21 made text, but not by itself.
    events = [role_event(PROMPT), chat_event("", [20]), chat_event("é", [21]), chat_event("a", [30, 21])]
    assert _asked(request, _after(request, *events))["prompt"] == [*PROMPT, 20, 21]


def test_nothing_has_reached_the_client_when_only_the_role_came() -> None:
    request = _request()
    sent = SentTokens(request)
    assert sent.pass_on(role_event(PROMPT)) == b""
    assert continuation_request(request, sent, 100) == GiveUp("nothing_sent")
    assert sent.pass_on(chat_event("a", [10])) == role_event() + chat_event("a")


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        ([chat_event("a", [10])], "no_prompt_ids"),
        ([role_event(PROMPT), chat_event("a")], "no_token_ids"),
        ([role_event(PROMPT), b"data: {broken\n\n"], "malformed"),
        ([role_event(PROMPT), event({**HEAD, "choices": [{"index": 0, "delta": {"reasoning": "r"}}]})], "parsed"),
        ([role_event(PROMPT), event({**HEAD, "choices": [{"index": 0, "delta": {}, "token_ids": [1]}]})], "parsed"),
        ([role_event(PROMPT), chat_event("a" * 70_000, [10, 11])], "too_far_ahead"),
        ([role_event(PROMPT), event({"error": {"message": "m", "code": 400}})], "refused"),
    ],
)
def test_stream_is_given_up_when_its_tokens_do_not_say_what_was_sent(events: list[bytes], reason: str) -> None:
    request = _request()
    assert continuation_request(request, _after(request, *events), 100) == GiveUp(reason)


def test_stream_is_given_up_when_its_continuation_has_diverged() -> None:
    request = _request()
    sent = _after(request, role_event(PROMPT), chat_event("a", [10]), chat_event("bc", [11, 12]))
    assert _asked(request, sent)["prompt"] == [*PROMPT, 10]
    sent.pass_on(text_event("x", [13], "stop"))
    assert continuation_request(request, sent, 100) == GiveUp("diverged")


def test_stream_is_given_up_when_neither_client_nor_model_sets_a_limit() -> None:
    request = _request()
    sent = _after(request, role_event(PROMPT), chat_event("a", [10]))
    assert continuation_request(request, sent, None) == GiveUp("unknown_context")


# --- what is still to be said ---


@pytest.mark.parametrize(
    ("options", "passed", "missing"),
    [
        ({}, [], DONE),
        ({"include_usage": True}, [], usage_event(3, 2) + DONE),
        ({"include_usage": True}, [usage_event(3, 2)], DONE),
        ({"include_usage": True}, [usage_event(3, 2), DONE], b""),
    ],
)
def test_finished_stream_is_closed_without_another_replica(
    options: dict[str, Any], passed: list[bytes], missing: bytes
) -> None:
    request = _request(stream_options=options)
    sent = _after(request, role_event(PROMPT), chat_event("a", [10]), chat_event("b", [0], "stop"), *passed)
    assert continuation_request(request, sent, 100) == Finish(missing)


def test_stream_is_closed_with_length_when_its_budget_is_used_up() -> None:
    request = _request(max_tokens=2, stream_options={"include_usage": True})
    sent = _after(request, role_event(PROMPT), chat_event("a", [10]), chat_event("b", [11]))
    closed = chat_event("", None, "length") + usage_event(3, 2) + DONE
    assert continuation_request(request, sent, 100) == Finish(closed)
