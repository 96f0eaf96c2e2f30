"""OpenTelemetry spans: one for each request, made when it has ended, sent on by the SDK's own thread.

The ids of a span are fixed when its request arrives, for the replica is told that our span is its parent. Imported only
where spans are wanted: the SDK takes a quarter of a second to load.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from random import Random

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_INSTANCE_ID, SERVICE_NAME, Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.status import Status, StatusCode

from router.finished import Finished
from router.span_attributes import Attributes, attributes_of, error_of, span_name
from router.trace_context import (
    Trace,
    Traced,
    TraceParent,
    parse_trace_parent,
    times_named,
    trace_parent_line,
    without_trace,
)

SERVICE = "roundhouse-router"
_CLOSES_WITHIN_S = 3.0
_COMPLAINS_EVERY_S = 60.0
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_UNSET, _FAILED = Status(StatusCode.UNSET), Status(StatusCode.ERROR)


class Tracing:
    """Settles the traces of requests (`Core.settle_trace`) and observes their ends (`Core.observers`)."""

    def __init__(
        self,
        exporter: SpanExporter,
        *,
        router_id: str,
        sample: float,
        max_per_s: float,
        rng: Random,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`sample`: share of the traces that begin here which are recorded. `max_per_s`: spans, of either origin."""
        self._exporter = exporter
        self._sample = sample
        self._max_per_s = max_per_s
        self._rng = rng
        self._now = now
        self._left = max_per_s
        self._second_ends = now() + 1
        self._processor = BatchSpanProcessor(exporter)
        self._resource = _resource(router_id)
        self._scope = InstrumentationScope("roundhouse.router")

    # Before the request is sent

    def settle(self, request: Traced, kept: Mapping[bytes, bytes]) -> None:
        """Decides whether a span is recorded, and what the replica is told. `kept`: headers that the router reads."""
        parent = None
        if b"traceparent" in kept and times_named(request.lines, b"traceparent") == 1:
            parent = parse_trace_parent(kept[b"traceparent"])
        if parent is None:
            self._begin(request)
        else:
            self._continue(request, parent)

    def _begin(self, request: Traced) -> None:
        sampled = self._rng.random() < self._sample and self._may_record()
        trace_id, span_id = f"{self._rng.getrandbits(128) or 1:032x}", self._new_span_id()
        if sampled:
            request.trace = Trace(trace_id, span_id=span_id)
        # A state without a parent, or beside one that cannot be read, belongs to no trace.
        rest = without_trace(request.lines, keep_state=False) if b"trace" in request.lines else request.lines
        request.lines = rest + trace_parent_line(trace_id, span_id, sampled=sampled)

    def _continue(self, request: Traced, parent: TraceParent) -> None:
        if not parent.sampled or not self._may_record():
            # Left as it is, it still joins the client's span to the replica's.
            request.trace = Trace(parent.trace_id, parent.span_id)
            return
        span_id = self._new_span_id()
        request.trace = Trace(parent.trace_id, parent.span_id, span_id)
        rest = without_trace(request.lines, keep_state=True)
        request.lines = rest + trace_parent_line(parent.trace_id, span_id, sampled=True)

    def _new_span_id(self) -> str:
        return f"{self._rng.getrandbits(64) or 1:016x}"

    def _may_record(self) -> bool:
        now = self._now()
        if now >= self._second_ends:
            self._second_ends = now + 1
            self._left = self._max_per_s
        if self._left < 1:
            return False
        self._left -= 1
        return True

    # After its end

    def __call__(self, finished: Finished) -> None:
        if finished.span_id:
            self._processor.on_end(self._span(finished))

    def _span(self, finished: Finished) -> ReadableSpan:
        # Not by way of a tracer, whose spans take ten times as long to make and choose their ids when they begin.
        parent = finished.parent_span_id
        started_at = finished.ended_at - finished.duration_s
        return ReadableSpan(
            span_name(finished),
            _context(finished.trace_id, finished.span_id, remote=False),
            _context(finished.trace_id, parent, remote=True) if parent else None,
            self._resource,
            attributes_of(finished),
            _events(finished, started_at),
            kind=SpanKind.SERVER,
            status=_FAILED if error_of(finished.code) is not None and finished.code >= 500 else _UNSET,
            start_time=_ns(started_at),
            end_time=_ns(finished.ended_at),
            instrumentation_scope=self._scope,
        )

    def close(self) -> None:
        """Sends on what is left, for three seconds at most."""
        closing = threading.Thread(target=self._processor.shutdown, name="router-tracing-close", daemon=True)
        closing.start()
        closing.join(_CLOSES_WITHIN_S)
        if closing.is_alive():
            # Ends the exporter's waiting for another try; the daemon threads end with the process.
            self._exporter.shutdown()


def _resource(router_id: str) -> Resource:
    """This process. OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES may name the service otherwise."""
    resource = Resource.create({SERVICE_INSTANCE_ID: router_id})
    if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):
        return resource.merge(Resource({SERVICE_NAME: SERVICE}))
    return resource


def _context(trace_id: str, span_id: str, *, remote: bool) -> SpanContext:
    return SpanContext(int(trace_id, 16), int(span_id, 16), remote, _SAMPLED)


def _events(finished: Finished, started_at: float) -> tuple[Event, ...]:
    events = []
    for failure in finished.failures:
        attributes: Attributes = {"roundhouse.replica": failure.replica, "error.type": failure.reason}
        events.append(Event("roundhouse.attempt_failed", attributes, _ns(started_at + failure.after_s)))
    if finished.first_token_s is not None:
        events.append(Event("roundhouse.first_token", timestamp=_ns(started_at + finished.first_token_s)))
    return tuple(events)


def _ns(seconds: float) -> int:
    return int(seconds * 1e9)


class _Seldom(logging.Filter):
    """Lets one record a minute through: a collector that is away is no news every few seconds."""

    def __init__(self) -> None:
        super().__init__()
        self._next_at = 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        if record.created < self._next_at:
            return False
        self._next_at = record.created + _COMPLAINS_EVERY_S
        return True


def otlp_exporter(endpoint: str) -> SpanExporter:
    """Sends spans to a collector's base URL by OTLP over HTTP. Headers, certificates, compression and the time limit
    come from the standard's `OTEL_EXPORTER_OTLP_*` variables."""
    logging.getLogger(OTLPSpanExporter.__module__).addFilter(_Seldom())
    return OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces")
