"""A stream that loses its replicas is, to its client, the stream that it would have been."""

import itertools
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from router.continuation import Continuable, Finish, Resume, continuation_request, eligible
from router.sent_tokens import SentTokens
from tests.unit.router.vllm_streams import END, VOCABULARY, WORDS, answer_events, tokens

PROMPT = tokens("<user>Hé?<assistant>")
_texts = st.text(min_size=1, max_size=4).map(tokens)
_bytes = st.integers(1, 256).map(lambda token: [token])
_words = st.sampled_from(WORDS).map(lambda token: [token])
answers = st.lists(_texts | _words | _bytes, min_size=1, max_size=12).map(lambda parts: [*itertools.chain(*parts), END])
chunk_sizes = st.lists(st.sampled_from([1, 1, 1, 2, 3]), min_size=1, max_size=8)
forms = st.booleans()
"""Each example runs several streams."""


def _continuable(*, chat: bool, wants_token_ids: bool = False, max_tokens: int | None = 1000) -> Continuable:
    members = b'"model":"tiny","temperature":0'
    return Continuable(
        chat=chat,
        include_usage=True,
        wants_token_ids=wants_token_ids,
        members=members,
        max_tokens=max_tokens,
        min_tokens=0,
    )


def _read(stream: bytes) -> dict[str, Any]:
    """What a client makes of a whole stream."""
    text = ""
    ids: list[int] = []
    finish: list[str] = []
    usage: list[dict[str, int]] = []
    events = stream.split(b"\n\n")
    assert events[-2:] == [b"data: [DONE]", b""]
    chunks = [json.loads(event[6:]) for event in events[:-2]]
    for chunk in chunks:
        for choice in chunk["choices"]:
            text += choice["delta"]["content"] if "delta" in choice else choice["text"]
            ids += choice.get("token_ids") or []
            finish += [choice["finish_reason"]] if choice["finish_reason"] else []
        usage += [chunk["usage"]] if "usage" in chunk else []
    names = {(chunk["id"], chunk["object"], chunk["created"], chunk["model"]) for chunk in chunks}
    return {"text": text, "ids": ids, "finish": finish, "usage": usage, "names": names}


def _continue(body: bytes, answer: Sequence[int], sizes: Iterator[int]) -> list[bytes]:
    """The events of the greedy engine that would have answered `PROMPT` with `answer`."""
    asked = json.loads(body)
    made = asked["prompt"][len(PROMPT) :]
    assert asked["prompt"] == [*PROMPT, *answer[: len(made)]]
    rest = answer[len(made) :]
    return list(answer_events(asked["prompt"], rest, sizes, chat=False, limit=asked["max_tokens"]))


def _stream_with_losses(
    request: Continuable, answer: Sequence[int], sizes: Iterator[int], losses: Sequence[int], limit: int | None = None
) -> bytes:
    """What the client gets when after so many events of each replica the replica is lost."""
    events = list(answer_events(PROMPT, answer, sizes, chat=request.chat, limit=limit))
    sent, got = SentTokens(request), b""
    for loss in losses:
        got += b"".join(sent.pass_on(event) for event in events[:loss])
        if not sent.began:
            return _stream_with_losses(request, answer, sizes, losses[1:], limit)
        step = continuation_request(request, sent, context_tokens=None)
        if isinstance(step, Finish):
            return got + step.events
        assert isinstance(step, Resume)
        events = _continue(step.body, answer, sizes)
    return got + b"".join(sent.pass_on(event) for event in events)


@given(answer=answers, sizes=chunk_sizes, chat=forms, ids=forms, losses=st.lists(st.integers(0, 30), max_size=3))
def test_stream_is_the_undisturbed_one_whenever_its_replicas_are_lost(
    answer: list[int], sizes: list[int], chat: bool, ids: bool, losses: list[int]
) -> None:
    request = _continuable(chat=chat, wants_token_ids=ids)
    undisturbed = b"".join(answer_events(PROMPT, answer, itertools.repeat(1), chat=chat, ids=ids))
    got = _stream_with_losses(request, answer, itertools.cycle(sizes), losses)
    assert _read(got) == _read(undisturbed)


@given(answer=answers, sizes=chunk_sizes, losses=st.lists(st.integers(0, 30), max_size=3), limit=st.integers(1, 12))
def test_stream_ends_at_the_clients_limit_whenever_its_replicas_are_lost(
    answer: list[int], sizes: list[int], losses: list[int], limit: int
) -> None:
    request = _continuable(chat=True, max_tokens=limit)
    undisturbed = b"".join(answer_events(PROMPT, answer, itertools.repeat(1), chat=True, ids=False, limit=limit))
    got = _stream_with_losses(request, answer, itertools.cycle(sizes), losses, limit)
    assert _read(got) == _read(undisturbed)


@given(answer=answers, sizes=chunk_sizes, chat=forms, ids=forms, runs=chunk_sizes)
def test_client_gets_the_very_bytes_it_would_get_without_us(
    answer: list[int], sizes: list[int], chat: bool, ids: bool, runs: list[int]
) -> None:
    sent = SentTokens(_continuable(chat=chat, wants_token_ids=ids))
    events = list(answer_events(PROMPT, answer, itertools.cycle(sizes), chat=chat))
    got, at = b"", 0
    for size in itertools.cycle(runs):
        got += sent.pass_on(b"".join(events[at : at + size]))
        at += size
        if at >= len(events):
            break
    assert got == b"".join(answer_events(PROMPT, answer, itertools.cycle(sizes), chat=chat, ids=ids))
    assert sent.done
    assert sent.output_tokens == len(answer)
    assert sent.prompt_tokens == len(PROMPT)
    assert sent.text == _read(got)["text"]


@given(answer=answers, chat=forms)
def test_watched_stream_is_not_touched_and_its_text_is_kept(answer: list[int], chat: bool) -> None:
    sent = SentTokens()
    stream = b"".join(answer_events(PROMPT, answer, itertools.repeat(1), chat=chat, ids=False))
    assert sent.pass_on(stream) == stream
    assert sent.text == _read(stream)["text"]
    assert sent.usage is not None
    assert sent.usage.completion_tokens == len(answer)
    assert sent.done


@given(events=st.lists(st.binary(max_size=40) | st.binary(max_size=40).map(lambda data: b"data: {" + data)))
def test_any_bytes_are_passed_on(events: list[bytes]) -> None:
    data = b"".join(event.replace(b"\r", b"").replace(b"\n\n", b"") + b"\n\n" for event in events)
    assert SentTokens().pass_on(data) == data
    sent = SentTokens(_continuable(chat=True))
    got = sent.pass_on(data)
    assert data.startswith(got)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)
_FIELDS = st.sampled_from(
    ["temperature", "stop", "n", "max_tokens", "min_tokens", "tools", "stream_options", "metadata", "seed", "odd"]
)


@given(rest=st.dictionaries(_FIELDS, _JSON), prompt=_JSON, chat=forms, indent=st.sampled_from([None, 2]))
def test_body_sent_is_the_clients_and_asks_for_ids(
    rest: dict[str, Any], prompt: Any, chat: bool, indent: int | None
) -> None:
    path = b"/v1/chat/completions" if chat else b"/v1/completions"
    asked = {"model": "m", "stream": True, "messages" if chat else "prompt": prompt, **rest}
    found = eligible(path, json.dumps(asked, indent=indent).encode())
    if isinstance(found, tuple):
        assert json.loads(found[1]) == {**asked, "return_token_ids": True}
        assert json.loads(b"{%b}" % found[0].members)["model"] == "m"


@given(st.binary(max_size=200), forms)
def test_any_body_is_judged(body: bytes, chat: bool) -> None:
    with suppress(StopIteration):
        eligible(b"/v1/chat/completions" if chat else b"/v1/completions", b"{" + body + b"}")


def test_vocabulary_has_halves_of_characters() -> None:
    assert "😀".encode()[2:] in VOCABULARY
