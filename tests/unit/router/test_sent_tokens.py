"""What the client of a stream reads, also once another replica goes on with it."""

import json
from typing import Any

import pytest

from router.sent_tokens import LONGEST_TEXT_BYTES, SentTokens
from router.sse import StreamForm
from tests.unit.router.vllm_streams import (
    DONE,
    HEAD,
    TEXT_HEAD,
    chat_event,
    event,
    role_event,
    text_event,
    usage_event,
    usage_of,
)

PROMPT = [1, 2, 3]
FORM = StreamForm(chat=True, include_usage=False, wants_token_ids=False)
TEXT_FORM = StreamForm(chat=False, include_usage=False, wants_token_ids=False)
IDS_FORM = StreamForm(chat=True, include_usage=False, wants_token_ids=True)
ERROR = event({"error": {"message": "EngineCore encountered an issue.", "type": "InternalServerError", "code": 500}})


def _after(*events: bytes, form: StreamForm = FORM) -> SentTokens:
    sent = SentTokens(form)
    for data in events:
        sent.pass_on(data)
    return sent


def _resumed(*events: bytes, form: StreamForm = FORM) -> SentTokens:
    sent = _after(*events, form=form)
    assert sent.ids_to_the_cut is not None
    sent.rewind()
    return sent


# --- a replica that still writes, but not an answer ---


@pytest.mark.parametrize("bad", [ERROR, chat_event("", [], "abort"), chat_event("half", [12, 13], "abort")])
def test_replicas_failure_is_kept_from_the_client(bad: bytes) -> None:
    sent = _after(role_event(PROMPT))
    assert sent.pass_on(chat_event("a", [10]) + bad + DONE) == role_event() + chat_event("a")
    assert sent.failed is not None
    assert sent.pass_on(DONE) == b""
    assert not sent.done
    assert sent.ids_to_the_cut == b"1,2,3, 10"
    sent.rewind()
    assert sent.failed is None


def test_error_that_is_the_requests_own_is_passed_on() -> None:
    refusal = event({"error": {"message": "too long", "type": "BadRequestError", "code": 400}})
    sent = SentTokens(FORM)
    assert sent.pass_on(refusal) == refusal
    assert sent.failed is None


# --- the continuation as the client reads it ---


def test_continued_chat_goes_on_in_the_form_and_name_of_its_beginning() -> None:
    sent = _resumed(role_event(PROMPT), chat_event("a", [10]))
    other: dict[str, Any] = {"id": "cmpl-2", "created": 9}
    assert sent.pass_on(text_event("b", [11], prompt=[*PROMPT, 10], **other)) == chat_event("b")
    assert sent.pass_on(text_event('"\n', [0], "stop", **other) + DONE) == chat_event('"\n', None, "stop") + DONE
    assert (sent.text, sent.output_tokens, sent.finish_reason) == ('ab"\n', 3, "stop")


def test_continued_completion_goes_on_in_the_form_and_name_of_its_beginning() -> None:
    sent = _resumed(text_event("a", [10], prompt=PROMPT), form=TEXT_FORM)
    assert sent.pass_on(text_event("b", [11], "length", prompt=[*PROMPT, 10])) == text_event("b", None, "length")


def test_usage_of_a_continued_stream_is_that_of_the_whole() -> None:
    sent = _resumed(role_event(PROMPT), chat_event("a", [10]), chat_event("b", [11]))
    sent.pass_on(text_event("c", [12], "stop"))
    told = {**usage_of(5, 1), "prompt_tokens_details": {"cached_tokens": 4}}
    whole = {**usage_of(3, 3), "prompt_tokens_details": {"cached_tokens": 3}}
    got = sent.pass_on(event({**TEXT_HEAD, "choices": [], "usage": told, "system_fingerprint": "f"}))
    assert json.loads(got[6:]) == {**HEAD, "choices": [], "usage": whole, "system_fingerprint": "f"}


def test_usage_in_every_chunk_is_that_of_the_whole_so_far() -> None:
    sent = _resumed(role_event(PROMPT), chat_event("a", [10]))
    assert sent.pass_on(text_event("b", [11], usage=usage_of(4, 1))) == chat_event("b", usage=usage_of(3, 2))


def test_text_that_the_client_has_is_left_out_of_the_continuation() -> None:
    sent = _resumed(role_event(PROMPT), chat_event("a", [10]), chat_event("bcd", [11, 12]))
    assert sent.pass_on(text_event("b", [11])) == b""
    assert sent.ids_to_the_cut == b"1,2,3, 10, 11"
    assert sent.pass_on(text_event("cde", [12, 13])) == chat_event("e")
    assert sent.text == "abcde"


def test_ids_that_the_client_has_are_left_out_of_the_continuation() -> None:
    sent = _resumed(role_event(PROMPT), chat_event("a", [10]), chat_event("", [11]), form=IDS_FORM)
    assert sent.pass_on(text_event("é", [11, 12])) == chat_event("é", [12])


@pytest.mark.parametrize(
    "other", [text_event("x", [21]), text_event("", [0], "stop"), text_event("b", [0], "stop"), text_event("b")]
)
def test_continuation_that_contradicts_what_was_sent_has_diverged(other: bytes) -> None:
    sent = _resumed(role_event(PROMPT), chat_event("a", [10]), chat_event("bc", [11, 12]))
    assert sent.pass_on(other) == b""
    assert sent.failed == "diverged"
    assert sent.ids_to_the_cut is None


# --- streams that are only watched ---


def test_watched_stream_is_counted_and_its_text_is_kept_up_to_a_bound() -> None:
    sent = SentTokens()
    for _ in range(3):
        data = chat_event("x" * LONGEST_TEXT_BYTES)
        assert sent.pass_on(data) == data
    sent.pass_on(chat_event("", None, "stop") + usage_event(5, 9) + DONE)
    assert len(sent.text) == LONGEST_TEXT_BYTES
    assert (sent.output_tokens, sent.finish_reason, sent.done, sent.prompt_tokens) == (3, "stop", True, 5)


def test_watched_stream_of_another_api_passes() -> None:
    data = b'event: message_start\ndata: {"type":"message_start"}\n\n: comment\r\n\r\n'
    assert SentTokens().pass_on(data) == data.replace(b"\r\n", b"\n")
