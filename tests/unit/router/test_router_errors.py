"""Refusals, headers, failover and settings: what is decided without a socket."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from router import errors
from router.errors import (
    Refusal,
    current_status,
    envelope,
    model_not_found,
    model_not_ready,
    no_replica_left,
    overloaded,
    replica_lost_event,
    waited_too_long,
)
from router.failover import EventTail, refused_by_replica
from router.headers import AnswerHead, header_safe, sane_request_id, session_of, split_request_headers
from router.settings import RouterSettings
from router.types import CatalogEntry, ModelStatus

ENTRY = CatalogEntry(name="m", created=1, status=ModelStatus.READY, detail="loading weights.", retry_after_s=33)


def test_envelope_is_read_by_both_sdks() -> None:
    told = json.loads(envelope(model_not_found("x")))
    assert told["type"] == "error"
    assert set(told["error"]) == {"message", "type", "param", "code"}


def test_every_refusal_says_what_to_do() -> None:
    constants = [value for value in vars(errors).values() if isinstance(value, Refusal)]
    assert len(constants) > 8
    for refusal in constants:
        assert refusal.message.count(".") >= 1
        assert refusal.status in range(400, 600)


def test_long_model_name_is_not_echoed_in_full() -> None:
    assert len(model_not_found("x" * 100_000).message) < 400


def test_model_without_replicas_is_starting_though_the_catalog_says_ready() -> None:
    assert current_status(ENTRY, ready_replicas=0) is ModelStatus.STARTING
    assert current_status(ENTRY, ready_replicas=1) is ModelStatus.READY
    refusal = model_not_ready(ENTRY)
    assert (refusal.code, refusal.retry_after_s) == ("model_starting", 33)
    assert "loading weights. Try again in 33 s" in refusal.message


def test_lost_replica_event_has_the_form_of_its_api() -> None:
    openai = replica_lost_event(anthropic=False)
    assert openai.startswith(b"data: ")
    assert json.loads(openai[6:])["error"]["code"] == "replica_lost"
    anthropic = replica_lost_event(anthropic=True)
    assert anthropic.startswith(b"event: error\ndata: ")
    assert json.loads(anthropic.partition(b"data: ")[2])["type"] == "error"


@pytest.mark.parametrize("reason", ["requests", "tokens", "bytes", "displaced"])
def test_overload_names_model_cause_and_when_to_come_back(reason: str) -> None:
    refusal = overloaded("m", reason, 12.4)
    assert (refusal.status, refusal.kind, refusal.retry_after_s) == (429, "rate_limit_error", 12)
    assert "'m'" in refusal.message
    assert "12 s" in refusal.message
    others = {overloaded("m", each, 12.4).message for each in ("requests", "tokens", "bytes", "displaced")}
    assert len(others) == 4


@pytest.mark.parametrize(
    ("drain_s", "retry_after_s"), [(0.0, 1), (0.4, 1), (1.6, 2), (119.0, 119), (1e9, 120), (float(10**15), 120)]
)
def test_client_is_told_to_wait_a_second_at_least_and_two_minutes_at_most(drain_s: float, retry_after_s: int) -> None:
    assert overloaded("m", "requests", drain_s).retry_after_s == retry_after_s
    assert waited_too_long("m", 20.0, drain_s).retry_after_s == retry_after_s


def test_who_found_no_room_in_time_is_told_how_long_it_waited() -> None:
    refusal = waited_too_long("m", 119.6, 3.0)
    assert (refusal.status, refusal.code) == (429, "queue_timeout")
    assert "120 s" in refusal.message


@pytest.mark.parametrize("refusal", [model_not_found("x"), no_replica_left("x" * 9999), model_not_ready(ENTRY)])
def test_refusal_of_a_model_says_when_or_where_to_go_on(refusal: Refusal) -> None:
    assert refusal.retry_after_s or "/v1/models" in refusal.message
    assert len(refusal.message) < 400


@pytest.mark.parametrize(
    ("status", "inside", "outside"),
    [
        (200, None, None),
        (400, None, None),
        (401, "unauthorized", "unauthorized"),
        (403, None, "unauthorized"),
        (404, None, None),
        (422, None, None),
        (429, None, "busy"),
        (500, None, "error"),
        (502, None, "error"),
        (503, "unavailable", "unavailable"),
        (504, None, "error"),
    ],
)
def test_another_is_asked_when_a_replica_says_that_it_is_not_the_clients_fault(
    status: int, inside: str | None, outside: str | None
) -> None:
    assert refused_by_replica(status, external=False, last=False) == inside
    assert refused_by_replica(status, external=True, last=False) == outside


def test_busy_engine_outside_is_the_answer_when_it_is_the_last() -> None:
    assert refused_by_replica(429, external=True, last=True) is None
    assert refused_by_replica(503, external=True, last=True) == "unavailable"


@given(st.lists(st.sampled_from([b"data: a", b"\n", b"\n\n", b"\r\n\r\n", b"\r", b"x" * 50])))
def test_event_tail_passes_everything_on_and_only_whole_events(pieces: list[bytes]) -> None:
    tail = EventTail()
    passed = b""
    for piece in pieces:
        passed += tail.pass_on(piece)
        assert passed == b"" or passed.endswith((b"\n\n", b"\r\n\r\n"))
    assert passed + tail.rest() == b"".join(pieces)


def test_event_tail_does_not_hold_an_event_without_end() -> None:
    tail = EventTail()
    assert sum(len(tail.pass_on(b"x" * 1000)) for _ in range(1000)) > 700_000


def test_credentials_and_internal_headers_stop_at_the_router() -> None:
    headers = [
        (b"authorization", b"Bearer k"), (b"x-api-key", b"k"), (b"cookie", b"c"), (b"x-roundhouse-replica", b"forged"),
        (b"te", b"trailers"), (b"connection", b"close, x-private"), (b"x-private", b"1"),
        (b"transfer-encoding", b"chunked"),
        (b"user-agent", b"test"), (b"x-forwarded-for", b"1.2.3.4"),
    ]  # fmt: skip
    kept, lines = split_request_headers(headers)
    assert lines == b"user-agent: test\r\n"
    assert kept[b"authorization"] == b"Bearer k"


@pytest.mark.parametrize(
    ("headers", "session"),
    [
        ([], b""),
        ([(b"x-session-id", b"s")], b"s"),
        ([(b"x-openwebui-chat-id", b"c"), (b"x-session-id", b"s")], b"s"),
        ([(b"x-session-id", b"s"), (b"x-roundhouse-session", b"ours")], b"ours"),
        ([(b"x-session-id", b"first"), (b"x-session-id", b"second")], b"first"),
    ],
    ids=str,
)
def test_conversation_is_named_by_the_first_header_that_does(
    headers: list[tuple[bytes, bytes]], session: bytes
) -> None:
    kept, _ = split_request_headers(headers)
    assert session_of(kept) == session


def test_answer_cannot_speak_for_the_router() -> None:
    headers = [
        (b"x-roundhouse-replica", b"forged"), (b"set-cookie", b"a=b"), (b"access-control-allow-origin", b"*"),
        (b"connection", b"x-private"), (b"x-private", b"1"), (b"content-type", b"text/plain"),
    ]  # fmt: skip
    assert AnswerHead(headers).lines == b"content-type: text/plain\r\n"


@pytest.mark.parametrize("value", [b"", b"a b", b"a\tb", b"x" * 129, "ä".encode(), b'"', None])
def test_strange_request_id_is_replaced(value: bytes | None) -> None:
    assert sane_request_id(value) is None


@given(st.text())
def test_header_value_cannot_end_its_line(value: str) -> None:
    assert not set(header_safe(value)) & set(b"\r\n\0")


@pytest.mark.parametrize("host", ["0.0.0.0", "10.1.2.3", "example.org", "::"])
def test_settings_refuse_no_auth_off_loopback(host: str) -> None:
    with pytest.raises(ValidationError, match="loopback"):
        RouterSettings(host=host, no_auth=True)


@pytest.mark.parametrize("url", ["https://127.0.0.1:1", "http://10.0.0.1:1", "http://localhost.evil:1", "127.0.0.1:1"])
def test_settings_refuse_an_orchestrator_elsewhere(url: str) -> None:
    with pytest.raises(ValidationError, match="loopback"):
        RouterSettings(orchestrator_url=url)


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUNDHOUSE_ROUTER_PORT", "8123")
    monkeypatch.setenv("ROUNDHOUSE_ROUTER_UI_DIR", "/srv/ui")
    monkeypatch.setenv("ROUNDHOUSE_ROUTER_ORCHESTRATOR_URL", "http://127.0.0.1:8100/")
    settings = RouterSettings()
    assert (settings.port, settings.ui_dir, settings.orchestrator_url) == (
        8123,
        Path("/srv/ui"),
        "http://127.0.0.1:8100",
    )
