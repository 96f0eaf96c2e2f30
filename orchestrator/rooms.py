"""What is free on each node, from what is observed. PURE."""

from collections import Counter, defaultdict
from collections.abc import Sequence

from msgspec import structs

from orchestrator.placement import ROUNDING, Room, Taken, numbers, room_of
from orchestrator.types import (
    Deployment,
    DesiredState,
    ObservedApplication,
    ObservedNode,
    ObservedState,
    StartApplication,
    WakeReplica,
)
from replicas.types import Endpoint, ReplicaState

GOING = "DELETING"
"""Status of an application on its way out."""


def hosts(observed: ObservedState) -> tuple[ObservedNode, ...]:
    """The machines that are there. Two of Ray's nodes with one address are one: a pin to it fits either."""
    found: dict[str, ObservedNode] = {}
    for node in observed.nodes:
        if node.alive:
            first = found.get(node.address)
            more = first and structs.replace(first, cpus=first.cpus + node.cpus, gpus=first.gpus + node.gpus)
            found[node.address] = more or node
    return tuple(found.values())


def addresses(observed: ObservedState) -> dict[str, str]:
    """By application: the node that its replica must run on, or where it turned out to run; empty: not known yet."""
    hosts = {each.application: each.host for each in observed.endpoints}
    return {name: each.node or hosts.get(name, "") for name, each in observed.applications.items()}


def asleep(observed: ObservedState) -> dict[str, Endpoint]:
    """By application: the replicas that sleep. Of their node they hold nothing but memory."""
    return {
        each.application: each
        for each in observed.endpoints
        if each.state is ReplicaState.ASLEEP and each.application in observed.applications
    }


def held_gpus(application: ObservedApplication, endpoint: Endpoint | None) -> tuple[int, ...]:
    """Which GPUs of its node are its own: as they were assigned, or as the replica tells where Ray did it; none while
    that is not known."""
    return application.gpus or numbers(endpoint.gpus if endpoint else ())


def free_rooms(
    deployment: Deployment,
    desired: DesiredState,
    observed: ObservedState,
    others: Sequence[StartApplication | WakeReplica] = (),
) -> dict[str, Room]:
    """By address: what each node has left for `deployment`, once `others` have started and woken too."""
    at, told = addresses(observed), {each.application: each for each in observed.endpoints}
    woken = {each.name for each in others if isinstance(each, WakeReplica)}
    taken: dict[str, list[Taken]] = defaultdict(list)
    sleepers: dict[str, Counter[int]] = defaultdict(Counter)
    siblings: Counter[str] = Counter()
    sleeping = asleep(observed).keys() - woken
    for each in observed.applications.values():
        if each.name in sleeping:
            sleepers[at[each.name]].update(each.gpus)
            continue
        taken[at[each.name]].append(Taken(each.need, held_gpus(each, told.get(each.name))))
        siblings[at[each.name]] += each.deployment == deployment.name
    for start in others:
        if isinstance(start, StartApplication):
            taken[start.node].append(Taken(start.deployment.need, start.gpus))
            siblings[start.node] += start.deployment.name == deployment.name
    closed = desired.cordoned_nodes | desired.drained_nodes
    return {
        node.address: room_of(
            node,
            taken[node.address],
            cordoned=node.address in closed,
            replicas=siblings[node.address],
            sleepers=sleepers[node.address],
        )
        for node in hosts(observed)
    }


def all_rooms(observed: ObservedState) -> dict[str, Room]:
    """By address: what each node has left for anybody."""
    return free_rooms(_NOBODY, DesiredState(deployments={}), observed)


_NOBODY = Deployment(name="", model="", created_at=0.0, updated_at=0.0)


def crowded_out(observed: ObservedState) -> frozenset[str]:
    """Applications whose assigned GPUs others have: those that Serve started again after a crash in their sleep.

    Whoever has started before has the GPUs. What is on its way out is no matter: it may have slept.
    """
    told = {each.application: each for each in observed.endpoints}
    starting = {name for name, each in told.items() if each.state is ReplicaState.STARTING}
    sleeping = asleep(observed)
    used: defaultdict[tuple[str, int], float] = defaultdict(float)
    crowded = set()
    awake = [each for each in observed.applications.values() if each.status != GOING and each.name not in sleeping]
    for each in sorted(awake, key=lambda one: (one.name not in told, one.name in starting, one.name)):
        places = [(each.node, index) for index in each.gpus]
        share = min(1.0, each.need.gpus)
        if any(used[place] + share > 1 + ROUNDING for place in places):
            crowded.add(each.name)
            continue
        for place in places:
            used[place] += share
    return frozenset(crowded)
