"""Desired × observed → actions. PURE.

Level-triggered: `plan` looks at states, never at events, so a lost event costs one tick of the loop. Planning
after a full apply plans nothing.
"""

import hashlib
from collections.abc import Iterator, Sequence, Set
from itertools import count

import msgspec
from msgspec import structs

from orchestrator.placement import fits_on, gpus_for, place, take, victims, why_not
from orchestrator.rooms import GOING, addresses, asleep, crowded_out, free_rooms
from orchestrator.sleep import beyond_bounds, can_sleep
from orchestrator.types import (
    Action,
    Deployment,
    DesiredState,
    ObservedApplication,
    ObservedState,
    SleepReplica,
    StartApplication,
    StopApplication,
    WakeReplica,
)
from replicas.types import ReplicaState

GAVE_UP = "DEPLOY_FAILED"
"""Status of an application whose replicas Serve does not start any more."""


def spec_digest(deployment: Deployment) -> str:
    """Eight hex digits that name everything for which a replica must be replaced.

    Not the number of replicas (Serve scales in place), and not the revision either: a replica asks at its start
    which revision is wanted, so that a crash after an in-place swap does not bring the old weights back. A change of
    revision that needs new processes raises `generation`.
    """
    # As the store gives it back: 0 and 0.0 must not be two specs.
    deployment = msgspec.json.decode(msgspec.json.encode(deployment), type=Deployment)
    parts = (
        deployment.engine,
        deployment.generation,
        deployment.gpus_per_replica,
        deployment.cpus_per_replica,
        deployment.node_labels,
        deployment.max_model_len,
        deployment.engine_args,
        deployment.simulation,
        deployment.drain_deadline_s,
        deployment.sleep_mode,
    )
    return hashlib.sha256(msgspec.json.encode(parts, order="sorted")).hexdigest()[:8]


def applications_of(deployment: Deployment, observed: ObservedState) -> tuple[ObservedApplication, ...]:
    """Those of its newest spec that neither sleep nor are on their way out, by slot."""
    sleeping = asleep(observed)
    return tuple(each for each in _of_newest_spec(deployment, observed) if each.name not in sleeping)


def sleepers_of(deployment: Deployment, observed: ObservedState) -> tuple[ObservedApplication, ...]:
    """Those of its newest spec that sleep, who fell asleep last first."""
    sleeping = asleep(observed)
    mine = [each for each in _of_newest_spec(deployment, observed) if each.name in sleeping]
    return tuple(sorted(mine, key=lambda each: -sleeping[each.name].state_since))


def _of_newest_spec(deployment: Deployment, observed: ObservedState) -> list[ObservedApplication]:
    digest = spec_digest(deployment)
    mine = [
        each
        for each in observed.applications.values()
        if (each.deployment, each.spec_digest) == (deployment.name, digest) and each.status != GOING
    ]
    return sorted(mine, key=lambda each: each.slot)


def gave_up(deployment: Deployment, observed: ObservedState) -> bool:
    """Whether Serve starts none of its replicas any more."""
    mine = applications_of(deployment, observed)
    return bool(mine) and all(each.status == GAVE_UP for each in mine)


def plan(desired: DesiredState, observed: ObservedState, now: float) -> tuple[Action, ...]:
    """The actions that bring `observed` to `desired`, stops first so that they free what starts need.

    `now` (Unix seconds) is there for rules with time in them; today's rules have none.
    """
    stops = [
        StopApplication(name=each.name, reason="no longer deployed")
        for each in observed.applications.values()
        if each.deployment not in desired.deployments and each.status != GOING
    ]
    crowded = crowded_out(observed)
    sleeps: list[SleepReplica] = []
    for deployment in desired.deployments.values():
        stops += _stops_of_older_specs(deployment, observed)
        leaving = _leaving(deployment, desired, observed, crowded)
        stops += [each for each in leaving if isinstance(each, StopApplication)]
        sleeps += [each for each in leaving if isinstance(each, SleepReplica)]
    tired = {each.name for each in sleeps}
    left = frozenset(tired | {each.name for each in stops})
    starts: list[StartApplication | WakeReplica] = []
    hopeful = [each for each in desired.deployments.values() if not is_hopeless(each, observed)]
    for deployment in hopeful:
        starts += wakes(deployment, desired, observed, left, starts)
    for deployment in hopeful:
        starts += _starts(deployment, desired, observed, left, starts)
    woken = {each.name for each in starts if isinstance(each, WakeReplica)}
    over = beyond_bounds((asleep(observed).keys() - left - woken) | tired, observed)
    stops += [StopApplication(name=name, reason="others sleep in its memory now") for name in sorted(over)]
    return (*stops, *(each for each in sleeps if each.name not in over), *starts)


def _stops_of_older_specs(deployment: Deployment, observed: ObservedState) -> list[StopApplication]:
    """All of them at once, or in a surge one for each replica of the newest spec that is ready."""
    digest = spec_digest(deployment)
    older = {
        each.name
        for each in observed.applications.values()
        if each.deployment == deployment.name and each.spec_digest != digest and each.status != GOING
    }
    kept = max(0, deployment.replicas - _ready(deployment, observed)) if deployment.surge else 0
    sleeping = older & asleep(observed).keys()
    ends = {*sleeping, *_victims(older - sleeping, kept, observed)}
    return [StopApplication(name=name, reason="its settings changed") for name in sorted(ends)]


def _leaving(
    deployment: Deployment, desired: DesiredState, observed: ObservedState, crowded: Set[str]
) -> list[StopApplication | SleepReplica]:
    """Of its newest spec. `crowded`: applications whose GPUs others have."""
    mine, sleeping = applications_of(deployment, observed), sleepers_of(deployment, observed)
    if is_hopeless(deployment, observed):
        why = "its replicas say that trying again cannot help"
        return [StopApplication(name=each.name, reason=why) for each in (*mine, *sleeping)]
    at = addresses(observed)
    stops = _useless_sleepers(deployment, desired, observed)
    stops |= {each.name: "its node is gone" for each in mine if _is_homeless(each, observed)}
    stops |= dict.fromkeys({each.name for each in mine} & crowded, "others have its GPUs now")
    if deployment.name not in observed.failures:
        # Deployed again, or the reason has aged out: Serve tries again only from a new application.
        again = "Serve gave up on it; it is started afresh"
        stops = {each.name: again for each in mine if each.status == GAVE_UP} | stops
    left = {each.name for each in mine if each.name not in stops and at[each.name] not in desired.drained_nodes}
    fewer = f"{len(mine)} → {deployment.replicas} replicas" if deployment.replicas else "scaled to zero"
    named = set(deployment.leaving[: max(0, len(left) - deployment.replicas)]) & left
    spare = [*named, *_victims(left - named, deployment.replicas, observed)]
    stops |= dict.fromkeys(_moved(deployment, desired, observed, frozenset({*stops, *spare})), "its node is drained")
    endpoints = {each.application: each for each in observed.endpoints}
    tired = {name for name in spare if can_sleep(deployment, observed.applications[name], endpoints.get(name))}
    stops |= dict.fromkeys((name for name in spare if name not in tired), fewer)
    return [
        *(StopApplication(name=name, reason=reason) for name, reason in stops.items()),
        *(SleepReplica(name=name, reason=fewer) for name in spare if name in tired),
    ]


def _useless_sleepers(deployment: Deployment, desired: DesiredState, observed: ObservedState) -> dict[str, str]:
    """By application, why it must end: a start would do what it cannot."""
    sleeping = asleep(observed)
    useless = {}
    for each in sleepers_of(deployment, observed):
        if sleeping[each.name].revision != deployment.revision:
            useless[each.name] = "other weights are served now"
        elif _is_homeless(each, observed):
            useless[each.name] = "its node is gone"
        elif each.node in desired.drained_nodes:
            useless[each.name] = "its node is drained"
    return useless


def _moved(
    deployment: Deployment, desired: DesiredState, observed: ObservedState, stopped: frozenset[str]
) -> tuple[str, ...]:
    """Those on nodes that are drained: each stays until another has taken its place, if there is room for one."""
    left = [each for each in applications_of(deployment, observed) if each.name not in stopped]
    at = addresses(observed)
    leaving = {each.name for each in left if at[each.name] in desired.drained_nodes}
    if not leaving:
        return ()
    ready = {each.application for each in observed.endpoints if each.state is ReplicaState.READY}
    on_their_way = sum(each.name not in leaving and each.name not in ready for each in left)
    # Room that is about to be free counts: a drain can wait for it.
    ending = stopped | {each.name for each in observed.applications.values() if each.status == GOING}
    later = {name: each for name, each in observed.applications.items() if name not in ending}
    seen = structs.replace(observed, applications=later)
    woken = list(wakes(deployment, desired, seen, frozenset(leaving), ()))
    to_come = len(woken) + sum(1 for _ in _starts(deployment, desired, seen, frozenset(leaving), woken))
    return _victims(leaving, on_their_way + to_come, observed)


def _victims(applications: Set[str], kept: int, observed: ObservedState) -> tuple[str, ...]:
    endpoints = {each.application: each for each in observed.endpoints}
    return victims({name: endpoints.get(name) for name in applications}, max(0, len(applications) - kept))


def _is_homeless(application: ObservedApplication, observed: ObservedState) -> bool:
    """Whether the node that it must run on is gone. Nothing is known of nodes before Ray has told any."""
    return bool(application.node and observed.nodes) and not any(
        node.alive and node.address == application.node for node in observed.nodes
    )


def _missing(deployment: Deployment, desired: DesiredState, observed: ObservedState, stopped: frozenset[str]) -> int:
    mine = [each for each in applications_of(deployment, observed) if each.name not in stopped]
    if desired.drained_nodes:
        at = addresses(observed)
        mine = [each for each in mine if at[each.name] not in desired.drained_nodes]
    return deployment.replicas - len(mine)


def wakes(
    deployment: Deployment,
    desired: DesiredState,
    observed: ObservedState,
    stopped: frozenset[str] = frozenset(),
    others: Sequence[StartApplication | WakeReplica] = (),
) -> Iterator[WakeReplica]:
    """What is missing of a deployment and sleeps on GPUs that are free."""
    missing = _missing(deployment, desired, observed, stopped)
    sleeping = [each for each in sleepers_of(deployment, observed) if each.name not in stopped]
    if missing <= 0 or not sleeping:
        return
    rooms = free_rooms(deployment, desired, observed, others)
    for each in sleeping:
        room = rooms.get(each.node)
        if missing > 0 and room is not None and fits_on(each.need, room, each.gpus):
            rooms[each.node] = take(room, each.need, each.gpus)
            missing -= 1
            yield WakeReplica(name=each.name, reason="it is wanted again")


def _starts(
    deployment: Deployment,
    desired: DesiredState,
    observed: ObservedState,
    stopped: frozenset[str],
    others: Sequence[StartApplication | WakeReplica],
) -> Iterator[StartApplication]:
    """What is missing of a deployment once `others` have started, wherever there is room, and none where there is none.

    In a cluster that grows what finds no room is started all the same: it waits in Ray, which asks for another node.
    There Ray assigns GPUs too.
    """
    woken = {each.name for each in others if isinstance(each, WakeReplica)}
    mine = sum(each.name in woken for each in sleepers_of(deployment, observed))
    missing = _missing(deployment, desired, observed, stopped) - mine
    if missing <= 0:
        return
    rooms = free_rooms(deployment, desired, observed, others)
    digest, need = spec_digest(deployment), deployment.need
    taken = {each.slot for each in observed.applications.values() if each.deployment == deployment.name}
    slots = (slot for slot in count() if slot not in taken)
    for _ in range(missing):
        room = place(need, tuple(rooms.values()), deployment.placement)
        gpus = (gpus_for(need, room) if room else None) or ()
        if room is not None:
            rooms[room.address] = take(room, need, gpus)
        elif not desired.can_grow:
            return
        yield StartApplication(
            deployment=deployment,
            spec_digest=digest,
            slot=next(slots),
            node=room.address if room else "",
            gpus=() if desired.can_grow else gpus,
            reason="not running yet" if room else f"the cluster must grow: {why_not(need, tuple(rooms.values()))}",
        )


def _ready(deployment: Deployment, observed: ObservedState) -> int:
    """Replicas of its newest spec that take requests."""
    digest = spec_digest(deployment)
    return sum(
        (each.deployment, each.spec_digest, each.state) == (deployment.name, digest, ReplicaState.READY)
        for each in observed.endpoints
    )


def is_hopeless(deployment: Deployment, observed: ObservedState) -> bool:
    """Whether a replica of this very spec failed for good, and none of it serves.

    Serve would try again and again; what would help is a change of the deployment, or deploying it again after the
    cause is mended: both clear the verdict.
    """
    digest = spec_digest(deployment)
    failure = observed.failures.get(deployment.name)
    if failure is None or not failure.permanent:
        return False
    if (failure.spec_digest, failure.revision) != (digest, deployment.revision):
        return False
    return not _ready(deployment, observed)
