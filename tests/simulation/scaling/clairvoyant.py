"""The least GPU time for a run, for somebody who knows what will come.

A plan gives each model, for every second, the replicas that what arrives within the next moments keeps busy, times a
factor. Starts are asked for so early that replicas are ready in time, and a gap is bridged where that is cheaper than
another start. Plans with several factors and moments are run through the same simulation; of those that keep the
target at least as well as the one compared with, the cheapest counts. It is what a plan of this form can do: a lower
bound is not proved, a way to get there is shown.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise, product
from math import ceil

from orchestrator.scaling.types import EngineRates
from replicas.types import SimulationSettings
from tests.simulation.scaling.demand import Case, Traffic
from tests.simulation.scaling.metrics import Score, score
from tests.simulation.scaling.world import World, run

FACTORS = (0.75, 0.85, 0.95, 1.0, 1.1, 1.25)
MOMENTS_S = (10, 30, 80)
LINGERS_S = 10
"""Requests take so long to end: what comes in a moment is carried a little longer."""


class Clairvoyant:
    """Carries out a plan: replicas that must be ready in each second, by model."""

    def __init__(self, plans: Mapping[str, Sequence[int]], cold_start_s: float) -> None:
        self._targets = {name: _ahead(plan, ceil(cold_start_s)) for name, plan in plans.items()}

    def tick(self, world: World, now: float) -> None:
        """See `Scaler`."""
        targets = {}
        for model in world.models:
            plan = self._targets[model.traffic.model]
            targets[model.traffic.model] = plan[min(int(now), len(plan) - 1)]
        for model in sorted(world.models, key=lambda each: targets[each.traffic.model] - len(each.active())):
            world.scale(model, targets[model.traffic.model])
        world.targets(targets)


def best_of(case: Case, *, factors: Sequence[float] = FACTORS, moments_s: Sequence[int] = MOMENTS_S) -> list[Score]:
    """Scores of all plans, the cheapest first."""
    scores = []
    for factor, moment_s in product(factors, moments_s):
        plans = {each.model: plan(case, each, factor, moment_s) for each in case.traffic}
        scores.append(score(run(case, Clairvoyant(plans, case.fleet.cold_start_s), spread=0.0)))
    return sorted(scores, key=lambda each: each.replica_s)


def cheapest_as_good_as(scores: Sequence[Score], violation_s: float) -> Score | None:
    """The cheapest of the plans that violate the target no longer; None if none does."""
    return next((each for each in scores if each.violation_s <= violation_s + 1e-6), None)


def plan(case: Case, traffic: Traffic, factor: float, moment_s: int) -> list[int]:
    """Replicas that should be ready in each second."""
    seconds = ceil(case.duration_s) + 1
    work = [0.0] * seconds
    for request in traffic.requests:
        second = min(int(request.at), seconds - 1)
        work[second] += work_s(case.fleet.engine, request.prompt_tokens, request.output_tokens)
    summed = [0.0]
    for each in work:
        summed.append(summed[-1] + each)
    wanted = []
    for at in range(seconds):
        since, until = max(0, at - LINGERS_S), min(seconds, at + moment_s)
        carried = (summed[until] - summed[since]) / (until - since)
        wanted.append(min(max(ceil(carried * factor - 1e-9), traffic.min_replicas), traffic.max_replicas))
    return _bridged(wanted, ceil(case.fleet.cold_start_s))


def work_s(engine: SimulationSettings, prompt_tokens: int, output_tokens: int) -> float:
    """Seconds of a full replica's time that a request takes."""
    rates = EngineRates(
        prompt_token_s=1 / engine.prefill_tokens_per_s,
        step_s=engine.inter_token_s - engine.inter_token_per_running_s,
        output_token_s=engine.inter_token_per_running_s,
    )
    batch = min(engine.max_running, engine.kv_capacity_tokens / (prompt_tokens + output_tokens))
    return rates.request_s(prompt_tokens, output_tokens, batch)


def _bridged(wanted: list[int], cold_start_s: int) -> list[int]:
    """Without gaps that are shorter than a start: keeping is cheaper than starting again."""
    bridged = list(wanted)
    for level in range(1, max(wanted, default=0) + 1):
        needed = [at for at, count in enumerate(wanted) if count >= level]
        for one, other in pairwise(needed):
            if 1 < other - one <= cold_start_s:
                for at in range(one + 1, other):
                    bridged[at] = max(bridged[at], level)
    return bridged


def _ahead(wanted: Sequence[int], cold_start_s: int) -> list[int]:
    """What must have been asked for: the most that is wanted until a start would be over."""
    return [max(wanted[at : at + cold_start_s + 1]) for at in range(len(wanted))]
