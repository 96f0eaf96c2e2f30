"""Reading the head of a request."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.errors import RequestRefusedError
from router.features import ROUTES, RequestHead, parse_request_head

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(model=st.text(min_size=1), stream=st.booleans(), rest=st.dictionaries(st.text(), _JSON, max_size=4))
def test_head_is_read_whatever_else_the_body_holds(model: str, stream: bool, rest: dict[str, Any]) -> None:
    body = json.dumps(rest | {"model": model, "stream": stream}).encode("utf-8", "surrogatepass")
    assert parse_request_head(body) == RequestHead(model, stream)


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
