"""Families of traffic, each a rate over time from a seed; requests come at random at that rate.

Lengths are drawn from the Azure trace of a chat service, whose own times are one of the families.
"""

from collections.abc import Callable, Sequence
from math import cos, pi
from random import Random

from tests.simulation.scaling.demand import Request
from tests.simulation.traces import azure

Rate = Callable[[float], float]
"""Seconds from the beginning -> requests per second."""


def poisson(rate: Rate, peak: float, duration_s: float, rng: Random) -> Sequence[Request]:
    """Arrivals of a Poisson process whose rate is `rate`, at most `peak` (thinning, Lewis and Shedler 1979)."""
    lengths = azure()
    requests: list[Request] = []
    at = 0.0
    while (at := at + rng.expovariate(peak)) < duration_s:
        if rng.random() * peak < rate(at):
            like = rng.choice(lengths)
            requests.append(Request(at, like.prompt_tokens, like.output_tokens))
    return requests


def recorded(rate: float, duration_s: float, rng: Random) -> Sequence[Request]:
    """A window of the Azure trace, stretched to a mean of `rate`."""
    trace = azure()
    count = int(rate * duration_s)
    copies, count_of_one = divmod(count, len(trace))
    assert not copies, "the trace is not as long"
    first = rng.randrange(len(trace) - count_of_one)
    window = trace[first : first + count_of_one]
    stretch = duration_s / (window[-1].at - window[0].at + 1e-9)
    return [Request((each.at - window[0].at) * stretch, each.prompt_tokens, each.output_tokens) for each in window]


def steady(rate: float) -> Rate:
    """Always the same."""
    return lambda at: rate


def steps(levels: Sequence[float], each_s: float) -> Rate:
    """One level after the other, the last one for good."""
    return lambda at: levels[min(int(at / each_s), len(levels) - 1)]


def ramp(low: float, high: float, duration_s: float) -> Rate:
    """Up in the first half and down in the second."""
    return lambda at: low + (high - low) * (1 - abs(2 * at / duration_s - 1))


def waves(low: float, high: float, period_s: float, phase: float = 0.0) -> Rate:
    """A day after another, `phase` of a period late; the lowest point comes first."""
    return lambda at: low + (high - low) * (1 - cos(2 * pi * (at / period_s - phase))) / 2


def bursts(low: float, high: float, every_s: float, lasts_s: float, duration_s: float, rng: Random) -> Rate:
    """Quiet, with bursts that come at random every `every_s` on average."""
    spans: list[tuple[float, float]] = []
    at = rng.expovariate(1 / every_s)
    while at < duration_s:
        until = at + lasts_s * (0.5 + rng.random())
        spans.append((at, until))
        at = until + rng.expovariate(1 / every_s)
    return lambda at: high if any(since <= at < until for since, until in spans) else low


def crowd(count: int, at: float, rng: Random, over_s: float = 1.0) -> Sequence[Request]:
    """So many requests at nearly the same time."""
    lengths = azure()
    chosen = [rng.choice(lengths) for _ in range(count)]
    times = sorted(at + rng.random() * over_s for _ in range(count))
    return [Request(time, like.prompt_tokens, like.output_tokens) for time, like in zip(times, chosen, strict=True)]
