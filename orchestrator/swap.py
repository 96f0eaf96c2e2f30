"""How a deployment comes to serve other weights: a state machine over what is seen. PURE.

    in place   queued → preparing → first → rolling → done
                            └────────┴──→ failed               (the old weights are active)
    surge, restart   queued → preparing → restarting → done
                                              └→ undoing → failed
    canary   … → first → canary → rolling or restarting → done
                   └────────┴→ returning → failed

`advance` looks at states, never at events: it may be called at any time, twice, or for the first time after a stop of
the orchestrator, with the entry that was written last. The caller writes the entry that it gives back before it
carries the actions out. What an action asks for is asked again until it is seen; each is harmless the second time.

A replica that was told to swap does all of it by itself and is never left cordoned, whoever dies. Weights are active
from the moment at which the first replica has proved them: what starts before that loads the old ones, what starts
after it the new ones. So at every moment one revision is active, and it is one that has been proved to run.
With a canary they are active only once it is promoted: it is on trial beside the active ones, in one of the replicas or
in replicas of its own.
"""

from collections.abc import Sequence

from msgspec import Struct, structs

from orchestrator.canary import replicas_for
from orchestrator.judge import Verdict, judge
from orchestrator.sentences import Saying, Sentence, heard, say
from orchestrator.swap_types import (
    Activate,
    EndReplica,
    PrepareReplica,
    SplitTraffic,
    Swap,
    SwapAction,
    SwapReplica,
    SwapStep,
    SwapStrategy,
)
from orchestrator.types import DeployedCanary, Deployment, Weights
from replicas.types import Endpoint, ReplicaState, SwapPhase, SwapReport
from router.types import CanaryCounts

PREPARING_S = 1800.0
"""Longest time to fetch and read the new weights."""
STARTING_S = 1800.0
"""Longest time for new replicas to start."""
LOST_S = 5.0
"""A replica that is not seen for so long has died: a store that starts again is without its replicas for a moment."""
RELOADING_S = 600.0
"""Longest time from the end of the drain to the proof."""
_NOT_TAKEN = (SwapPhase.REFUSED, SwapPhase.FAILED)
_NOTHING_TO_COMPARE = say(Saying.CANARY_ALONE)

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
    failure: Sentence | None = None
    """Why replicas of the newest spec do not start, once nobody tries any more."""
    canary: DeployedCanary | None = None
    """That the deployment has, as the store has it."""
    beside: Sequence[Endpoint] = ()
    """Replicas that the canary has of its own, in any state."""
    beside_failure: Sentence | None = None
    """Why these do not start, once nobody tries any more."""
    counts: CanaryCounts | None = None
    """How both revisions fare; None where no canary of the swap is on."""
    spare: bool = False
    """Every replica has room once more."""


def advance(swap: Swap, seen: Seen, now: float) -> Advanced:
    """The entry as it shall be written, and then what to do. `now`: Unix seconds."""
    if not swap.active:
        return swap, ()
    return _STEPS[swap.step](swap, seen, now)


def journal_of(deployment: Deployment, entries: Sequence[Swap]) -> tuple[Swap, ...]:
    """Without what is left of a deployment of the same name that is gone."""
    return tuple(swap for swap in entries if swap.started_at >= deployment.created_at)


def strays(seen: Seen) -> tuple[SwapAction, ...]:
    """What a swap has left that is not on any more: a replica, one at a time, that must start again, for it serves
    other weights than the active ones or is cordoned; and when there is none, a canary that kept requests from it."""
    lost = [
        each.replica_id
        for each in seen.endpoints
        if each.state is ReplicaState.CORDONED or (each.state is ReplicaState.READY and each.revision != seen.active)
    ]
    if lost:
        return (EndReplica(lost[0]),)
    return () if seen.canary is None else (SplitTraffic(None),)


def turn_back(swap: Swap, now: float, reason: Sentence) -> Swap:
    """The entry of a swap that replaces replicas, once it shall not go on: it goes back to the old weights."""
    return structs.replace(_to(swap, SwapStep.UNDOING, now, say(Saying.GOING_BACK)), reason=reason)


def send_back(swap: Swap, now: float, reason: Sentence) -> Swap:
    """The entry of a swap whose canary shall not go on."""
    return structs.replace(swap, step=SwapStep.RETURNING, step_since=now, detail=say(Saying.GOING_BACK), reason=reason,
                           missing_since=None)  # fmt: skip


def give_up(swap: Swap, now: float, reason: Sentence | None) -> Swap:
    """The swap ends here with the old weights active."""
    return structs.replace(
        swap, step=SwapStep.FAILED, reason=reason, detail=None, replica="", step_since=now, ended_at=now
    )


def _queued(swap: Swap, seen: Seen, now: float) -> Advanced:
    if seen.canary is not None:
        return swap, (SplitTraffic(None),)  # of the one before
    swap = structs.replace(swap, generation=seen.generation)
    return _to(swap, SwapStep.PREPARING, now, say(Saying.LOOKING)), ()


def _preparing(swap: Swap, seen: Seen, now: float) -> Advanced:
    serving = _serving(seen)
    in_place = swap.strategy is SwapStrategy.IN_PLACE
    if swap.strategy is SwapStrategy.SURGE:
        return _surging(swap, seen, now)
    if len(serving) < (1 if swap.canary is None else 2):
        return _short_of_replicas(swap, seen, now)
    swap = structs.replace(swap, missing_since=None)
    told = {each.replica_id: _report(each, swap.id) for each in serving}
    for replica_id, report in told.items():
        if report is not None and report.phase in _NOT_TAKEN:
            return give_up(swap, now, say(Saying.NOT_TAKEN, replica=replica_id, said=heard(report.detail))), ()
    if all(report is not None and report.phase is SwapPhase.PREPARED for report in told.values()):
        if not in_place:
            return _replace(swap, now)
        first = min(serving, key=lambda each: (each.in_flight, each.replica_id)).replica_id
        entry = _to(swap, SwapStep.FIRST, now, say(Saying.TAKES_WEIGHTS, replica=first), replica=first)
        return entry, () if swap.canary is not None else (SwapReplica(first),)
    if now - swap.step_since > PREPARING_S:
        return give_up(swap, now, say(Saying.NOT_PREPARED, time_s=PREPARING_S)), ()
    waiting = [replica_id for replica_id, report in told.items() if report is None]
    doing = next((report.detail for report in told.values() if report is not None and report.detail), "")
    return _telling(swap, heard(doing) if doing else None), tuple(PrepareReplica(replica_id) for replica_id in waiting)


def _surging(swap: Swap, seen: Seen, now: float) -> Advanced:
    if swap.canary is None:
        return _replace(swap, now)
    if not seen.wanted_replicas:
        return give_up(swap, now, _NOTHING_TO_COMPARE), ()
    return _to(swap, SwapStep.FIRST, now, say(Saying.STARTING_NEW)), ()


def _short_of_replicas(swap: Swap, seen: Seen, now: float) -> Advanced:
    if not seen.wanted_replicas and swap.canary is None:
        # Nothing to swap in: what starts next loads the new weights.
        detail = say(Saying.NO_REPLICA_WANTED)
        return _to(swap, SwapStep.ROLLING, now, detail), (Activate(swap.after, swap.generation),)
    if swap.missing_since is None or now - swap.missing_since < LOST_S:
        return structs.replace(swap, missing_since=swap.missing_since or now), ()
    if swap.canary is not None:
        return give_up(swap, now, _NOTHING_TO_COMPARE), ()
    # Perhaps the old weights cannot be served. New processes can go back, should the new ones not either.
    return _replace(swap, now, Saying.REPLACING_LOST)


def _first(swap: Swap, seen: Seen, now: float) -> Advanced:
    if swap.canary is not None:
        # Whoever has the new weights gets nothing before it is known how much.
        held_back = _canary_of(swap, seen, share=0.0)
        if seen.canary != held_back:
            return swap, (SplitTraffic(held_back),)
        if swap.strategy is SwapStrategy.SURGE:
            return _first_beside(swap, held_back.replicas, seen, now)
    chosen = next((each for each in seen.endpoints if each.replica_id == swap.replica), None)
    if chosen is None:
        if swap.missing_since is None or now - swap.missing_since < LOST_S:
            return structs.replace(swap, missing_since=swap.missing_since or now), ()
        return give_up(swap, now, say(Saying.LOST_IN_SWAP, replica=swap.replica)), ()
    swap = structs.replace(swap, missing_since=None)
    if _holds(chosen, swap.after):
        proved = say(Saying.PROVED_WEIGHTS, replica=swap.replica)
        if swap.canary is not None:
            return _to(swap, SwapStep.CANARY, now, proved, replica=swap.replica), ()
        return _to(swap, SwapStep.ROLLING, now, proved), (Activate(swap.after, swap.generation),)
    report = _report(chosen, swap.id)
    if report is not None and report.phase in _NOT_TAKEN and chosen.state is ReplicaState.READY:
        return give_up(swap, now, say(Saying.KEPT_OLD, replica=swap.replica, said=heard(report.detail))), ()
    if now - swap.step_since > swap.deadline_s + RELOADING_S:
        return give_up(swap, now, say(Saying.SWAP_TOO_SLOW, replica=swap.replica)), (EndReplica(swap.replica),)
    return _waiting_for(swap, chosen, report)


def _first_beside(swap: Swap, wanted: int, seen: Seen, now: float) -> Advanced:
    ready = sum(_holds(each, swap.after) for each in seen.beside)
    if ready >= wanted:
        return _to(swap, SwapStep.CANARY, now, say(Saying.NEW_REPLICAS_READY, ready=ready, wanted=wanted)), ()
    if seen.beside_failure or now - swap.step_since > STARTING_S:
        return send_back(swap, now, _not_servable(seen.beside_failure)), ()
    return _telling(swap, _start_in_words(seen.beside, wanted, ready)), ()


def _canary(swap: Swap, seen: Seen, now: float) -> Advanced:
    terms = swap.canary
    assert terms is not None  # noqa: S101 - or the swap had not come here
    canary = _canary_of(swap, seen, share=terms.share)
    if seen.canary != canary:
        return swap, (SplitTraffic(canary),)
    if not any(_holds(each, swap.after) for each in _on_trial(swap, seen)):
        if swap.missing_since is None or now - swap.missing_since < LOST_S:
            return structs.replace(swap, missing_since=swap.missing_since or now), ()
        return _sent_back(swap, seen, now, say(Saying.CANARY_LOST))
    swap = structs.replace(swap, missing_since=None)
    judgement = judge(seen.counts or CanaryCounts(id=swap.id), terms, now - swap.step_since)
    if judgement.verdict is Verdict.ROLL_BACK:
        swap = structs.replace(swap, verdict=judgement.reason)
        return _sent_back(swap, seen, now, say(Saying.CANARY_WORSE, why=judgement.reason))
    if judgement.verdict is Verdict.WAIT:
        return _telling(swap, judgement.reason), ()
    swap = structs.replace(swap, verdict=judgement.reason)
    if swap.strategy is SwapStrategy.SURGE:
        # Without room for it and for all the new replicas it makes room.
        return _replace(structs.replace(swap, beside=canary if seen.spare else None), now)
    return _to(swap, SwapStep.ROLLING, now, say(Saying.PROMOTED)), (Activate(swap.after, swap.generation),)


def _returning(swap: Swap, seen: Seen, now: float) -> Advanced:
    late = now - swap.step_since > swap.deadline_s + RELOADING_S
    held_back = structs.replace(_canary_of(swap, seen, share=0.0), replicas=0)
    if seen.canary != held_back:
        return swap, (SplitTraffic(held_back),)
    if swap.strategy is SwapStrategy.SURGE:
        gone = late or not any(each.state is ReplicaState.READY for each in seen.beside)
        return (give_up(swap, now, swap.reason) if gone else swap), ()
    chosen = next(iter(_on_trial(swap, seen)), None)
    if chosen is None:
        if swap.missing_since is None or now - swap.missing_since < LOST_S:
            return structs.replace(swap, missing_since=swap.missing_since or now), ()
        return give_up(swap, now, swap.reason), ()
    if _holds(chosen, swap.before):
        return give_up(swap, now, swap.reason), ()
    report = _report(chosen, way_back(swap))
    refused = report is not None and report.phase in _NOT_TAKEN and chosen.state is ReplicaState.READY
    if refused or late:
        return give_up(swap, now, swap.reason), (EndReplica(swap.replica),)
    return _waiting_for(swap, chosen, report, back=True)


def _sent_back(swap: Swap, seen: Seen, now: float, reason: Sentence) -> Advanced:
    back = send_back(swap, now, reason)
    return back, (SplitTraffic(_canary_of(swap, seen, share=0.0)),)


def _rolling(swap: Swap, seen: Seen, now: float) -> Advanced:
    behind = [each for each in seen.endpoints if each.port and each.revision != swap.after.revision]
    if seen.active != swap.after.revision or seen.canary is not None:
        return swap, (Activate(swap.after, swap.generation),)
    if not behind and (not seen.wanted_replicas or any(_holds(each, swap.after) for each in seen.endpoints)):
        return _done(swap, now), ()
    current = next((each for each in behind if each.replica_id == swap.replica), None)
    if current is None:
        ready = [each for each in behind if each.state is ReplicaState.READY]
        if not ready:
            return _telling(swap, say(Saying.WAITS_FOR_OTHERS)), ()
        chosen = min(ready, key=lambda each: (each.in_flight, each.replica_id)).replica_id
        detail = say(Saying.TAKES_WEIGHTS, replica=chosen)
        swap = structs.replace(swap, replica=chosen, step_since=now, detail=detail)
        return swap, (SwapReplica(chosen),)
    report = _report(current, swap.id)
    refused = report is not None and report.phase in _NOT_TAKEN and current.state is ReplicaState.READY
    if refused or now - swap.step_since > swap.deadline_s + RELOADING_S:
        return _telling(swap, say(Saying.RESTARTED_WITH_NEW, replica=swap.replica)), (EndReplica(swap.replica),)
    return _waiting_for(swap, current, report)


def _restarting(swap: Swap, seen: Seen, now: float) -> Advanced:
    if (seen.active, seen.generation) != (swap.after.revision, swap.generation + 1):
        return swap, (_replacing(swap),)
    late = now - swap.step_since > STARTING_S
    ready = sum(_holds(each, swap.after) for each in seen.endpoints)
    starting = any(each.state is ReplicaState.STARTING for each in seen.endpoints)
    if late and ready and not (seen.failure or seen.outgoing or starting):
        # All that there is room for serve the new weights; what is missing follows when there is more.
        return _done(swap, now), ()
    if seen.failure or late:
        return turn_back(swap, now, _not_servable(seen.failure)), (_back(swap),)
    if ready >= seen.wanted_replicas and not seen.outgoing:
        return _done(swap, now), ()
    return _telling(swap, _start_in_words(seen.endpoints, seen.wanted_replicas, ready)), ()


def _undoing(swap: Swap, seen: Seen, now: float) -> Advanced:
    if (seen.active, seen.generation) != (swap.before.revision, _back(swap).generation):
        return swap, (_back(swap),)
    ready = sum(_holds(each, swap.before) for each in seen.endpoints)
    if ready or not seen.wanted_replicas or seen.failure or now - swap.step_since > STARTING_S:
        return give_up(swap, now, swap.reason), ()
    return _telling(swap, _start_in_words(seen.endpoints, seen.wanted_replicas, ready)), ()


def _replace(swap: Swap, now: float, detail: Saying = Saying.REPLACING) -> Advanced:
    return _to(swap, SwapStep.RESTARTING, now, say(detail)), (_replacing(swap),)


def _replacing(swap: Swap) -> Activate:
    return Activate(swap.after, swap.generation + 1, surge=swap.strategy is SwapStrategy.SURGE, canary=swap.beside)


def _back(swap: Swap) -> Activate:
    """After a surge the old replicas are still there: their generation is the one to go back to."""
    return Activate(swap.before, swap.generation if swap.strategy is SwapStrategy.SURGE else swap.generation + 2)


def way_back(swap: Swap) -> str:
    """Id of the order to a canary to take the old weights again."""
    return f"{swap.id}-back"


def _canary_of(swap: Swap, seen: Seen, *, share: float) -> DeployedCanary:
    """As the deployment shall have it. Nobody counts how it fares while it has no share."""
    own = 0
    if swap.strategy is SwapStrategy.SURGE and swap.canary is not None:
        own = replicas_for(swap.canary.share, seen.wanted_replicas)
    return DeployedCanary(id=swap.id if share else "", weights=swap.after, share=share, replicas=own)


def _on_trial(swap: Swap, seen: Seen) -> Sequence[Endpoint]:
    """The replicas that are to hold the new weights before these are active."""
    if swap.strategy is SwapStrategy.SURGE:
        return seen.beside
    return [each for each in seen.endpoints if each.replica_id == swap.replica]


_STEPS = {
    SwapStep.QUEUED: _queued,
    SwapStep.PREPARING: _preparing,
    SwapStep.FIRST: _first,
    SwapStep.CANARY: _canary,
    SwapStep.RETURNING: _returning,
    SwapStep.ROLLING: _rolling,
    SwapStep.RESTARTING: _restarting,
    SwapStep.UNDOING: _undoing,
}


def _serving(seen: Seen) -> list[Endpoint]:
    return [each for each in seen.endpoints if each.state in (ReplicaState.READY, ReplicaState.CORDONED)]


def _holds(endpoint: Endpoint, weights: Weights) -> bool:
    return endpoint.state is ReplicaState.READY and endpoint.revision == weights.revision


def _report(endpoint: Endpoint, swap_id: str) -> SwapReport | None:
    return endpoint.swap if endpoint.swap is not None and endpoint.swap.swap_id == swap_id else None


def _waiting_for(swap: Swap, replica: Endpoint, report: SwapReport | None, *, back: bool = False) -> Advanced:
    """The order is given again until the replica is seen to have heard it."""
    if report is None or report.phase is SwapPhase.PREPARED:
        return swap, (SwapReplica(replica.replica_id, back),)
    if not report.detail:
        return swap, ()
    return _telling(swap, say(Saying.REPLICA_DOES, replica=replica.replica_id, doing=heard(report.detail))), ()


def _start_in_words(endpoints: Sequence[Endpoint], wanted: int, ready: int) -> Sentence:
    starting = next((each.detail for each in endpoints if each.state is ReplicaState.STARTING and each.detail), "")
    if not starting:
        return say(Saying.REPLICAS_READY, ready=ready, wanted=wanted)
    return say(Saying.REPLICAS_READY_NEXT, ready=ready, wanted=wanted, doing=heard(starting))


def _not_servable(failure: Sentence | None) -> Sentence:
    return say(Saying.NOT_SERVABLE, why=failure or say(Saying.NOT_STARTED, time_s=STARTING_S))


def _telling(swap: Swap, detail: Sentence | None) -> Swap:
    return structs.replace(swap, detail=detail) if detail and detail != swap.detail else swap


def _to(swap: Swap, step: SwapStep, now: float, detail: Sentence, replica: str = "") -> Swap:
    return structs.replace(swap, step=step, step_since=now, detail=detail, replica=replica, missing_since=None)


def _done(swap: Swap, now: float) -> Swap:
    return structs.replace(swap, step=SwapStep.DONE, step_since=now, ended_at=now, detail=None, replica="")
