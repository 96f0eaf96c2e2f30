"""Other kinds of traffic than the study's, drawn at random: how well a choice of constants carries over.

The last three were not looked at while the autoscaler was built.
"""

from math import exp, log
from random import Random

from msgspec.structs import replace

from tests.simulation.scaling.demand import Case, Request
from tests.simulation.scaling.fleets import CARRIES, Builder, one_model
from tests.simulation.scaling.traffic import poisson, recorded, steady, waves
from tests.simulation.traces import azure

_WALK_STEP_S = 10.0


def _random_levels(fleet: str, duration_s: float, rng: Random) -> Case:
    unit = CARRIES[fleet]
    levels: list[tuple[float, float]] = []
    at = 0.0
    while at < duration_s:
        levels.append((at, unit * rng.uniform(0.3, 4.2)))
        at += rng.expovariate(1 / 300) + 60

    def rate(at: float) -> float:
        return [level for since, level in levels if since <= at][-1]

    return one_model("random levels", fleet, poisson(rate, 4.2 * unit, duration_s, rng), duration_s, 2)


def _random_walk(fleet: str, duration_s: float, rng: Random) -> Case:
    unit = CARRIES[fleet]
    logarithm = rng.uniform(log(0.6), log(2.5))
    rates: list[float] = []
    for _ in range(int(duration_s / _WALK_STEP_S) + 2):
        logarithm = min(max(logarithm + rng.gauss(0, 0.1), log(0.3)), log(4.5))
        rates.append(unit * exp(logarithm))

    def rate(at: float) -> float:
        index, rest = divmod(at / _WALK_STEP_S, 1)
        return rates[int(index)] * (1 - rest) + rates[int(index) + 1] * rest

    requests = poisson(rate, 4.5 * unit, duration_s, rng)
    return one_model("random walk", fleet, requests, duration_s, round(rates[0] / unit + 0.6))


def _any_level(fleet: str, duration_s: float, rng: Random) -> Case:
    unit = CARRIES[fleet]
    level = unit * rng.uniform(0.4, 4.5)
    requests = poisson(steady(level), level, duration_s, rng)
    return replace(one_model("any level", fleet, requests, duration_s, round(level / unit + 0.6)), stationary=True)


def _any_azure(fleet: str, duration_s: float, rng: Random) -> Case:
    share = rng.uniform(0.5, 2.0)
    requests = recorded(CARRIES[fleet] * share, duration_s, rng)
    return one_model("azure, any rate", fleet, requests, duration_s, round(share + 0.6))


def _any_waves(fleet: str, duration_s: float, rng: Random) -> Case:
    unit = CARRIES[fleet]
    rate = waves(0.3 * unit, rng.uniform(2, 4) * unit, duration_s / rng.choice((1, 1.5, 2, 3)), rng.random())
    return one_model("waves of any length", fleet, poisson(rate, 4 * unit, duration_s, rng), duration_s, 2)


def _clumps(fleet: str, duration_s: float, rng: Random) -> Case:
    """Requests come several at a time."""
    most = 2.5 * CARRIES[fleet] / 4
    known, requests = azure(), []
    for first in poisson(waves(most / 12.5, most, duration_s), most, duration_s, rng):
        for behind in range(rng.randint(1, 7)):
            lengths = rng.choice(known)
            at = min(duration_s - 1e-3, first.at + behind * 0.2)
            requests.append(Request(at, lengths.prompt_tokens, lengths.output_tokens))
    return one_model("clumps", fleet, sorted(requests, key=lambda each: each.at), duration_s, 1)


def _saw_teeth(fleet: str, duration_s: float, rng: Random) -> Case:
    unit = CARRIES[fleet]
    period_s = duration_s / rng.choice((2, 3, 4))
    low, high = 0.4 * unit, rng.uniform(2.5, 4) * unit

    def rate(at: float) -> float:
        return low + (high - low) * ((at % period_s) / period_s)

    return one_model("saw teeth", fleet, poisson(rate, 4 * unit, duration_s, rng), duration_s, 1)


def _plateau(fleet: str, duration_s: float, rng: Random) -> Case:
    """Quiet, then high for a while, with soft shoulders."""
    unit = CARRIES[fleet]
    up, down = rng.uniform(0.2, 0.4) * duration_s, rng.uniform(0.6, 0.8) * duration_s
    softness_s, high = rng.uniform(20, 120), rng.uniform(1.5, 4) * unit

    def rate(at: float) -> float:
        return 0.3 * unit + high / (1 + exp(-(at - up) / softness_s)) / (1 + exp((at - down) / softness_s))

    return one_model("plateau", fleet, poisson(rate, 4.4 * unit, duration_s, rng), duration_s, 1)


OTHERS: dict[str, Builder] = {
    "random-levels": _random_levels,
    "random-walk": _random_walk,
    "any-level": _any_level,
    "any-azure": _any_azure,
    "any-waves": _any_waves,
    "clumps": _clumps,
    "saw-teeth": _saw_teeth,
    "plateau": _plateau,
}
