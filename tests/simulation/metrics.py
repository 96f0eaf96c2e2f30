"""What is read from a run, and how sure one can be of it.

Every request that came in the measured time counts, whatever became of it. Latencies are from the time at which it was
to be sent.
"""

from collections.abc import Sequence
from math import sqrt
from statistics import fmean, pstdev, stdev

from msgspec import Struct

from tests.simulation.harness import Outcome, Run
from tests.simulation.loads import Load

# Two-sided 95 % quantiles of Student's t by degrees of freedom.
_T_95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131)


class Figures(Struct, frozen=True, kw_only=True):
    """Of one run."""

    goodput: float
    """Requests per second that met both targets."""
    offered: float
    """Requests per second."""
    ttft_p50_s: float
    ttft_p99_s: float
    itl_s: float
    """Mean over the requests of the mean time between two tokens."""
    hit_rate: float
    """Cached prompt tokens ÷ prompt tokens, of the requests that were answered."""
    imbalance: float
    """Standard deviation of the requests inside across replicas, on average over time, ÷ their mean."""
    refused: float
    """Share of the requests."""
    believed: float
    """Prompt tokens that the router took to be cached ÷ those that were."""


def _itl_s(outcome: Outcome) -> float:
    gaps = outcome.arrival.output_tokens - 1
    return (outcome.ended_at - outcome.first_at) / gaps if gaps else 0.0


def met_targets(outcome: Outcome, load: Load) -> bool:
    """Whether the user of this request has no complaint."""
    if outcome.refused:
        return False
    return outcome.first_at - outcome.arrival.at <= load.target_ttft_s and _itl_s(outcome) <= load.target_itl_s


def quantile(values: Sequence[float], share: float) -> float:
    """Nearest rank; infinity counts as a value."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def figures(run: Run) -> Figures:
    """What is read from `run`."""
    load = run.load
    counted = [each for each in run.outcomes if each.arrival.at >= load.measured_from_s]
    answered = [each for each in counted if not each.refused]
    ttft = [float("inf") if each.refused else each.first_at - each.arrival.at for each in counted]
    cached = sum(each.cached_tokens for each in answered)
    return Figures(
        goodput=sum(met_targets(each, load) for each in counted) / load.measured_s,
        offered=len(counted) / load.measured_s,
        ttft_p50_s=quantile(ttft, 0.5),
        ttft_p99_s=quantile(ttft, 0.99),
        itl_s=fmean([_itl_s(each) for each in answered if each.arrival.output_tokens > 1] or [0.0]),
        hit_rate=cached / max(1, sum(each.arrival.prompt_tokens for each in answered)),
        imbalance=imbalance(run.in_flight),
        refused=1 - len(answered) / len(counted),
        believed=sum(each.expected_cached_tokens for each in answered) / max(1, cached),
    )


def imbalance(samples: Sequence[Sequence[int]]) -> float:
    """Coefficient of variation across replicas, of samples taken over time."""
    mean = fmean([fmean(sample) for sample in samples] or [0.0])
    return fmean([pstdev(sample) for sample in samples]) / mean if mean else 0.0


class Estimate(Struct, frozen=True):
    """A mean and half of its 95 % confidence interval, by Student's t over independent seeds."""

    mean: float
    half: float

    @property
    def low(self) -> float:
        return self.mean - self.half

    @property
    def high(self) -> float:
        return self.mean + self.half

    def __str__(self) -> str:
        return f"{self.mean:.3g} ±{self.half:.2g}"


def estimate(values: Sequence[float]) -> Estimate:
    """Of what was measured with different seeds; half of the interval is infinite for a single one."""
    if len(values) < 2:
        return Estimate(values[0], float("inf"))
    quantile_t = _T_95[len(values) - 2] if len(values) - 2 < len(_T_95) else 2.0
    return Estimate(fmean(values), quantile_t * stdev(values) / sqrt(len(values)))


def ratio(values: Sequence[float], others: Sequence[float]) -> Estimate:
    """Of `values` to `others` seed by seed: the same seed is the same load, so most of its luck cancels out."""
    return estimate([value / other if other else 1.0 for value, other in zip(values, others, strict=True)])
