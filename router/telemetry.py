"""What the router measures of itself, as Prometheus reads it.

One thread writes and reads all of it, so a measurement is an addition to a plain number; the labels are put on when
Prometheus asks. prometheus-client's own counters take a lock for each addition, which the hot path would feel.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar

from router.meters import Histogram, ModelMeter
from router.types import ModelLoad, ModelTotals, Priority

UNKNOWN_MODEL = "unknown"
_LONGEST_EXEMPLAR_ID = 128 - len("request_id")
"""OpenMetrics allows 128 characters for the labels of an exemplar, names and values together."""

_CLASSES = {Priority.LOW: "low", Priority.NORMAL: "normal", Priority.HIGH: "high"}

_COUNTS: tuple[tuple[str, str, str, str], ...] = (
    ("retries", "roundhouse_router_retries", "Attempts that failed before the client had an answer", "reason"),
    ("sheds", "roundhouse_router_sheds", "Requests turned away because too much waited", "reason"),
    ("choices", "roundhouse_router_choices", "Requests sent to a replica, by why it was that one", "reason"),
    ("continuations", "roundhouse_router_lost_streams", "Streams that lost their replica", "outcome"),
)
_TOTALS: tuple[tuple[str, str, str], ...] = (
    ("response_bytes", "roundhouse_router_response_bytes", "Bytes of answers"),
    ("prompt_tokens", "roundhouse_router_prompt_tokens", "Prompt tokens sent to replicas, estimated"),
    (
        "cached_tokens",
        "roundhouse_router_cached_tokens",
        "Of those, found in the replica's prefix cache: as the engine says, else as expected",
    ),
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

    def totals(self) -> dict[str, ModelTotals]:
        """Of each model that had a request, what is published of it."""
        known = ((name, meter) for name, meter in self._meters.items() if meter is not self.unknown)
        return {name: meter.totals() for name, meter in known if meter.codes}

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
                        family.add_metric(labels, _buckets(times), sum_value=times.total_s)
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


def _buckets(histogram: Histogram) -> Sequence[Any]:
    """As `HistogramMetricFamily` takes them: upper bound in words, count up to it, an exemplar where there is one."""
    running = 0
    buckets: list[tuple[Any, ...]] = []
    for index, (bound, count) in enumerate(zip((*histogram.bounds, None), histogram.counts, strict=True)):
        running += count
        shown = "+Inf" if bound is None else str(bound)
        exemplar = histogram.exemplars.get(index)
        if exemplar is None or len(exemplar[0]) > _LONGEST_EXEMPLAR_ID:
            buckets.append((shown, running))
        else:
            request_id, seconds = exemplar
            buckets.append((shown, running, Exemplar({"request_id": request_id.decode("latin-1")}, seconds)))
    return buckets
