"""What one deployment has to do now, and what it will have to do when a replica started now could be ready. PURE."""

from collections.abc import Sequence
from math import sqrt

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.scaling.capacity import SPARE_DOWN, SPARE_UP, Capacity, capacity_of
from orchestrator.scaling.demand import (
    HISTORY_S,
    SILENT_AFTER_S,
    Queue,
    arrivals_per_s,
    growth_per_s2,
    observe,
    queue_of,
    settled_rate,
)
from orchestrator.scaling.rates import estimate, learn
from orchestrator.scaling.saturation import corrected
from orchestrator.scaling.surprise import room_for, watched
from orchestrator.scaling.types import DemandMemory, LoadSample, ReplicaSample, ScalingInputs, ScalingMemory
from replicas.types import ReplicaState

RISE_WINDOWS_S = (5.0, 10.0, 20.0, 40.0)
"""Over which a rise of the arrivals is looked for, with `DOUBT` standard deviations taken off."""
DOUBT = 3.5
"""Each second four windows are asked: with less, chance alone would show a rise more than once an hour."""
RISEN_DOUBT, STEADY_DOUBT, NEED_DOUBT = 1.0, 0.5, 2.0
"""Standard deviations that are taken off a rate which has risen and off one that is steady before there are more
replicas for it, and added to it before there are fewer: in between, nothing is certain enough to change anything."""
STEADY_S, NEED_S = 60.0, 30.0
"""The least time over which arrivals are averaged for a step up, and for a step down."""
LOOK_BACK_STARTS, LOOK_BACK_LEAST_S, LOOK_BACK_MOST_S = 2.0, 60.0, 800.0
"""A step down looks back so many cold starts, within bounds."""
IDLE_STARTS, IDLE_LEAST_S = 0.25, 5.0
"""Without anything to do for so many cold starts, and at least so long, a deployment is idle."""
_OVERDUE = 0.5
"""A start that takes longer than believed is believed to take that share of its time more."""
_SLICE_S = 5.0
_HALF_DONE = 0.5
"""What is left to do, on average, of a request that runs."""


class Outlook(Struct, frozen=True, kw_only=True):
    """See the module."""

    inputs: ScalingInputs
    reported: bool
    """False: no router was heard of lately, so nothing is known of the load."""
    rise: float
    """Replicas for the demand as far as it is sure, with a rise of the last seconds."""
    busy: float
    """Of those and of what is needed, without the room for what nobody foresees: others may have that."""
    backlog_then_s: float
    """Work that will be queued when a replica started now would be ready."""
    full: float
    """Replicas that would be full with the requests that run now."""
    settled_s: float | None
    """How long the youngest replica has been ready; None while one starts."""
    idle: bool
    look_back_s: float
    seen_s: float
    """For how long needs have been written down."""


def look(
    memory: ScalingMemory,
    loads: Sequence[LoadSample],
    replicas: Sequence[ReplicaSample],
    *,
    cold_start_s: float,
    target_wait_s: float,
    now: float,
) -> tuple[Outlook, ScalingMemory]:
    """Takes in what is reported, and says what it means."""
    demand, answers = observe(memory.demand, loads, now)
    memory = replace(memory, demand=demand, rates=learn(memory.rates, replicas, now))
    queue = queue_of(demand, now)
    ready = [replica for replica in replicas if replica.state is ReplicaState.READY]
    capacity = _capacity(memory, replicas, target_wait_s)
    saturation, correction = corrected(
        memory.saturation, memory.correction, queued=queue.queued, ready=len(ready), answers=answers,
        capacity=capacity, now=now,
    )  # fmt: skip
    memory = replace(memory, saturation=saturation, correction=correction)
    capacity = _capacity(memory, replicas, target_wait_s)
    memory = replace(
        memory, surprise=watched(memory.surprise, demand, _foretold(demand, cold_start_s, now), cold_start_s, now)
    )
    need = _need(memory, capacity, now, room_for(memory.surprise))
    memory = replace(memory, needs=_with_need(memory.needs, need, now))
    starts = _starts_left_s(memory, replicas, cold_start_s, now)
    return _outlook(memory, capacity, queue, ready, starts, cold_start_s, need, now), memory


def _capacity(memory: ScalingMemory, replicas: Sequence[ReplicaSample], target_wait_s: float) -> Capacity:
    return capacity_of(
        estimate(memory.rates),
        replicas,
        prompt_tokens=memory.demand.prompt_tokens,
        output_tokens=memory.demand.output_tokens,
        correction=memory.correction,
        target_wait_s=target_wait_s,
    )


def _foretold(demand: DemandMemory, cold_start_s: float, now: float) -> float:
    """The rate a cold start from now: a mean is half its window old, and what rises goes on rising."""
    steady, _ = settled_rate(demand, now, least_s=STEADY_S)
    return steady + growth_per_s2(demand, now) * (STEADY_S / 2 + cold_start_s)


def _need(memory: ScalingMemory, capacity: Capacity, now: float, room: float) -> float:
    """Replicas that are surely enough for what came lately, with room for so many more requests per second."""
    rate, over_s = settled_rate(memory.demand, now, least_s=NEED_S)
    rate += NEED_DOUBT * sqrt(rate / over_s)
    return capacity.replicas_for(rate * capacity.request_s, SPARE_DOWN, room * capacity.request_s)


def _with_need(needs: tuple[tuple[float, float], ...], need: float, now: float) -> tuple[tuple[float, float], ...]:
    if needs and now - needs[-1][0] < _SLICE_S:
        return (*needs[:-1], (needs[-1][0], max(needs[-1][1], need)))
    return (*(each for each in needs if now - each[0] < HISTORY_S), (now, need))


def _starts_left_s(
    memory: ScalingMemory, replicas: Sequence[ReplicaSample], cold_start_s: float, now: float
) -> list[float]:
    """Seconds until each replica is ready that starts, or that was asked for and is not seen yet."""
    left: list[float] = []
    for replica in replicas:
        if replica.state is ReplicaState.STARTING:
            elapsed_s = now - replica.started_at
            left.append(max(cold_start_s - elapsed_s, _OVERDUE * elapsed_s if elapsed_s > cold_start_s else 0.0))
    there = len(left) + sum(replica.state is ReplicaState.READY for replica in replicas)
    return left + [cold_start_s] * max(0, (memory.target or 0) - there)


def _sure(demand: DemandMemory, now: float) -> float:
    """What comes at least: of the steady rate, or of the window which shows most surely that it has risen."""
    steady, over_s = settled_rate(demand, now, least_s=STEADY_S)
    surest, risen = steady, steady - STEADY_DOUBT * sqrt(steady / over_s)
    for window_s in RISE_WINDOWS_S:
        at_least = arrivals_per_s(demand, window_s, now, doubt=DOUBT)
        if at_least > surest:
            surest, risen = at_least, arrivals_per_s(demand, window_s, now, doubt=RISEN_DOUBT)
    return max(0.0, risen)


def _outlook(
    memory: ScalingMemory,
    capacity: Capacity,
    queue: Queue,
    ready: Sequence[ReplicaSample],
    starts_left_s: Sequence[float],
    cold_start_s: float,
    need: float,
    now: float,
) -> Outlook:
    demand = memory.demand
    steady, _ = settled_rate(demand, now, least_s=STEADY_S)
    sure = _sure(demand, now)
    ahead = _foretold(demand, cold_start_s, now)
    answers_s = queue.queued * (capacity.request_s - capacity.prompt_s)
    backlog_s = answers_s + queue.queued_tokens * capacity.prompt_token_s
    supply_s = len(ready) * cold_start_s + sum(max(0.0, cold_start_s - left_s) for left_s in starts_left_s)
    room_s = max(0.0, len(ready) * capacity.batch - queue.in_flight) * capacity.request_s * _HALF_DONE
    backlog_then_s = max(0.0, backlog_s + sure * capacity.request_s * cold_start_s - supply_s - room_s)
    rising = max(sure, ahead if ahead > steady else 0.0) * capacity.request_s
    fleet = len(ready) + len(starts_left_s)
    active_at = now if demand.active_at is None else demand.active_at
    look_back_s = min(LOOK_BACK_MOST_S, max(LOOK_BACK_LEAST_S, LOOK_BACK_STARTS * cold_start_s))
    inputs = ScalingInputs(
        arrivals_per_s=steady,
        prompt_tokens=demand.prompt_tokens,
        output_tokens=demand.output_tokens,
        demand=steady * capacity.request_s,
        backlog_s=backlog_s,
        queued=queue.queued,
        in_flight=queue.in_flight,
        oldest_wait_s=queue.oldest_wait_s,
        expected_wait_s=backlog_then_s / fleet if fleet else cold_start_s * bool(backlog_s),
        needed=need,
        recent_need=max((value for at, value in memory.needs if now - at <= look_back_s), default=need),
        ready=len(ready),
        starting=len(starts_left_s),
        cold_start_s=cold_start_s,
        target_wait_s=capacity.target_wait_s,
        idle_s=now - active_at,
    )
    settled = [now - (replica.ready_at or replica.started_at) for replica in ready]
    return Outlook(
        inputs=inputs,
        reported=any(now - sample.at <= SILENT_AFTER_S for sample in demand.routers.values()),
        rise=capacity.replicas_for(rising, SPARE_UP, room_for(memory.surprise) * capacity.request_s),
        busy=max(capacity.replicas_for(rising, SPARE_UP), _need(memory, capacity, now, 0.0)),
        backlog_then_s=backlog_then_s,
        full=queue.in_flight / capacity.batch,
        settled_s=None if starts_left_s else min(settled, default=0.0),
        idle=now - active_at >= max(IDLE_LEAST_S, IDLE_STARTS * cold_start_s),
        look_back_s=look_back_s,
        seen_s=now - memory.needs[0][0],
    )
