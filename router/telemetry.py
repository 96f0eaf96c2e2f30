"""What the router measures of itself, as Prometheus reads it.

One thread writes and reads all of it, so a measurement is an addition to a plain number; the labels are put on when
Prometheus asks. prometheus-client's own counters take a lock for each addition, which the hot path would feel.
"""

import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar

from router.types import ModelLoad, Priority

UNKNOWN_MODEL = "unknown"
_LONGEST_EXEMPLAR_ID = 128 - len("request_id")
"""OpenMetrics allows 128 characters for the labels of an exemplar, names and values together."""

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
_BETWEEN_TOKENS = (0.001, 0.0025, 0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.06, 0.1, 0.2, 0.5, 1.0, 2.5, 10.0)
_CLASSES = {Priority.LOW: "low", Priority.NORMAL: "normal", Priority.HIGH: "high"}


class Histogram:
    """Counts of seconds by bucket, and the newest request in each."""

    __slots__ = ("_bounds", "_exemplars", "counts", "total_s")

    def __init__(self, bounds: Sequence[float] = _SECONDS) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total_s = 0.0
        self._exemplars: dict[int, tuple[bytes, float]] = {}

    def observe(self, seconds: float, request_id: bytes | None = None) -> None:
        """Adds one measurement."""
        bucket = bisect_left(self._bounds, seconds)
        self.counts[bucket] += 1
        self.total_s += seconds
        if request_id is not None:
            self._exemplars[bucket] = (request_id, seconds)

    def cumulative(self) -> Sequence[Any]:
        """Buckets as `HistogramMetricFamily` takes them: upper bound in words, count up to it, and an exemplar if there
        is a request that fell into it."""
        running = 0
        buckets: list[tuple[Any, ...]] = []
        for index, (bound, count) in enumerate(zip((*self._bounds, None), self.counts, strict=True)):
            running += count
            shown = "+Inf" if bound is None else str(bound)
            exemplar = self._exemplars.get(index)
            if exemplar is None or len(exemplar[0]) > _LONGEST_EXEMPLAR_ID:
                buckets.append((shown, running))
            else:
                request_id, seconds = exemplar
                buckets.append((shown, running, Exemplar({"request_id": request_id.decode("latin-1")}, seconds)))
        return buckets


class ClassMeter:
    """Measurements of one model for the requests of one class of tenants: the band that they are queued in."""

    __slots__ = ("codes", "duration", "first_token", "inter_token", "queue")

    def __init__(self) -> None:
        self.codes: dict[int, int] = {}
        self.first_token = Histogram()
        self.inter_token = Histogram(_BETWEEN_TOKENS)
        self.queue = Histogram()
        self.duration = Histogram()


class ModelMeter:
    """Measurements of one model. Hold on to it; looking it up again is what the hot path saves."""

    __slots__ = (
        "by_class",
        "cached_tokens",
        "choices",
        "continuations",
        "generated_tokens",
        "in_flight",
        "prompt_tokens",
        "quarantined",
        "response_bytes",
        "retries",
        "sheds",
    )

    def __init__(self) -> None:
        self.by_class = {priority: ClassMeter() for priority in Priority}
        self.in_flight = 0
        self.response_bytes = 0
        self.prompt_tokens = 0
        self.cached_tokens = 0
        self.generated_tokens = 0
        self.quarantined = 0
        self.retries: dict[str, int] = {}
        self.sheds: dict[str, int] = {}
        self.choices: dict[str, int] = {}
        self.continuations: dict[str, int] = {}

    @property
    def codes(self) -> dict[int, int]:
        """Requests that ended, by status code, over all classes."""
        codes: dict[int, int] = {}
        for meter in self.by_class.values():
            for code, count in meter.codes.items():
                codes[code] = codes.get(code, 0) + count
        return codes

    def ended(self, priority: Priority, code: int, seconds: float, queue_s: float, request_id: bytes) -> None:
        """One request ended with `code` after `seconds`, of which it waited `queue_s` for a replica."""
        meter = self.by_class[priority]
        meter.codes[code] = meter.codes.get(code, 0) + 1
        meter.duration.observe(seconds, request_id)
        if queue_s:
            meter.queue.observe(queue_s, request_id)
        else:
            meter.queue.counts[0] += 1

    def retry(self, reason: str) -> None:
        """A request goes to another replica, or again over a new connection."""
        self.retries[reason] = self.retries.get(reason, 0) + 1

    def shed(self, reason: str) -> None:
        """A request was turned away because too much waited."""
        self.sheds[reason] = self.sheds.get(reason, 0) + 1

    def continued(self, outcome: str) -> None:
        """A stream lost its replica: `continued`, `finished`, `not_eligible` or `impossible`."""
        self.continuations[outcome] = self.continuations.get(outcome, 0) + 1


_COUNTS: tuple[tuple[str, str, str, str], ...] = (
    ("retries", "roundhouse_router_retries", "Attempts that failed before the client had an answer", "reason"),
    ("sheds", "roundhouse_router_sheds", "Requests turned away because too much waited", "reason"),
    ("choices", "roundhouse_router_choices", "Requests sent to a replica, by why it was that one", "reason"),
    ("continuations", "roundhouse_router_lost_streams", "Streams that lost their replica", "outcome"),
)
_TOTALS: tuple[tuple[str, str, str], ...] = (
    ("response_bytes", "roundhouse_router_response_bytes", "Bytes of answers"),
    ("prompt_tokens", "roundhouse_router_prompt_tokens", "Prompt tokens sent to replicas, estimated"),
    ("cached_tokens", "roundhouse_router_cached_tokens", "Of those, expected in the replica's prefix cache"),
    ("generated_tokens", "roundhouse_router_generated_tokens", "Tokens of answers"),
    ("quarantined", "roundhouse_router_quarantined", "Requests found to kill engines"),
)
_TIMES: tuple[tuple[str, str, str], ...] = (
    ("first_token", "roundhouse_router_time_to_first_token_seconds", "From the request's headers to the first token"),
    ("inter_token", "roundhouse_router_inter_token_seconds", "Between two pieces of a streamed answer"),
    ("queue", "roundhouse_router_queue_seconds", "Waiting for a replica with room"),
    ("duration", "roundhouse_router_duration_seconds", "From the request's headers to the answer's end"),
)


class Telemetry(Collector):
    """All measurements of one router. Models are named by the catalog only, never by what a client sent."""

    def __init__(self) -> None:
        self.unknown = ModelMeter()
        self.store_connected = False
        self.snapshot_read_at: float | None = None
        """Unix seconds of the newest reading of the store."""
        self.loads: Callable[[], Mapping[str, ModelLoad]] = dict
        """What waits now, by model."""
        self.ready: Callable[[], Mapping[str, int]] = dict
        """Ready replicas by model."""
        self.log_lines_lost: Callable[[], int] = int
        """Lines that the access log should have and has not."""
        self._meters: dict[str, ModelMeter] = {UNKNOWN_MODEL: self.unknown}
        self.registry = CollectorRegistry()
        self.registry.register(self)
        ProcessCollector(registry=self.registry)

    def meter(self, model: str) -> ModelMeter:
        """The meter of a model that is in the catalog."""
        found = self._meters.get(model)
        if found is None:
            found = self._meters[model] = ModelMeter()
        return found

    def collect(self) -> Iterable[Metric]:
        """Called by the registry for each scrape."""
        yield from self._collect_requests()
        yield from self._collect_times()
        yield from self._collect_counts()
        yield from self._collect_state()

    def _collect_requests(self) -> Iterable[Metric]:
        requests = CounterMetricFamily(
            "roundhouse_router_requests", "Requests that ended, by status code", labels=["model", "class", "code"]
        )
        flying = GaugeMetricFamily("roundhouse_router_in_flight", "Requests being carried", labels=["model"])
        for model, meter in self._meters.items():
            flying.add_metric([model], meter.in_flight)
            for priority, of_class in meter.by_class.items():
                for code, count in of_class.codes.items():
                    requests.add_metric([model, _CLASSES[priority], str(code)], count)
        yield from (requests, flying)

    def _collect_times(self) -> Iterable[Metric]:
        for attribute, name, help_text in _TIMES:
            family = HistogramMetricFamily(name, help_text, labels=["model", "class"])
            for model, meter in self._meters.items():
                for priority, of_class in meter.by_class.items():
                    if of_class.codes:
                        times: Histogram = getattr(of_class, attribute)
                        labels = [model, _CLASSES[priority]]
                        family.add_metric(labels, times.cumulative(), sum_value=times.total_s)
            yield family

    def _collect_counts(self) -> Iterable[Metric]:
        for attribute, name, help_text, label in _COUNTS:
            family = CounterMetricFamily(name, help_text, labels=["model", label])
            for model, meter in self._meters.items():
                for reason, count in getattr(meter, attribute).items():
                    family.add_metric([model, reason], count)
            yield family
        for attribute, name, help_text in _TOTALS:
            family = CounterMetricFamily(name, help_text, labels=["model"])
            for model, meter in self._meters.items():
                family.add_metric([model], getattr(meter, attribute))
            yield family

    def _collect_state(self) -> Iterable[Metric]:
        queued = GaugeMetricFamily("roundhouse_router_queued", "Requests waiting for a replica", labels=["model"])
        oldest = GaugeMetricFamily("roundhouse_router_oldest_wait_seconds", "Of those, the oldest", labels=["model"])
        for model, load in self.loads().items():
            queued.add_metric([model], load.queued)
            oldest.add_metric([model], load.oldest_wait_s)
        ready = GaugeMetricFamily("roundhouse_router_replicas_ready", "Replicas ready to answer", labels=["model"])
        for model, replicas in self.ready().items():
            ready.add_metric([model], replicas)
        yield from (queued, oldest, ready)
        yield GaugeMetricFamily(
            "roundhouse_router_store_connected",
            "1 while the store answers; the router serves from its last snapshot otherwise",
            value=float(self.store_connected),
        )
        yield CounterMetricFamily(
            "roundhouse_router_access_log_lines_lost",
            "Lines of the access log that could not be written",
            value=self.log_lines_lost(),
        )
        if self.snapshot_read_at is not None:
            yield GaugeMetricFamily(
                "roundhouse_router_snapshot_timestamp_seconds",
                "When the store was last read",
                value=self.snapshot_read_at,
            )
            age_s = max(0.0, time.time() - self.snapshot_read_at)
            yield GaugeMetricFamily("roundhouse_router_snapshot_age_seconds", "How old it is", value=age_s)
