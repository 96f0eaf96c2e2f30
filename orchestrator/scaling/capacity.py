"""How many replicas a load needs, in seconds of a replica's time. PURE.

Work is what a request costs a replica that is as full as it should get (`EngineRates.request_s`). A demand of `d`
seconds of work a second keeps `d` such replicas busy. Because requests come in clumps, that is not enough: the work of
`T` seconds has a standard deviation of about `sqrt(d * request_s * T)`, so `d + z * sqrt(d * request_s / T)` replicas
are needed for it to pass in time (square-root staffing, Halfin and Whitt 1981). `T` is the time over which a clump may
be spread: what a request may wait, and the time that a replica's running requests take to turn over.

Prompts are read one after the other, and nobody's first token comes before its own is read. So the same holds for the
work of reading alone, with what a request may wait as `T`: a clump of prompts is not spread by what decodes beside it.
"""

from collections.abc import Sequence
from math import ceil, hypot, sqrt

from msgspec import Struct

from orchestrator.scaling.types import EngineRates, ReplicaSample

_DEFAULT_BATCH = 32.0
"""Requests that a replica runs at once where it does not say."""
SPARE_UP, SPARE_DOWN = 2.0, 3.0
"""`z`: standard deviations of a clump that there is room for. Simulated fleets of one to three cards keep a target of
2 s on a steady load with 1.5. More must be free for a step down than was missing for a step up, so that one does not
follow from the other."""
_BETWEEN_STEPS = 1.1
"""Reading takes so much longer because those that decode go on in between."""
_UNEVEN = 2.0
"""Mean square of a prompt's length relative to the square of the mean: some are much longer than others."""


class Capacity(Struct, frozen=True, kw_only=True):
    """What one replica can do of this deployment's requests."""

    request_s: float
    """Of its time, for a request of mean size, when it is full."""
    prompt_token_s: float
    prompt_s: float
    """Of `request_s`, for reading the prompt."""
    batch: float
    """Requests that it runs at once."""
    target_wait_s: float

    @property
    def turnover_s(self) -> float:
        """In which a full replica's requests have all been replaced by others."""
        return self.batch * self.request_s

    def replicas_for(self, demand: float, spare: float, surprise: float = 0.0) -> float:
        """That carry `demand` seconds of work a second, clumps of `spare` standard deviations, and rises of `surprise`
        that nobody foresaw."""
        reading = demand * self.prompt_s / self.request_s
        clumps = spare * sqrt(demand * self.request_s / (self.target_wait_s + self.turnover_s))
        return max(
            demand + hypot(clumps, surprise),
            reading * _BETWEEN_STEPS + spare * sqrt(reading * self.prompt_s * _UNEVEN / self.target_wait_s),
        )


def capacity_of(
    rates: EngineRates,
    replicas: Sequence[ReplicaSample],
    *,
    prompt_tokens: float,
    output_tokens: float,
    correction: float,
    target_wait_s: float,
) -> Capacity:
    """Of the replicas, which are taken to be alike; the first that says how much it takes speaks for all."""
    limits: list[float] = []
    for replica in replicas:
        if replica.max_running:
            limits.append(float(replica.max_running))
        if replica.kv_capacity_tokens:
            limits.append(max(1.0, replica.kv_capacity_tokens / max(1.0, prompt_tokens + output_tokens)))
    batch = min(limits, default=_DEFAULT_BATCH)
    return Capacity(
        request_s=rates.request_s(prompt_tokens, output_tokens, batch) * correction,
        prompt_token_s=rates.prompt_token_s * correction,
        prompt_s=rates.prompt_token_s * prompt_tokens * correction,
        batch=batch,
        target_wait_s=target_wait_s,
    )


def whole(replicas: float) -> int:
    """Replicas that are enough for `replicas` of them, where a hundredth is nothing."""
    return ceil(replicas - 0.01)
