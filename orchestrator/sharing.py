"""What deployments want and what there is, as `scaling.allocate` reads it, and what follows from its answer. PURE.

Deployments on GPUs share the GPUs, the others the CPUs: two divisions, and in the second a CPU is what a GPU is in the
first.
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct, field

from orchestrator.placement import within
from orchestrator.reconcile import is_hopeless, spec_digest
from orchestrator.rooms import GOING, asleep, held_gpus, hosts
from orchestrator.scaling.allocate import allocate
from orchestrator.scaling.placement import fitting
from orchestrator.scaling.room import GpuNode, PlacedReplica, Wish
from orchestrator.sentences import Saying, Sentence
from orchestrator.types import Deployment, DesiredState, ObservedApplication, ObservedState, Placement
from replicas.types import Endpoint, ReplicaState

_OF_CPUS: Mapping[Saying, Saying] = {
    Saying.NEEDS_GPU: Saying.NEEDS_CPUS,
    Saying.NEEDS_GPUS: Saying.NEEDS_CPUS,
    Saying.NO_GPU: Saying.TOO_FEW_CPUS,
    Saying.TOO_FEW_GPUS: Saying.TOO_FEW_CPUS,
}
"""What is said of GPUs, said of CPUs."""
_BEFORE_ALL_OTHERS = 10**6
"""Priority of a number that an admin said: it is no matter of load."""


class Ask(Struct, frozen=True, kw_only=True):
    """How many replicas of a deployment there should be, were there room for everybody."""

    deployment: Deployment
    wanted: int
    needed: int
    """Of them, how many have something to do."""
    cold_start_s: float
    oldest_wait_s: float = 0.0
    """0: nobody waits."""


class Share(Struct, frozen=True, kw_only=True):
    """What a deployment gets."""

    replicas: int
    leaving: tuple[str, ...] = ()
    """Applications that end first, should any have to."""
    shortage: Sentence | None = None
    """Why it is less than was wanted."""


def divide(asks: Sequence[Ask], desired: DesiredState, observed: ObservedState, now: float) -> dict[str, Share]:
    """What each deployment gets, by name. A cluster that grows, or of which nothing is known, has room for all."""
    if desired.can_grow or not observed.nodes:
        return {each.deployment.name: Share(replicas=each.wanted) for each in asks}
    return _divide(asks, desired, observed, now, gpus=True) | _divide(asks, desired, observed, now, gpus=False)


def _divide(
    asks: Sequence[Ask], desired: DesiredState, observed: ObservedState, now: float, *, gpus: bool
) -> dict[str, Share]:
    mine = [each for each in asks if (each.deployment.gpus_per_replica > 0) is gpus]
    census = _census(mine, desired, observed, gpus=gpus)
    wishes = [_wish(each, tuple(census.replicas[each.deployment.name]), observed, now, gpus=gpus) for each in mine]
    allocation = allocate(wishes, census.nodes, now)
    return {
        name: Share(
            replicas=grant.replicas + grant.awaited,
            leaving=tuple(each.replica_id for each in allocation.drains if each.deployment == name),
            shortage=grant.reason if gpus or grant.reason is None else _of_cpus(grant.reason),
        )
        for name, grant in allocation.grants.items()
    }


def _of_cpus(shortage: Sentence) -> Sentence:
    return Sentence(_OF_CPUS.get(shortage.code, shortage.code), shortage.values)


def _wish(ask: Ask, replicas: tuple[PlacedReplica, ...], observed: ObservedState, now: float, *, gpus: bool) -> Wish:
    deployment, scaling = ask.deployment, ask.deployment.scaling
    if is_hopeless(deployment, observed):
        wanted = needed = least = 0
    elif scaling is None or deployment.override is not None:
        wanted = needed = least = ask.wanted
    else:
        wanted, needed, least = ask.wanted, ask.needed, min(scaling.min_replicas, ask.wanted)
    return Wish(
        deployment=deployment.name,
        wanted=wanted,
        needed=needed,
        min_replicas=least,
        priority=_BEFORE_ALL_OTHERS if scaling is None else scaling.priority,
        weight=1.0 if scaling is None else scaling.weight,
        gpus_per_replica=deployment.gpus_per_replica if gpus else deployment.cpus_per_replica,
        labels=deployment.node_labels,
        spread=deployment.placement is Placement.SPREAD,
        cold_start_s=ask.cold_start_s,
        waiting_since=now - ask.oldest_wait_s if ask.oldest_wait_s else None,
        replicas=replicas,
    )


class _Census(Struct):
    """Which of the units that there are is whose."""

    nodes: list[GpuNode]
    replicas: dict[str, list[PlacedReplica]] = field(default_factory=dict)


def _census(asks: Sequence[Ask], desired: DesiredState, observed: ObservedState, *, gpus: bool) -> _Census:
    digests = {each.deployment.name: spec_digest(each.deployment) for each in asks}
    endpoints = {each.application: each for each in observed.endpoints}
    alive = hosts(observed)
    free = {node.address: [1.0] * int(node.gpus if gpus else node.cpus) for node in alive}
    ours = {address: list(units) for address, units in free.items()}
    census = _Census(nodes=[], replicas={name: [] for name in digests})
    sleeping = asleep(observed)
    there = [each for name, each in observed.applications.items() if name not in sleeping]
    held = {each.name: held_gpus(each, endpoints.get(each.name)) for each in there}
    # Those whose GPUs are known first; where the others are is worked out as Ray does it.
    for each in sorted(there, key=lambda one: (not held[one.name], one.name)):
        endpoint = endpoints.get(each.name)
        address = each.node or (endpoint.host if endpoint else "")
        need = each.need.gpus if gpus else each.need.cpus
        units = free.get(address, [])
        told = within(held[each.name], len(units)) if gpus else ()
        taken = told or fitting(units, need) or ()
        for index in taken:
            units[index] -= min(need, 1.0)
        if each.deployment in digests:
            leaves = each.status == GOING or each.spec_digest != digests[each.deployment]
            census.replicas[each.deployment].append(_placed(each, endpoint, address, taken, leaves=leaves))
        else:
            for index in taken:
                ours[address][index] -= min(need, 1.0)
    census.nodes = [
        GpuNode(
            id=node.address,
            gpus=tuple(ours[node.address]),
            cordoned=node.address in desired.cordoned_nodes,
            labels=dict(node.labels),
        )
        for node in alive
    ]
    return census


def _placed(
    application: ObservedApplication, endpoint: Endpoint | None, address: str, units: tuple[int, ...], *, leaves: bool
) -> PlacedReplica:
    state = endpoint.state if endpoint else ReplicaState.STARTING
    return PlacedReplica(
        replica_id=application.name,
        state=ReplicaState.DRAINING if leaves else state,
        node_id=address,
        gpus=units,
        started_at=endpoint.started_at if endpoint else 0.0,
        ready_at=endpoint.state_since if endpoint and endpoint.state is ReplicaState.READY else None,
        in_flight=endpoint.in_flight if endpoint else 0,
        kv_usage=endpoint.load.kv_usage if endpoint else 0.0,
    )
