"""What a run was worth."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from math import ceil

from msgspec import Struct

from tests.simulation.scaling.world import Model, Outcome, World


class Score(Struct, frozen=True, kw_only=True):
    """The figures of one run."""

    violation_s: float
    """Time in which at least one request had waited longer than the target for its first token, summed over models."""
    late: float
    """Share of the requests that did."""
    p99_wait_s: float
    """For the first token."""
    replica_s: float
    """GPU time, from the wish for a replica until its GPU is free, starts and drains included."""
    reversals_per_h: float
    """How often a rise of the target followed a fall, or a fall a rise, in the model that did so most."""
    lost: int
    """Requests that were refused."""
    most_gpus: int


def score(world: World) -> Score:
    """Of a run that has ended."""
    waits = sorted(_wait_s(outcome) for model in world.models for outcome in model.outcomes)
    late = sum(_wait_s(outcome) > model.traffic.target_wait_s for model in world.models for outcome in model.outcomes)
    return Score(
        violation_s=sum(covered_s(_breaches(model)) for model in world.models),
        late=late / max(1, len(waits)),
        p99_wait_s=waits[ceil(0.99 * len(waits)) - 1] if waits else 0.0,
        replica_s=sum(_held_s(model, world.case.duration_s) for model in world.models),
        reversals_per_h=max(reversals([target for _, target in model.targets]) for model in world.models)
        / (world.case.duration_s / 3600),
        lost=sum(outcome.refused_at is not None for model in world.models for outcome in model.outcomes),
        most_gpus=world.most_gpus,
    )


def reversals(targets: Sequence[int]) -> int:
    """Changes of direction."""
    signs = [one < other for one, other in pairwise(targets) if one != other]
    return sum(one is not other for one, other in pairwise(signs))


def covered_s(spans: Iterable[tuple[float, float]]) -> float:
    """Length of the union."""
    total, until = 0.0, float("-inf")
    for start, end in sorted(spans):
        if end > until:
            total += end - max(start, until)
            until = end
    return total


def _wait_s(outcome: Outcome) -> float:
    return float("inf") if outcome.first_at is None else outcome.first_at - outcome.at


def _breaches(model: Model) -> Iterable[tuple[float, float]]:
    """For each late request the time between its target and its first token, or its refusal."""
    for outcome in model.outcomes:
        due = outcome.at + model.traffic.target_wait_s
        told = outcome.first_at if outcome.first_at is not None else outcome.refused_at
        if told is not None and told > due:
            yield due, told


def _held_s(model: Model, until: float) -> float:
    held = 0.0
    for replica in (*model.replicas, *model.gone):
        if replica.started_at is not None and replica.started_at < until:
            held += min(until, until if replica.gone_at is None else replica.gone_at) - replica.started_at
    return held
