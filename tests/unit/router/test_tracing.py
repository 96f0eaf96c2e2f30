"""Which requests get a span, what their replicas are told, and what the span says."""

import logging
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
from msgspec import structs
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import SpanKind, format_span_id, format_trace_id
from opentelemetry.trace.status import StatusCode

from router.finished import FailedAttempt, Finished
from router.trace_context import NO_TRACE, Trace
from router.tracing import Tracing, otlp_exporter
from router.types import Priority

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
CLIENT = f"00-{TRACE}-{SPAN}-01".encode()
UNSAMPLED = f"00-{TRACE}-{SPAN}-00".encode()


@dataclass
class Request:
    lines: bytes = b"accept: */*\r\n"
    trace: Trace = NO_TRACE

    def told(self) -> list[str]:
        """The parts of the one traceparent that the replica gets."""
        (line,) = [line for line in self.lines.split(b"\r\n") if line.startswith(b"traceparent: ")]
        return line.decode().removeprefix("traceparent: ").split("-")


@dataclass
class Kept(SpanExporter):
    """Keeps what is exported."""

    spans: list[ReadableSpan] = field(default_factory=list)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.spans.extend(spans)
        return SpanExportResult.SUCCESS


class Bench:
    """Tracing that tells what it would send."""

    def __init__(self, *, sample: float = 1.0, max_per_s: float = 100.0) -> None:
        self.exporter = Kept()
        self.now = 0.0
        self.tracing = Tracing(
            self.exporter,
            router_id="router-1",
            sample=sample,
            max_per_s=max_per_s,
            rng=Random(7),
            now=lambda: self.now,
        )

    def settle(self, *headers: tuple[bytes, bytes]) -> Request:
        request = Request(b"accept: */*\r\n" + b"".join(b"%b: %b\r\n" % header for header in headers))
        self.tracing.settle(request, dict(reversed(headers)))
        return request

    def span_of(self, finished: Finished) -> ReadableSpan:
        self.tracing(finished)
        self.tracing.close()
        (span,) = self.exporter.spans
        return span


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.tracing.close()


def finished(**changes: Any) -> Finished:
    record = Finished(
        ended_at=1_800_000_002.0,
        request_id="req-1",
        model="tiny",
        path="/v1/chat/completions",
        code=200,
        streamed=True,
        key_id="k1",
        tenant="team",
        priority=Priority.HIGH,
        replica="tiny-2",
        attempts=0,
        duration_s=2.0,
        queue_s=0.25,
        first_token_s=0.5,
        prompt_tokens=11,
        cached_tokens=8,
        output_tokens=7,
        trace_id=TRACE,
        parent_span_id=SPAN,
        span_id="b7ad6b7169203331",
    )
    return structs.replace(record, **changes)


def test_replica_is_told_that_our_span_is_its_parent(bench: Bench) -> None:
    request = bench.settle((b"traceparent", CLIENT), (b"tracestate", b"vendor=1"))
    assert request.trace.trace_id == TRACE
    assert request.trace.parent_span_id == SPAN
    assert request.trace.span_id not in ("", SPAN)
    assert request.told() == ["00", TRACE, request.trace.span_id, "01"]
    assert b"tracestate: vendor=1\r\n" in request.lines
    assert request.lines.startswith(b"accept: */*\r\n")


def test_unsampled_trace_goes_on_as_it_came(bench: Bench) -> None:
    request = bench.settle((b"traceparent", UNSAMPLED), (b"tracestate", b"vendor=1"))
    assert request.trace == Trace(TRACE, SPAN)
    assert request.told() == ["00", TRACE, SPAN, "00"]


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"tracestate", b"vendor=1")],
        [(b"traceparent", b"garbage"), (b"tracestate", b"vendor=1")],
        [(b"traceparent", CLIENT), (b"traceparent", CLIENT)],
    ],
)
def test_trace_begins_here_without_a_readable_parent(bench: Bench, headers: list[tuple[bytes, bytes]]) -> None:
    request = bench.settle(*headers)
    assert request.trace.parent_span_id == ""
    assert request.trace.trace_id not in ("", TRACE)
    assert request.told() == ["00", request.trace.trace_id, request.trace.span_id, "01"]
    assert b"tracestate" not in request.lines


def test_parent_that_the_client_keeps_to_its_connection_is_none(bench: Bench) -> None:
    """`connection: traceparent` takes the line away, not the header that the router has read."""
    request = Request()
    bench.tracing.settle(request, {b"traceparent": CLIENT})
    assert request.trace.trace_id != TRACE


def test_sample_decides_over_traces_that_begin_here_only() -> None:
    bench = Bench(sample=0.3, max_per_s=1e9)
    requests = [bench.settle() for _ in range(1000)]
    recorded = [request for request in requests if request.trace.span_id]
    assert 250 < len(recorded) < 350
    for request in requests:
        # Who is not recorded says so, or the replica would begin a trace of its own.
        assert request.told()[3] == ("01" if request.trace.span_id else "00")
    none = Bench(sample=0.0)
    assert none.settle().trace is NO_TRACE
    assert none.settle((b"traceparent", CLIENT)).trace.span_id
    for each in (bench, none):
        each.tracing.close()


def test_no_more_spans_in_a_second_than_allowed() -> None:
    bench = Bench(max_per_s=3)
    requests = [bench.settle((b"traceparent", CLIENT)) for _ in range(5)]
    assert [bool(request.trace.span_id) for request in requests] == [True] * 3 + [False] * 2
    # The client's span and the replica's still belong together.
    assert requests[4].told() == ["00", TRACE, SPAN, "01"]
    assert bench.settle().told()[3] == "00"
    bench.now = 1.0
    assert bench.settle((b"traceparent", CLIENT)).trace.span_id
    bench.tracing.close()


def test_span_says_what_happened(bench: Bench) -> None:
    failures = (FailedAttempt("tiny-1", "reset", 0.125),)
    span = bench.span_of(finished(attempts=1, failures=failures))
    assert span.name == "chat tiny"
    assert span.kind is SpanKind.SERVER
    assert span.context is not None
    assert span.parent is not None
    assert format_trace_id(span.context.trace_id) == TRACE
    assert format_span_id(span.context.span_id) == "b7ad6b7169203331"
    assert (format_span_id(span.parent.span_id), span.parent.is_remote) == (SPAN, True)
    assert (span.start_time, span.end_time) == (1_800_000_000 * 10**9, 1_800_000_002 * 10**9)
    assert dict(span.attributes or {}) == {
        "http.request.method": "POST",
        "http.route": "/v1/chat/completions",
        "http.response.status_code": 200,
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "roundhouse",
        "gen_ai.request.model": "tiny",
        "gen_ai.request.stream": True,
        "gen_ai.usage.input_tokens": 11,
        "gen_ai.usage.output_tokens": 7,
        "gen_ai.usage.cache_read.input_tokens": 8,
        "gen_ai.response.time_to_first_chunk": 0.5,
        "roundhouse.request_id": "req-1",
        "roundhouse.replica": "tiny-2",
        "roundhouse.key_id": "k1",
        "roundhouse.tenant": "team",
        "roundhouse.priority": "high",
        "roundhouse.queue_s": 0.25,
        "roundhouse.attempts": 1,
    }
    began_ns = span.start_time or 0
    assert [(event.name, round((event.timestamp - began_ns) / 1e9, 3)) for event in span.events] == [
        ("roundhouse.attempt_failed", 0.125),
        ("roundhouse.first_token", 0.5),
    ]
    assert dict(span.events[0].attributes or {}) == {"roundhouse.replica": "tiny-1", "error.type": "reset"}
    assert span.status.status_code is StatusCode.UNSET
    assert span.resource.attributes["service.name"] == "roundhouse-router"
    assert span.resource.attributes["service.instance.id"] == "router-1"


@pytest.mark.parametrize(
    ("code", "error", "status", "failed"),
    [
        (429, "429", 429, False),
        (503, "503", 503, True),
        (499, "client_gone", None, False),
        (599, "replica_lost", None, True),
    ],
)
def test_span_of_a_failure_says_which(bench: Bench, code: int, error: str, status: int | None, failed: bool) -> None:
    span = bench.span_of(finished(code=code, parent_span_id=""))
    attributes = span.attributes or {}
    assert (attributes["error.type"], attributes.get("http.response.status_code")) == (error, status)
    assert (span.status.status_code is StatusCode.ERROR) == failed
    assert span.parent is None


def test_request_refused_before_its_model_was_known_has_a_span(bench: Bench) -> None:
    span = bench.span_of(finished(model="", code=401, replica="", first_token_s=None))
    assert span.name == "POST /v1/chat/completions"
    assert not any(name.startswith("gen_ai.") for name in span.attributes or {})


def test_what_is_not_recorded_makes_no_span(bench: Bench) -> None:
    bench.tracing(finished(span_id=""))
    bench.tracing.close()
    assert bench.exporter.spans == []


def test_service_is_named_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "edge")
    bench = Bench()
    assert bench.span_of(finished()).resource.attributes["service.name"] == "edge"


def test_dead_collector_is_not_waited_for_and_holds_a_bounded_number() -> None:
    """The collector accepts and never answers: worse than one that refuses."""
    threads = threading.active_count()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        exporter = otlp_exporter(f"http://127.0.0.1:{silent.getsockname()[1]}")
        tracing = Tracing(exporter, router_id="r", sample=1, max_per_s=1e9, rng=Random(1))
        began = time.monotonic()
        for _ in range(10_000):
            tracing(finished())
        # 10,000 waits of any length would show.
        assert time.monotonic() - began < 5
        held = len(tracing._processor._batch_processor._queue)
        assert 0 < held <= 2048
        began = time.monotonic()
        tracing.close()
        assert time.monotonic() - began < 5
    assert threading.active_count() <= threads + 2


def test_refusing_collector_is_told_of_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    logger = logging.getLogger(OTLPSpanExporter.__module__)
    logger.filters.clear()
    exporter = otlp_exporter(f"http://127.0.0.1:{port}/")
    tracing = Tracing(exporter, router_id="r", sample=1, max_per_s=10, rng=Random(1))
    for _ in range(600):
        tracing(finished())
    tracing.close()
    # Of hundreds; two if the first and the last of them are a minute of a busy machine apart.
    assert 1 <= len([record for record in caplog.records if record.name == logger.name]) <= 2
