"""What the router measures of itself, as Prometheus reads it.

One thread writes and reads all of it, so a measurement is an addition to a plain number; the labels are put on when
Prometheus asks. prometheus-client's own counters take a lock for each addition, which the hot path would feel.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

CLIENT_GONE = 499
"""Code of a request whose client left before the answer's end."""
REPLICA_LOST = 599
"""Code of an answer that broke off after its first byte."""
UNKNOWN_MODEL = "unknown"

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)


class Histogram:
    """Counts of seconds by bucket."""

    __slots__ = ("counts", "total_s")

    def __init__(self) -> None:
        self.counts = [0] * (len(_SECONDS) + 1)
        self.total_s = 0.0

    def observe(self, seconds: float) -> None:
        """Adds one measurement."""
        self.counts[bisect_left(_SECONDS, seconds)] += 1
        self.total_s += seconds

    def cumulative(self) -> Sequence[tuple[str, float]]:
        """Buckets as Prometheus wants them: upper bound in words, count up to it."""
        running = 0
        buckets: list[tuple[str, float]] = []
        for bound, count in zip((*_SECONDS, None), self.counts, strict=True):
            running += count
            buckets.append(("+Inf" if bound is None else str(bound), running))
        return buckets


class ModelMeter:
    """Measurements of one model. Hold on to it; looking it up again is what the hot path saves."""

    __slots__ = ("codes", "duration", "first_byte", "in_flight", "response_bytes")

    def __init__(self) -> None:
        self.codes: dict[int, int] = {}
        self.in_flight = 0
        self.first_byte = Histogram()
        self.duration = Histogram()
        self.response_bytes = 0

    def ended(self, code: int, seconds: float) -> None:
        """One request ended with `code` after `seconds`."""
        self.codes[code] = self.codes.get(code, 0) + 1
        self.duration.observe(seconds)


class Telemetry(Collector):
    """All measurements of one router. Models are named by the catalog only, never by what a client sent."""

    def __init__(self) -> None:
        self.unknown = ModelMeter()
        self.store_connected = False
        self.snapshot_read_at: float | None = None
        """Unix seconds of the newest reading of the store."""
        self._meters: dict[str, ModelMeter] = {UNKNOWN_MODEL: self.unknown}
        self._retries: dict[str, int] = {}
        self._ready: Mapping[str, int] = {}
        self.registry = CollectorRegistry()
        self.registry.register(self)
        ProcessCollector(registry=self.registry)

    def meter(self, model: str) -> ModelMeter:
        """The meter of a model that is in the catalog."""
        found = self._meters.get(model)
        if found is None:
            found = self._meters[model] = ModelMeter()
        return found

    def retry(self, reason: str) -> None:
        """A request goes to another replica, or again over a new connection."""
        self._retries[reason] = self._retries.get(reason, 0) + 1

    def show_ready(self, replicas: Mapping[str, int]) -> None:
        """Ready replicas by model, as the newest snapshot has them."""
        self._ready = replicas

    def collect(self) -> Iterable[Metric]:
        """Called by the registry for each scrape."""
        yield from self._collect_models()
        retries = CounterMetricFamily(
            "roundhouse_router_retries", "Attempts that failed before the answer's first byte", labels=["reason"]
        )
        for reason, count in self._retries.items():
            retries.add_metric([reason], count)
        yield retries
        ready = GaugeMetricFamily("roundhouse_router_replicas_ready", "Replicas ready to answer", labels=["model"])
        for model, replicas in self._ready.items():
            ready.add_metric([model], replicas)
        yield ready
        yield GaugeMetricFamily(
            "roundhouse_router_store_connected",
            "1 while the store answers; the router serves from its last snapshot otherwise",
            value=float(self.store_connected),
        )
        if self.snapshot_read_at is not None:
            yield GaugeMetricFamily(
                "roundhouse_router_snapshot_timestamp_seconds",
                "When the store was last read",
                value=self.snapshot_read_at,
            )

    def _collect_models(self) -> Iterable[Metric]:
        requests = CounterMetricFamily(
            "roundhouse_router_requests", "Requests that ended, by status code", labels=["model", "code"]
        )
        sent = CounterMetricFamily("roundhouse_router_response_bytes", "Bytes of answers", labels=["model"])
        flying = GaugeMetricFamily("roundhouse_router_in_flight", "Requests being carried", labels=["model"])
        first = HistogramMetricFamily(
            "roundhouse_router_time_to_first_byte_seconds",
            "From the request's headers to the first byte of the answer's body",
            labels=["model"],
        )
        whole = HistogramMetricFamily(
            "roundhouse_router_duration_seconds",
            "From the request's headers to the answer's end",
            labels=["model"],
        )
        for model, meter in self._meters.items():
            for code, count in meter.codes.items():
                requests.add_metric([model, str(code)], count)
            sent.add_metric([model], meter.response_bytes)
            flying.add_metric([model], meter.in_flight)
            first.add_metric([model], meter.first_byte.cumulative(), sum_value=meter.first_byte.total_s)
            whole.add_metric([model], meter.duration.cumulative(), sum_value=meter.duration.total_s)
        yield from (requests, sent, flying, first, whole)
