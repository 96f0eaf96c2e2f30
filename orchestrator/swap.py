"""How a deployment comes to serve other weights: a state machine over what is seen. PURE.

    in place   queued → preparing → first → rolling → done
                            └────────┴──→ failed               (the old weights are active)
    surge, restart   queued → preparing → restarting → done
                                              └→ undoing → failed

`advance` looks at states, never at events: it may be called at any time, twice, or for the first time after a stop of
the orchestrator, with the entry that was written last. The caller writes the entry that it gives back before it
carries the actions out. What an action asks for is asked again until it is seen; each is harmless the second time.

A replica that was told to swap does all of it by itself and is never left cordoned, whoever dies. Weights are active
from the moment at which the first replica has proved them: what starts before that loads the old ones, what starts
after it the new ones. So at every moment one revision is active, and it is one that has been proved to run.
"""

from collections.abc import Sequence

from msgspec import Struct, structs

from orchestrator.types import (
    Activate,
    EndReplica,
    PrepareReplica,
    Swap,
    SwapAction,
    SwapReplica,
    SwapStep,
    SwapStrategy,
    Weights,
)
from replicas.types import Endpoint, ReplicaState, SwapPhase, SwapReport

PREPARING_S = 1800.0
"""Longest time to fetch and read the new weights."""
STARTING_S = 1800.0
"""Longest time for new replicas to start."""
LOST_S = 5.0
"""A replica that is not seen for so long has died: a store that starts again is without its replicas for a moment."""
RELOADING_S = 600.0
"""Longest time from the end of the drain to the proof."""
_NOT_TAKEN = (SwapPhase.REFUSED, SwapPhase.FAILED)

Advanced = tuple[Swap, tuple[SwapAction, ...]]


class Seen(Struct, frozen=True, kw_only=True):
    """What there is of the deployment now."""

    active: str
    """The revision that it serves, as the store has it."""
    generation: int
    """Of the deployment, as the store has it."""
    wanted_replicas: int
    endpoints: Sequence[Endpoint]
    """Its replicas of the newest spec, in any state."""
    outgoing: int = 0
    """Replicas of older specs that still take requests."""
    failure: str = ""
    """Why replicas of the newest spec do not start, once nobody tries any more."""


def advance(swap: Swap, seen: Seen, now: float) -> Advanced:
    """The entry as it shall be written, and then what to do. `now`: Unix seconds."""
    if not swap.active:
        return swap, ()
    return _STEPS[swap.step](swap, seen, now)


def strays(seen: Seen) -> tuple[EndReplica, ...]:
    """A replica, one at a time, that must start again: no swap is on, and it serves other weights than the active ones,
    or is cordoned."""
    lost = [
        each.replica_id
        for each in seen.endpoints
        if each.state is ReplicaState.CORDONED or (each.state is ReplicaState.READY and each.revision != seen.active)
    ]
    return tuple(EndReplica(replica_id) for replica_id in lost[:1])


def turn_back(swap: Swap, now: float, reason: str) -> Swap:
    """The entry of a swap that replaces replicas, once it shall not go on: it goes back to the old weights."""
    return structs.replace(_to(swap, SwapStep.UNDOING, now, "Going back to the old weights"), reason=reason)


def give_up(swap: Swap, now: float, reason: str) -> Swap:
    """The swap ends here with the old weights active."""
    return structs.replace(
        swap, step=SwapStep.FAILED, reason=reason, detail="", replica="", step_since=now, ended_at=now
    )


def _queued(swap: Swap, seen: Seen, now: float) -> Advanced:
    swap = structs.replace(swap, generation=seen.generation)
    return _to(swap, SwapStep.PREPARING, now, "Looking at the replicas"), ()


def _preparing(swap: Swap, seen: Seen, now: float) -> Advanced:
    serving = _serving(seen)
    in_place = swap.strategy is SwapStrategy.IN_PLACE
    if swap.strategy is SwapStrategy.SURGE:
        return _to(swap, SwapStep.RESTARTING, now, "Replacing the replicas"), (_replacing(swap),)
    if not serving and not seen.wanted_replicas:
        # Nothing to swap in: what starts next loads the new weights.
        return _to(swap, SwapStep.ROLLING, now, "No replica is wanted"), (Activate(swap.after, swap.generation),)
    if not serving:
        if swap.missing_since is None or now - swap.missing_since < LOST_S:
            return structs.replace(swap, missing_since=swap.missing_since or now), ()
        # Perhaps the old weights cannot be served. New processes can go back, should the new ones not either.
        return _to(swap, SwapStep.RESTARTING, now, "No replica is ready; replacing them"), (_replacing(swap),)
    swap = structs.replace(swap, missing_since=None)
    told = {each.replica_id: _report(each, swap) for each in serving}
    for replica_id, report in told.items():
        if report is not None and report.phase in _NOT_TAKEN:
            return give_up(swap, now, f"{replica_id} does not take the weights: {report.detail}"), ()
    if all(report is not None and report.phase is SwapPhase.PREPARED for report in told.values()):
        if not in_place:
            return _to(swap, SwapStep.RESTARTING, now, "Replacing the replicas"), (_replacing(swap),)
        first = min(serving, key=lambda each: (each.in_flight, each.replica_id)).replica_id
        return _to(swap, SwapStep.FIRST, now, f"{first} takes the new weights", replica=first), (SwapReplica(first),)
    if now - swap.step_since > PREPARING_S:
        return give_up(
            swap, now, f"The weights were not ready on every host within {PREPARING_S / 60:.0f} minutes."
        ), ()
    waiting = [replica_id for replica_id, report in told.items() if report is None]
    doing = next((report.detail for report in told.values() if report is not None and report.detail), "")
    return _saying(swap, doing), tuple(PrepareReplica(replica_id) for replica_id in waiting)


def _first(swap: Swap, seen: Seen, now: float) -> Advanced:
    chosen = next((each for each in seen.endpoints if each.replica_id == swap.replica), None)
    if chosen is None:
        if swap.missing_since is None or now - swap.missing_since < LOST_S:
            return structs.replace(swap, missing_since=swap.missing_since or now), ()
        why = f"{swap.replica} was lost while it took the new weights. The old ones start in its place; try again."
        return give_up(swap, now, why), ()
    swap = structs.replace(swap, missing_since=None)
    if _holds(chosen, swap.after):
        proved = Activate(swap.after, swap.generation)
        return _to(swap, SwapStep.ROLLING, now, f"{swap.replica} has proved them"), (proved,)
    report = _report(chosen, swap)
    if report is not None and report.phase in _NOT_TAKEN and chosen.state is ReplicaState.READY:
        return give_up(swap, now, f"{swap.replica} kept the old weights: {report.detail}"), ()
    if now - swap.step_since > swap.deadline_s + RELOADING_S:
        why = f"{swap.replica} did not take the new weights in time. It is started again with the old ones."
        return give_up(swap, now, why), (EndReplica(swap.replica),)
    return _waiting_for(swap, chosen, report)


def _rolling(swap: Swap, seen: Seen, now: float) -> Advanced:
    behind = [each for each in seen.endpoints if each.port and each.revision != swap.after.revision]
    if seen.active != swap.after.revision:
        return swap, (Activate(swap.after, swap.generation),)
    if not behind and (not seen.wanted_replicas or any(_holds(each, swap.after) for each in seen.endpoints)):
        return _done(swap, now), ()
    current = next((each for each in behind if each.replica_id == swap.replica), None)
    if current is None:
        ready = [each for each in behind if each.state is ReplicaState.READY]
        if not ready:
            return _saying(swap, "Waiting for replicas that are on their way"), ()
        chosen = min(ready, key=lambda each: (each.in_flight, each.replica_id)).replica_id
        swap = structs.replace(swap, replica=chosen, step_since=now, detail=f"{chosen} takes the new weights")
        return swap, (SwapReplica(chosen),)
    report = _report(current, swap)
    refused = report is not None and report.phase in _NOT_TAKEN and current.state is ReplicaState.READY
    if refused or now - swap.step_since > swap.deadline_s + RELOADING_S:
        return _saying(swap, f"{swap.replica} is started again with the new weights"), (EndReplica(swap.replica),)
    return _waiting_for(swap, current, report)


def _restarting(swap: Swap, seen: Seen, now: float) -> Advanced:
    if (seen.active, seen.generation) != (swap.after.revision, swap.generation + 1):
        return swap, (_replacing(swap),)
    late = now - swap.step_since > STARTING_S
    if seen.failure or late:
        why = seen.failure or f"they did not start within {STARTING_S / 60:.0f} minutes."
        return turn_back(swap, now, f"The new weights cannot be served: {why}"), (_back(swap),)
    ready = sum(_holds(each, swap.after) for each in seen.endpoints)
    if ready >= seen.wanted_replicas and not seen.outgoing:
        return _done(swap, now), ()
    return _saying(swap, _start_in_words(seen, ready)), ()


def _undoing(swap: Swap, seen: Seen, now: float) -> Advanced:
    if (seen.active, seen.generation) != (swap.before.revision, _back(swap).generation):
        return swap, (_back(swap),)
    ready = sum(_holds(each, swap.before) for each in seen.endpoints)
    if ready or not seen.wanted_replicas or seen.failure or now - swap.step_since > STARTING_S:
        return give_up(swap, now, swap.reason), ()
    return _saying(swap, _start_in_words(seen, ready)), ()


def _replacing(swap: Swap) -> Activate:
    return Activate(swap.after, swap.generation + 1, surge=swap.strategy is SwapStrategy.SURGE)


def _back(swap: Swap) -> Activate:
    """After a surge the old replicas are still there: their generation is the one to go back to."""
    return Activate(swap.before, swap.generation if swap.strategy is SwapStrategy.SURGE else swap.generation + 2)


_STEPS = {
    SwapStep.QUEUED: _queued,
    SwapStep.PREPARING: _preparing,
    SwapStep.FIRST: _first,
    SwapStep.ROLLING: _rolling,
    SwapStep.RESTARTING: _restarting,
    SwapStep.UNDOING: _undoing,
}


def _serving(seen: Seen) -> list[Endpoint]:
    return [each for each in seen.endpoints if each.state in (ReplicaState.READY, ReplicaState.CORDONED)]


def _holds(endpoint: Endpoint, weights: Weights) -> bool:
    return endpoint.state is ReplicaState.READY and endpoint.revision == weights.revision


def _report(endpoint: Endpoint, swap: Swap) -> SwapReport | None:
    return endpoint.swap if endpoint.swap is not None and endpoint.swap.swap_id == swap.id else None


def _waiting_for(swap: Swap, replica: Endpoint, report: SwapReport | None) -> Advanced:
    """The order is given again until the replica is seen to have heard it."""
    if report is None or report.phase is SwapPhase.PREPARED:
        return swap, (SwapReplica(replica.replica_id),)
    return _saying(swap, f"{replica.replica_id}: {report.detail}" if report.detail else swap.detail), ()


def _start_in_words(seen: Seen, ready: int) -> str:
    starting = next((each.detail for each in seen.endpoints if each.state is ReplicaState.STARTING and each.detail), "")
    return f"{ready} of {seen.wanted_replicas} replicas ready" + (f"; {starting}" if starting else "")


def _saying(swap: Swap, detail: str) -> Swap:
    return structs.replace(swap, detail=detail) if detail and detail != swap.detail else swap


def _to(swap: Swap, step: SwapStep, now: float, detail: str, replica: str = "") -> Swap:
    return structs.replace(swap, step=step, step_since=now, detail=detail, replica=replica, missing_since=None)


def _done(swap: Swap, now: float) -> Swap:
    return structs.replace(swap, step=SwapStep.DONE, step_since=now, ended_at=now, detail="", replica="")
