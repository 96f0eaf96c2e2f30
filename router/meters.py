"""What one model's requests measure: plain numbers that one thread adds to. PURE."""

from bisect import bisect_left
from collections.abc import Sequence

from router.histogram import SECONDS, Counts, added
from router.types import ModelTotals, Priority

_BETWEEN_TOKENS = (0.001, 0.0025, 0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.06, 0.1, 0.2, 0.5, 1.0, 2.5, 10.0)


class Histogram:
    """Counts of seconds by bucket, and the newest request in each."""

    __slots__ = ("bounds", "counts", "exemplars", "total_s")

    def __init__(self, bounds: Sequence[float] = SECONDS) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total_s = 0.0
        self.exemplars: dict[int, tuple[bytes, float]] = {}

    def observe(self, seconds: float, request_id: bytes | None = None) -> None:
        """Adds one measurement."""
        bucket = bisect_left(self.bounds, seconds)
        self.counts[bucket] += 1
        self.total_s += seconds
        if request_id is not None:
            self.exemplars[bucket] = (request_id, seconds)


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

    def totals(self) -> ModelTotals:
        """What ended since the start, over all classes."""
        codes = self.codes
        first_token: Counts = ()
        queue: Counts = ()
        for meter in self.by_class.values():
            if meter.codes:
                first_token = added(first_token, meter.first_token.counts)
                queue = added(queue, meter.queue.counts)
        return ModelTotals(
            requests=sum(codes.values()),
            errors=sum(count for code, count in codes.items() if code >= 500),
            refusals=codes.get(429, 0),
            prompt_tokens=self.prompt_tokens,
            generated_tokens=self.generated_tokens,
            first_token_s=first_token,
            queue_s=queue,
        )

    def retry(self, reason: str) -> None:
        """A request goes to another replica, or again over a new connection."""
        self.retries[reason] = self.retries.get(reason, 0) + 1

    def shed(self, reason: str) -> None:
        """A request was turned away because too much waited."""
        self.sheds[reason] = self.sheds.get(reason, 0) + 1

    def continued(self, outcome: str) -> None:
        """A stream lost its replica: `continued`, `finished`, `not_eligible` or `impossible`."""
        self.continuations[outcome] = self.continuations.get(outcome, 0) + 1
