"""The loads of the study, and how heavy they are made.

How many requests a second a load brings is a share of what its fleet can carry, the same for every policy: the
balance sheet of `bounds.capacity_rate`, at the reuse of one pooled cache, times the case's `knee`. The knee is where a
load stops being easy for anybody: the largest multiple of the balance at which the best of all policies, the oracles
included, still meets the targets of 95 % of the requests (bisected to 5 % on seed 0, which the study does not use).
"""

from collections.abc import Mapping, Sequence
from functools import cache

from msgspec import Struct

from replicas.types import SimulationSettings
from tests.simulation import synthetic
from tests.simulation.bounds import capacity_rate, reuse_bounds
from tests.simulation.loads import Generator, Load, without_lone_blocks
from tests.simulation.traces import azure_load, mooncake_load

WARM_UP = 0.25
"""Share of a load's time that is not measured."""
LEVELS: Mapping[str, float] = {"light": 0.6, "near": 0.95, "over": 1.2}
"""Offered rate relative to what the fleet can carry."""

_CARD = SimulationSettings()
"""Like a 7B model on a 24 GB card: 8,000 tokens/s read, 20 ms a token, 65,536 tokens of KV cache."""
_LARGE_CACHE = SimulationSettings(kv_capacity_tokens=131_072)
"""The same with weights and cache in FP8."""
_FAST = SimulationSettings(prefill_tokens_per_s=16_000, inter_token_s=0.012, inter_token_per_running_s=0.0003)
_SLOW = SimulationSettings(prefill_tokens_per_s=3_500, inter_token_s=0.035, inter_token_per_running_s=0.001)


class Case(Struct, frozen=True, kw_only=True):
    """A load at any rate."""

    generate: Generator
    fleet: Sequence[SimulationSettings]
    knee: float
    """See the module."""
    reuse: bool = True
    """Whether prompts have beginnings in common."""
    joins_at: Sequence[float] = ()
    """Of the last replicas of the fleet, when they become ready, as shares of the load's time."""


CASES: Mapping[str, Case] = {
    "mooncake": Case(generate=mooncake_load(shrink_answers=False), knee=1.0, fleet=(_LARGE_CACHE,) * 8),
    "mooncake-short": Case(generate=mooncake_load(shrink_answers=True), knee=0.82, fleet=(_LARGE_CACHE,) * 8),
    "mooncake-small-cache": Case(generate=mooncake_load(shrink_answers=False), knee=0.86, fleet=(_CARD,) * 8),
    "azure": Case(generate=azure_load(), knee=0.97, fleet=(_CARD,) * 8, reuse=False),
    "strangers": Case(generate=synthetic.strangers(), knee=0.97, fleet=(_CARD,) * 6, reuse=False),
    "strangers-bursts": Case(
        generate=synthetic.strangers(times=synthetic.bursts), knee=0.56, fleet=(_CARD,) * 6, reuse=False
    ),
    "tenants": Case(generate=synthetic.tenants(), knee=1.05, fleet=(_CARD,) * 6),
    "tenants-bursts": Case(generate=synthetic.tenants(times=synthetic.bursts), knee=0.67, fleet=(_CARD,) * 6),
    "tenants-many": Case(generate=synthetic.tenants(groups=500, exponent=0.7), knee=0.97, fleet=(_CARD,) * 8),
    "tenants-unstreamed": Case(generate=synthetic.tenants(streamed_share=0.3), knee=1.05, fleet=(_CARD,) * 6),
    "chats": Case(generate=synthetic.chats(), knee=1.12, fleet=(_LARGE_CACHE,) * 4),
    "agents": Case(generate=synthetic.agents(), knee=1.9, fleet=(_LARGE_CACHE,) * 4),
    "documents": Case(generate=synthetic.documents(), knee=0.5, fleet=(_CARD,) * 6),
    "hot-document": Case(generate=synthetic.hot_document(), knee=1.27, fleet=(_CARD,) * 8),
    "unequal": Case(
        generate=synthetic.mixed((0.6, synthetic.tenants()), (0.4, synthetic.chats())),
        knee=0.97,
        fleet=(_FAST, _FAST, _CARD, _CARD, _SLOW, _SLOW, _SLOW),
    ),
    "unequal-strangers": Case(
        generate=synthetic.strangers(), knee=0.9, fleet=(_FAST, _FAST, _CARD, _CARD, _SLOW, _SLOW, _SLOW), reuse=False
    ),
    "join": Case(generate=synthetic.tenants(), knee=0.97, fleet=(_CARD,) * 6, joins_at=(0.4,)),
}


@cache
def _usual_rate(name: str) -> float:
    """Requests per second that the case's fleet can carry, to begin with."""
    load = _made(name, 10.0, 0, 1000)
    return capacity_rate(load, reuse_bounds(load).pooled)


def load_of(name: str, level: float, seed: int, requests: int) -> Load:
    """`requests` requests of a case, at `level` times what its fleet can carry of just these requests."""
    guess = level * CASES[name].knee * _usual_rate(name)
    load = _made(name, guess, seed, requests)
    return _made(name, level * CASES[name].knee * capacity_rate(load, reuse_bounds(load).pooled), seed, requests)


def _made(name: str, rate: float, seed: int, requests: int) -> Load:
    case = CASES[name]
    arrivals = without_lone_blocks(case.generate(rate, seed, requests))
    span = arrivals[-1].at
    return Load(
        name=name,
        arrivals=arrivals,
        fleet=case.fleet,
        joins=[share * span for share in case.joins_at],
        measured_from_s=WARM_UP * span,
    )
