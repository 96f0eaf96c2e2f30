"""How many replicas one deployment should have, and why. PURE.

Once a second, for each deployment:

    up    if requests that come when a new replica could be ready would wait longer than the target,
          in one step to what demand and backlog need
    zero  if there was nothing to do for the idle timeout
    down  if fewer carry the most that was needed lately, and no replica is younger than a start takes

In between nothing changes. `outlook` measures, the rules here choose; `docs/adr/0013` has the reasons for the formula.
"""

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.scaling.capacity import whole
from orchestrator.scaling.outlook import Outlook, look
from orchestrator.scaling.schedules import scheduled_minimum
from orchestrator.scaling.types import (
    Cause,
    LoadSample,
    Override,
    ReplicaSample,
    ScalingDecision,
    ScalingMemory,
    ScalingSettings,
)
from orchestrator.scaling.words import count, seconds
from replicas.types import ReplicaState

COLD_START_S = 60.0
"""Taken where no start was measured yet."""
DRAIN_STARTS, DRAIN_LEAST_S = 0.25, 5.0
"""What will be queued when new replicas are ready shall be done within so many cold starts, and at least so long."""
LIFETIME_STARTS = 1.0
"""Cold starts that a replica is kept at least, once it is ready."""
IDLE_TIMEOUT_STARTS = 4.0
IDLE_TIMEOUT_LEAST_S, IDLE_TIMEOUT_MOST_S = 60.0, 1800.0
NEVER_STARTS = 2.0
"""Who has not started after so many cold starts is not waited for."""


class _Reason(Struct, frozen=True):
    """As `ScalingDecision` has it."""

    cause: Cause
    says: str
    values: dict[str, float]


def decide(
    settings: ScalingSettings,
    loads: Sequence[LoadSample],
    replicas: Sequence[ReplicaSample],
    *,
    cold_start_s: float | None,
    target_wait_s: float,
    memory: ScalingMemory,
    now: float,
    override: Override | None = None,
) -> tuple[ScalingDecision, ScalingMemory]:
    """The number of replicas that the deployment should have at `now`, and what to remember until the next call.

    `loads`: of the routers that report; those that are silent are left out. `replicas`: all that run or start.
    `cold_start_s`: as measured, from the wish for a replica until it is ready. `target_wait_s`: the settings' own, or
    the deployment's target for the first token.
    """
    cold_start_s = COLD_START_S if cold_start_s is None else cold_start_s
    if memory.target is None:
        live = sum(replica.state in (ReplicaState.READY, ReplicaState.STARTING) for replica in replicas)
        memory = replace(memory, target=live)
    outlook, memory = look(memory, loads, replicas, cold_start_s=cold_start_s, target_wait_s=target_wait_s, now=now)
    target, reason = _chosen(settings, override, outlook, memory, now)
    busy = 0 if outlook.idle else max(1, whole(outlook.busy))
    decision = ScalingDecision(
        target=target,
        needed=min(target, busy),
        reason=reason.says,
        cause=reason.cause,
        values=reason.values,
        inputs=outlook.inputs,
    )
    return decision, replace(memory, target=target)


def idle_timeout_s(settings: ScalingSettings, cold_start_s: float) -> float:
    """As set, or so long that keeping a replica has cost some starts."""
    if settings.idle_timeout_s is not None:
        return settings.idle_timeout_s
    return min(max(IDLE_TIMEOUT_STARTS * cold_start_s, IDLE_TIMEOUT_LEAST_S), IDLE_TIMEOUT_MOST_S)


def _chosen(
    settings: ScalingSettings, override: Override | None, outlook: Outlook, memory: ScalingMemory, now: float
) -> tuple[int, _Reason]:
    """Target and reason. Earlier rules go first."""
    if override is not None and (override.until is None or now < override.until):
        return override.replicas, _by_hand(override, now)
    # A window counts from the time at which its replicas must start to be ready when it opens.
    ahead = now + outlook.inputs.cold_start_s
    scheduled = max(scheduled_minimum(settings.schedules, at) for at in (now, ahead))
    low = max(settings.min_replicas, scheduled)
    high = max(settings.max_replicas, low)
    if low == high:
        return low, _fixed(low, scheduled)
    current = memory.target or 0
    if current < low:
        return low, _least(low, scheduled)
    if current > high:
        return high, _Reason(Cause.MAXIMUM, f"At most {count(high, 'replica')} are allowed.", {"replicas": high})
    if not outlook.reported:
        return current, _Reason(Cause.NO_REPORT, "No router reports: nothing is changed until one does.", {})
    return _by_load(settings, outlook, current, low, high)


def _by_hand(override: Override, now: float) -> _Reason:
    says = f"Set to {count(override.replicas, 'replica')} by hand"
    if override.until is None:
        return _Reason(Cause.BY_HAND, f"{says}.", {"replicas": override.replicas})
    left_s = override.until - now
    values = {"replicas": override.replicas, "left_s": left_s}
    return _Reason(Cause.BY_HAND_UNTIL, f"{says} for another {seconds(left_s)}.", values)


def _fixed(number: int, scheduled: int) -> _Reason:
    says = f"Fixed at {count(number, 'replica')}"
    if scheduled == number:
        return _Reason(Cause.SCHEDULE, f"{says} by a schedule.", {"replicas": number})
    return _Reason(Cause.FIXED, f"{says}.", {"replicas": number})


def _least(low: int, scheduled: int) -> _Reason:
    if scheduled == low:
        return _Reason(Cause.SCHEDULE, f"A schedule asks for {count(low, 'replica')}.", {"replicas": low})
    return _Reason(Cause.MINIMUM, f"The minimum is {low}.", {"replicas": low})


def _by_load(settings: ScalingSettings, outlook: Outlook, current: int, low: int, high: int) -> tuple[int, _Reason]:
    inputs = outlook.inputs
    wished = _wished(outlook, current)
    if wished > current:
        why, target = _why_up(outlook, wished), min(wished, high)
        end = f"More than {high} are not allowed." if current == high else f"{current} → {target}."
        return target, replace(why, says=f"{why.says} {end}")
    timeout_s = idle_timeout_s(settings, inputs.cold_start_s)
    if low == 0 and current and _may_sleep(outlook, timeout_s):
        says = f"Nothing to do for {seconds(inputs.idle_s)}: it sleeps until a request comes."
        return 0, _Reason(Cause.SLEEPS, says, {"idle_s": inputs.idle_s})
    enough = max(low, min(current, 1), whole(max(inputs.recent_need, outlook.full)))
    if enough >= current:
        return current, _why_kept(outlook, current, timeout_s if low == 0 else None)
    not_yet = _why_not_yet(outlook, current, enough)
    if not_yet is not None:
        return current, not_yet
    most = f"The most that was needed in the last {seconds(outlook.look_back_s)} was {inputs.recent_need:.1f}."
    values = {"look_back_s": outlook.look_back_s, "need": inputs.recent_need}
    return enough, _Reason(Cause.FEWER, f"{most} {current} → {enough}.", values)


def _why_not_yet(outlook: Outlook, current: int, enough: int) -> _Reason | None:
    """Why a step down that the load allows must wait; None: it need not."""
    if outlook.inputs.queued:
        says = f"Requests wait: all {current} are kept until none does."
        return _Reason(Cause.KEPT_QUEUE, says, {"replicas": current})
    if outlook.seen_s < outlook.look_back_s:
        says = f"{enough} would do, but the load has been watched for only {seconds(outlook.seen_s)}."
        return _Reason(Cause.KEPT_UNKNOWN, says, {"enough": enough, "seen_s": outlook.seen_s})
    lifetime_s = LIFETIME_STARTS * outlook.inputs.cold_start_s
    if outlook.settled_s is None or outlook.settled_s < lifetime_s:
        says = f"{enough} would do, but the youngest replica has not yet run for {seconds(lifetime_s)}."
        return _Reason(Cause.KEPT_YOUNG, says, {"enough": enough, "lifetime_s": lifetime_s})
    return None


def _may_sleep(outlook: Outlook, timeout_s: float) -> bool:
    """Whether there was nothing to do for the timeout, with replicas that were there to do it: one that was only just
    asked for is waited for, unless it never comes."""
    inputs = outlook.inputs
    if outlook.settled_s is None or not inputs.ready:
        return inputs.idle_s >= timeout_s + NEVER_STARTS * inputs.cold_start_s
    return min(inputs.idle_s, outlook.settled_s) >= timeout_s


def _wished(outlook: Outlook, current: int) -> int:
    """Replicas that the load asks for; no more than `current` where those there are do."""
    inputs = outlook.inputs
    if not current:
        return max(1, whole(_with_backlog(outlook))) if inputs.queued else 0
    if inputs.expected_wait_s > inputs.target_wait_s:
        return max(current, whole(max(outlook.rise, _with_backlog(outlook))))
    return max(current, whole(outlook.rise))


def _with_backlog(outlook: Outlook) -> float:
    """For the demand, and for what will be queued when they are ready to be done soon after."""
    drain_s = max(DRAIN_LEAST_S, DRAIN_STARTS * outlook.inputs.cold_start_s)
    return outlook.inputs.demand + outlook.backlog_then_s / drain_s


def _why_up(outlook: Outlook, wished: int) -> _Reason:
    inputs = outlook.inputs
    if not inputs.ready + inputs.starting:
        says = f"{count(inputs.queued, 'request')} came and nothing runs; {count(wished, 'replica')} would do."
        return _Reason(Cause.WAKES, says, {"queued": inputs.queued, "enough": wished})
    if inputs.expected_wait_s > inputs.target_wait_s:
        says = (
            f"In {seconds(inputs.cold_start_s)}, when a new replica could be ready, requests would wait "
            f"{seconds(inputs.expected_wait_s)}, more than {seconds(inputs.target_wait_s)}; "
            f"{count(wished, 'replica')} would do."
        )
        return _Reason(Cause.WAITS, says, {
            "start_s": inputs.cold_start_s, "wait_s": inputs.expected_wait_s, "target_s": inputs.target_wait_s,
            "enough": wished,
        })  # fmt: skip
    says = f"The load of {inputs.arrivals_per_s:.2g} requests/s needs {outlook.rise:.1f} replicas."
    return _Reason(Cause.LOAD, says, {"arrivals": inputs.arrivals_per_s, "need": outlook.rise})


def _why_kept(outlook: Outlook, current: int, timeout_s: float | None) -> _Reason:
    inputs = outlook.inputs
    if not current:
        return _Reason(Cause.ASLEEP, "Nothing to do: it sleeps until a request comes.", {})
    if timeout_s is not None and outlook.idle:
        says = f"Nothing to do for {seconds(inputs.idle_s)}; it sleeps after {seconds(timeout_s)}."
        return _Reason(Cause.IDLE, says, {"idle_s": inputs.idle_s, "timeout_s": timeout_s})
    need = max(inputs.recent_need, outlook.full)
    says = f"{count(current, 'replica')} will do: {need:.1f} were needed lately."
    return _Reason(Cause.ENOUGH, says, {"replicas": current, "need": need})
