"""What a router writes down of requests: the access log, and spans."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span

from router.types import ModelStatus
from tests.router_harness import (
    KEY,
    MODEL,
    STREAM_HEAD,
    FakeReplica,
    Received,
    chunk,
    event,
    eventually,
    post,
    rig,
    unary_bytes,
)

PROMPT = "tell me of the secret garden"
UNARY = {"model": MODEL, "messages": [{"role": "user", "content": PROMPT}]}
STREAMED = UNARY | {"stream": True}
USAGE = {"prompt_tokens": 31, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 16}}
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


async def as_asked(request: Received) -> None:
    if b'"stream": true' in request.body:
        events = b"".join(chunk(event(text)) for text in ("one", "two", "three"))
        await request.send(STREAM_HEAD + events + chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")
    else:
        await request.send(unary_bytes(json.dumps({"choices": [], "usage": USAGE}).encode()))


async def break_off(request: Received) -> None:
    await request.send(STREAM_HEAD + chunk(event("one")))
    request.reset()


async def close_at_once(request: Received) -> None:
    request.writer.close()


async def hang(request: Received) -> None:
    await request.gone.wait()


# The access log


async def lines_of(path: Path, count: int) -> list[dict[str, Any]]:
    await eventually(lambda: path.exists() and path.read_bytes().count(b"\n") >= count)
    return [json.loads(line) for line in path.read_bytes().splitlines()]  # noqa: ASYNC240  # a few lines


async def test_access_log_says_what_happened_and_nothing_of_what_was_said(valkey_url: str, tmp_path: Path) -> None:
    path = tmp_path / "logs" / "access.jsonl"
    async with rig(
        valkey_url, FakeReplica("r1", as_asked), FakeReplica("r2", close_at_once), access_log=str(path)
    ) as router:
        router.busy("r1", 5)
        client_trace = {"x-request-id": "mine", "traceparent": f"00-{TRACE}-{SPAN}-01"}
        assert (await router.ask(post(UNARY, headers=client_trace))).status == 200
        assert (await router.ask(post(key="wrong-key", headers={"traceparent": "x" * 9000}))).status == 401
        assert (await router.ask(post({"model": "made-up"}))).status == 404
        (first, refused, unknown) = await lines_of(path, 3)
    assert {
        "request_id": "mine", "model": MODEL, "path": "/v1/chat/completions", "code": 200, "streamed": False,
        "key_id": "k1", "tenant": "k1", "priority": 1, "replica": "r1", "attempts": 1, "prompt_tokens": 31,
        "cached_tokens": 16, "output_tokens": 7, "trace_id": TRACE, "parent_span_id": SPAN, "span_id": "",
    }.items() <= first.items()  # fmt: skip
    assert [(failure["replica"], failure["reason"]) for failure in first["failures"]] == [("r2", "closed")]
    assert 0 <= first["failures"][0]["after_s"] <= first["first_token_s"] <= first["duration_s"]
    assert (refused["code"], refused["model"], refused["key_id"], refused["trace_id"]) == (401, "", "", "")
    assert (unknown["code"], unknown["model"], unknown["key_id"]) == (404, "", "k1")
    written = path.read_text()
    for secret in (KEY, "wrong-key", "secret garden", "made-up", "token-of-r1", "xxxx"):
        assert secret not in written


async def test_access_log_has_every_failure_whatever_the_sample(valkey_url: str, tmp_path: Path) -> None:
    path = tmp_path / "access.jsonl"
    async with rig(valkey_url, FakeReplica("r1", break_off), access_log=str(path), access_log_sample=0.0) as router:
        client = await router.client()
        await client.send(post(STREAMED | {"n": 2}))
        assert b"replica_lost" in (await client.answer()).body
        client.close()
        router.replicas["r1"].behaviour = hang
        leaver = await router.client()
        await leaver.send(post())
        await router.replicas["r1"].arrived.get()
        leaver.close()
        await eventually(lambda: 499 in router.codes())
        await router.store.model("asleep", ModelStatus.STOPPED)
        await eventually(lambda: "asleep" in router.router.core.table.models)
        assert (await router.ask(post({"model": "asleep"}))).status == 503
        found = await lines_of(path, 2)
    assert [(line["code"], line["model"]) for line in found] == [(599, MODEL), (503, "asleep")]


async def test_nothing_is_observed_unless_it_is_wanted(valkey_url: str) -> None:
    async with rig(valkey_url, FakeReplica("r1")) as router:
        core = router.router.core
        assert (core.observers, core.settle_trace) == ([], None)
        assert (await router.ask(post(headers={"traceparent": f"00-{TRACE}-{SPAN}-01"}))).status == 200
        assert router.replicas["r1"].requests[0].header("traceparent") == f"00-{TRACE}-{SPAN}-01"


async def test_full_disk_breaks_nothing(valkey_url: str, caplog: pytest.LogCaptureFixture) -> None:
    async with rig(valkey_url, FakeReplica("r1"), access_log="/dev/full") as router:
        for _ in range(3):
            assert (await router.ask(post())).status == 200
            lost = router.router.core.telemetry.log_lines_lost
            await eventually(lambda: lost() == len(router.replicas["r1"].requests))  # noqa: B023  # read at once
    assert len([record for record in caplog.records if record.name == "router.access_log"]) == 1


# Spans


class Collector(BaseHTTPRequestHandler):
    """An OpenTelemetry collector that keeps what it gets."""

    got: ClassVar[list[ResourceSpans]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        assert (self.path, self.headers["content-type"]) == ("/v1/traces", "application/x-protobuf")
        self.got.extend(ExportTraceServiceRequest.FromString(body).resource_spans)
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_args: Any) -> None:
        """Says nothing."""


@pytest.fixture
def collector() -> Iterator[tuple[str, list[ResourceSpans]]]:
    """URL of a collector, and what it has got."""
    got: list[ResourceSpans] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("OwnCollector", (Collector,), {"got": got}))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", got
    server.shutdown()
    thread.join()
    server.server_close()


def spans_of(got: list[ResourceSpans]) -> list[Span]:
    return [span for resource in got for scope in resource.scope_spans for span in scope.spans]


def attributes(span: Span) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value") or "") for pair in span.attributes}


async def test_span_lies_between_the_clients_and_the_replicas(
    valkey_url: str, collector: tuple[str, list[ResourceSpans]]
) -> None:
    url, got = collector
    replicas = (FakeReplica("r1", as_asked), FakeReplica("r2", close_at_once))
    async with rig(valkey_url, *replicas, otlp_endpoint=url) as router:
        router.busy("r1", 5)
        headers = {"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "a=b", "x-request-id": "mine"}
        assert (await router.ask(post(STREAMED, headers=headers))).status == 200
        router_id = router.router.id
    (span,) = spans_of(got)
    assert (span.name, span.trace_id.hex(), span.parent_span_id.hex()) == (f"chat {MODEL}", TRACE, SPAN)
    for replica in replicas:
        (told,) = replica.requests
        assert told.header("traceparent") == f"00-{TRACE}-{span.span_id.hex()}-01"
        assert told.header("tracestate") == "a=b"
        assert [name for name, _ in told.headers].count("traceparent") == 1
    said = attributes(span)
    assert (said["roundhouse.replica"], said["roundhouse.attempts"], said["roundhouse.request_id"]) == ("r1", 1, "mine")
    assert (said["gen_ai.request.model"], said["gen_ai.usage.output_tokens"]) == (MODEL, 3)
    names = [each.name for each in span.events]
    assert names == ["roundhouse.attempt_failed", "roundhouse.first_token"]
    assert span.start_time_unix_nano <= span.events[0].time_unix_nano <= span.events[1].time_unix_nano
    assert span.events[1].time_unix_nano <= span.end_time_unix_nano
    sender = {pair.key: pair.value.string_value for pair in got[0].resource.attributes}
    assert (sender["service.name"], sender["service.instance.id"]) == ("roundhouse-router", router_id)


async def test_client_that_does_not_record_makes_no_span(
    valkey_url: str, collector: tuple[str, list[ResourceSpans]]
) -> None:
    url, got = collector
    async with rig(valkey_url, FakeReplica("r1"), otlp_endpoint=url) as router:
        unsampled, own = f"00-{TRACE}-{SPAN}-00", {"x-request-id": "own"}
        assert (await router.ask(post(headers={"traceparent": unsampled}))).status == 200
        assert (await router.ask(post(headers={"traceparent": "malformed", "tracestate": "a=b"} | own))).status == 200
        first, second = router.replicas["r1"].requests
    assert first.header("traceparent") == unsampled
    (span,) = spans_of(got)
    assert (attributes(span)["roundhouse.request_id"], span.parent_span_id) == ("own", b"")
    assert second.header("traceparent") == f"00-{span.trace_id.hex()}-{span.span_id.hex()}-01"
    assert second.header("tracestate") is None


async def test_collector_that_is_away_is_not_noticed(valkey_url: str) -> None:
    async with rig(valkey_url, FakeReplica("r1"), otlp_endpoint="http://127.0.0.1:1") as router:
        client = await router.client()
        for _ in range(50):
            await client.send(post())
            assert (await client.answer()).status == 200
        client.close()
