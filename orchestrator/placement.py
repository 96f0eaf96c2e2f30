"""Which node a new replica goes to, and which replica goes when one has to. PURE."""

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct, field, structs

from orchestrator.scaling.placement import amounts, fitting, lacking_gpus, lacking_labels
from orchestrator.sentences import Saying, Sentence, say
from orchestrator.types import Need, ObservedNode, Placement
from replicas.types import Endpoint, ReplicaState

ROUNDING = 1e-6
"""Fractions of GPUs add up to nearly one."""


class Room(Struct, frozen=True, kw_only=True):
    """What is free on one node."""

    address: str
    cpus: float
    gpus: tuple[float, ...] = ()
    """Free share of each GPU, 0 to 1."""
    labels: Mapping[str, str] = field(default_factory=dict)
    cordoned: bool = False
    """Takes nothing new."""
    replicas: int = 0
    """Of the deployment in question, that are there already."""
    sleepers: Mapping[int, int] = field(default_factory=dict)
    """How many replicas sleep on a GPU, and would wake there."""


class Taken(Struct, frozen=True):
    """What a replica holds of its node."""

    need: Need
    gpus: tuple[int, ...] = ()
    """Which ones; empty where that is not known."""


def room_of(
    node: ObservedNode, taken: Sequence[Taken], *, cordoned: bool, replicas: int, sleepers: Mapping[int, int]
) -> Room:
    """What is left of a node, of whose replicas `replicas` are of the deployment in question.

    Where Ray assigns the GPUs and a replica has not said yet which are its own, it is worked out as Ray does it: one
    that is in use is filled before another is opened.
    """
    shares = (1.0,) * int(node.gpus)
    told = [(within(each.gpus, len(shares)), each.need.gpus) for each in taken]
    for known, gpus in sorted(told, key=lambda one: (not one[0], -one[1])):
        shares = _without(shares, known or fitting(shares, gpus) or (), gpus)
    return Room(
        address=node.address,
        cpus=max(0.0, node.cpus - sum(each.need.cpus for each in taken)),
        gpus=shares,
        labels=node.labels,
        cordoned=cordoned,
        replicas=replicas,
        sleepers=sleepers,
    )


def gpus_for(need: Need, room: Room) -> tuple[int, ...] | None:
    """Which GPUs a new replica there gets; None if they are not free. On those others sleep on, last of all."""
    order = sorted(range(len(room.gpus)), key=lambda index: (room.sleepers.get(index, 0), index))
    chosen = fitting([room.gpus[index] for index in order], need.gpus)
    return None if chosen is None else tuple(sorted(order[place] for place in chosen))


def take(room: Room, need: Need, gpus: Sequence[int]) -> Room:
    """What is left of `room` with one more replica of the deployment in it, on `gpus`."""
    shares = _without(room.gpus, gpus, need.gpus)
    return structs.replace(room, cpus=room.cpus - need.cpus, gpus=shares, replicas=room.replicas + 1)


def fits(need: Need, room: Room) -> bool:
    """Whether a replica can start there now."""
    if room.cordoned or not need.labels.items() <= room.labels.items():
        return False
    return room.cpus + ROUNDING >= need.cpus and fitting(room.gpus, need.gpus) is not None


def fits_on(need: Need, room: Room, gpus: Sequence[int]) -> bool:
    """Whether a replica that sleeps there can wake now, on `gpus` and no others."""
    if room.cordoned or room.cpus + ROUNDING < need.cpus:
        return False
    return all(index < len(room.gpus) and room.gpus[index] + ROUNDING >= min(need.gpus, 1.0) for index in gpus)


def place(need: Need, rooms: Sequence[Room], placement: Placement) -> Room | None:
    """The room that takes the next replica; None if none can.

    Of a GPU that is shared the fullest one that still fits comes first, with either placement: shares of one GPU leave
    whole ones to others.
    """
    able = [room for room in rooms if fits(need, room)]
    if not able:
        return None
    direction = 1 if placement is Placement.SPREAD else -1
    return min(able, key=lambda room: (direction * room.replicas, _left_over(need, room), room.address))


def why_not(need: Need, rooms: Sequence[Room]) -> Sentence:
    """Why no room takes the replica: "a replica needs 2 GPUs on one node; free: 1 + 1"."""
    labelled = [room for room in rooms if need.labels.items() <= room.labels.items()]
    if rooms and not labelled:
        return lacking_labels(need.labels)
    usable = [room for room in labelled if not room.cordoned]
    if labelled and not usable:
        return say(Saying.ALL_CORDONED)
    if all(fitting(room.gpus, need.gpus) is None for room in usable):
        return lacking_gpus(need.gpus, (sum(room.gpus) for room in usable))
    return say(Saying.NEEDS_CPUS, needed=need.cpus, free=amounts(room.cpus for room in usable))


def victims(replicas: Mapping[str, Endpoint | None], count: int) -> tuple[str, ...]:
    """Which of `replicas` (application to endpoint, None before it has one) end, when `count` of them must.

    First those that serve nobody (not started, starting), then cordoned and draining ones, then those with the fewest
    requests in flight, the coldest cache (least of it in use) and the latest start.
    """
    return tuple(sorted(replicas, key=lambda name: (*_value(replicas[name]), name))[:count])


def _value(replica: Endpoint | None) -> tuple[float, ...]:
    if replica is None:
        return (0,)
    if replica.state is ReplicaState.STARTING:
        return (1, -replica.started_at)
    ready = replica.state is ReplicaState.READY
    return (3 if ready else 2, replica.in_flight, replica.load.kv_usage, -replica.started_at)


def numbers(gpus: Iterable[str]) -> tuple[int, ...]:
    """Of GPUs by their names; none where they have other names than numbers."""
    return tuple(int(gpu) for gpu in gpus if gpu.isdecimal())


def within(gpus: Iterable[int], count: int) -> tuple[int, ...]:
    """Those that a node with `count` GPUs has."""
    return tuple(index for index in gpus if index < count)


def _without(shares: Sequence[float], taken: Sequence[int], gpus: float) -> tuple[float, ...]:
    return tuple(max(0.0, share - min(gpus, 1.0)) if number in taken else share for number, share in enumerate(shares))


def _left_over(need: Need, room: Room) -> tuple[float, float]:
    """What a placement leaves on the GPUs that it touches, then on the node: less is a tighter fit."""
    if 0 < need.gpus < 1:
        return min(share for share in room.gpus if share + ROUNDING >= need.gpus) - need.gpus, sum(room.gpus)
    return sum(room.gpus), room.cpus
