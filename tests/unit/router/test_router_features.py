"""Reading the head of a request."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.errors import RequestRefusedError
from router.features import chain_for
from router.prefix_chain import chain_of
from router.request_head import ROUTES, RequestHead, parse_request_head
from router.types import PolicyName

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)
FIELDS = (
    "stream", "messages", "prompt", "input", "system", "instructions", "tools", "max_tokens", "max_output_tokens",
    "max_completion_tokens", "user", "prompt_cache_key",
)  # fmt: skip


@settings(max_examples=50)
@given(model=st.text(min_size=1), stream=st.booleans(), rest=st.dictionaries(st.text(), _JSON, max_size=4))
def test_head_is_read_whatever_else_the_body_holds(model: str, stream: bool, rest: dict[str, Any]) -> None:
    body = json.dumps(rest | {"model": model, "stream": stream}).encode("utf-8", "surrogatepass")
    head = parse_request_head(body)
    assert (head.model, head.stream) == (model, stream)


@settings(max_examples=50)
@given(rest=st.dictionaries(st.sampled_from(FIELDS), _JSON, max_size=6))
def test_head_of_what_generates_is_read_whatever_its_fields_hold(rest: dict[str, Any]) -> None:
    """What is wrong in them is the engine's to say."""
    head = parse_request_head(json.dumps(rest | {"model": "m"}).encode("utf-8", "surrogatepass"), generates=True)
    assert head.model == "m"
    assert head.max_tokens is None or head.max_tokens > 0


def head_of(**fields: Any) -> RequestHead:
    return parse_request_head(json.dumps({"model": "m"} | fields).encode(), generates=True)


HELLO = "hello " * 100
"""Long enough for a block."""
CHAT = [{"role": "user", "content": HELLO}]
WRITTEN = json.dumps(CHAT).encode()[:-1]


@pytest.mark.parametrize(
    ("fields", "prompt"),
    [
        ({"messages": CHAT}, WRITTEN),
        ({"messages": CHAT, "tools": [{"name": "f"}]}, b'[{"name": "f"}]' + WRITTEN),
        ({"messages": CHAT, "system": "brief"}, b'"brief"' + WRITTEN),
        ({"input": CHAT, "instructions": "brief"}, b'"brief"' + WRITTEN),
        ({"input": HELLO}, b'"' + HELLO.encode()),
    ],
    ids=["chat", "tools", "anthropic", "responses", "responses text"],
)
def test_prompt_of_every_api_is_what_stands_there_but_for_its_end(fields: Any, prompt: bytes) -> None:
    head = head_of(**fields)
    assert head.prompt == prompt
    assert head.opening


def test_prompt_of_completions_is_no_conversation() -> None:
    head = head_of(prompt="once upon" * 100)
    assert (head.prompt, head.opening) == (b'"' + b"once upon" * 100, b"")


def test_body_shorter_than_a_block_counts_as_it_is() -> None:
    body = b'{"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 5}'
    head = parse_request_head(body, generates=True)
    assert (head.prompt, head.max_tokens) == (body, 5)
    assert chain_for(PolicyName.PREFIX_AWARE, head.prompt).hashes == ()


def test_prompt_is_not_read_where_nothing_is_generated() -> None:
    head = parse_request_head(b'{"model": "m", "input": "text", "user": "u"}')
    assert (head.model, head.prompt, head.session) == ("m", b"", b"")


@pytest.mark.parametrize(
    ("fields", "most"),
    [
        ({}, None),
        ({"max_tokens": 5}, 5),
        ({"max_completion_tokens": 6}, 6),
        ({"max_output_tokens": 7}, 7),
        ({"max_tokens": 5, "max_completion_tokens": 6}, 6),
        *(({"max_tokens": wrong}, None) for wrong in (0, -1, 2.5, "5", True, None, [5])),
    ],
    ids=str,
)
def test_most_tokens_are_read_in_every_apis_word(fields: dict[str, Any], most: int | None) -> None:
    assert head_of(**fields).max_tokens == most


@pytest.mark.parametrize(
    ("fields", "session"),
    [
        ({}, b""),
        ({"user": "u"}, b"u"),
        ({"prompt_cache_key": "k", "user": "u"}, b"k"),
        ({"user": 5}, b""),
    ],
    ids=str,
)
def test_session_is_what_the_client_says_to_be_the_same(fields: dict[str, Any], session: bytes) -> None:
    assert head_of(**fields).session == session


@pytest.mark.parametrize("policy", PolicyName)
def test_only_the_policy_that_looks_at_prompts_pays_for_hashes(policy: PolicyName) -> None:
    text = b"x" * 5000
    chain = chain_for(policy, text)
    assert chain.size_bytes == 5000
    assert chain.hashes == (chain_of(text).hashes if policy is PolicyName.PREFIX_AWARE else ())


def test_body_of_any_depth_is_read_or_refused() -> None:
    for depth in range(900, 1100):
        part = b'{"type":"x","y":' + b"[" * depth + b"]" * depth + b"}"
        body = b'{"model":"m","messages":[{"role":"user","content":[' + part + b"]}]}"
        with suppress(RequestRefusedError):
            parse_request_head(body, generates=True)


@pytest.mark.parametrize("stream", [None, 1, "true", {}])
def test_stream_is_false_unless_it_is_true(stream: object) -> None:
    assert parse_request_head(json.dumps({"model": "m", "stream": stream}).encode()).stream is False


@pytest.mark.parametrize("body", [b"", b"{", b'{"model": "m"', b"\xff\xfe", b"{'model': 'm'}", b"[" * 100_000])
def test_body_is_refused_when_it_is_not_json(body: bytes) -> None:
    with pytest.raises(RequestRefusedError) as refused:
        parse_request_head(body)
    assert (refused.value.refusal.status, refused.value.refusal.code) == (400, "invalid_json")


@pytest.mark.parametrize("body", [b"[]", b"1", b'"model"', b"null"])
def test_body_is_refused_when_it_is_no_object(body: bytes) -> None:
    with pytest.raises(RequestRefusedError) as refused:
        parse_request_head(body)
    assert "object" in refused.value.refusal.message


@pytest.mark.parametrize("body", [b"{}", b'{"model": null}', b'{"model": ""}', b'{"model": 5}', b'{"model": ["m"]}'])
def test_body_is_refused_when_model_is_no_name(body: bytes) -> None:
    with pytest.raises(RequestRefusedError) as refused:
        parse_request_head(body)
    assert (refused.value.refusal.code, refused.value.refusal.param) == ("invalid_model", "model")


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    with suppress(RequestRefusedError):
        assert parse_request_head(body).model


@pytest.mark.parametrize(
    "path", [b"/v1/load_lora_adapter", b"/start_profile", b"/sleep", b"/collective_rpc", b"/metrics"]
)
def test_management_paths_of_an_engine_are_not_carried(path: bytes) -> None:
    assert path not in ROUTES
