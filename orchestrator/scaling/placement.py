"""Where a replica goes. PURE.

A replica takes whole GPUs of one node, or a share of one GPU, or none. Packing puts it where the least is left over, so
that large replicas still find room; spreading where the fewest of its deployment are.
"""

from collections.abc import Iterable, Mapping, Sequence

from orchestrator.scaling.room import GpuNode, Place, PlacedReplica
from orchestrator.sentences import Saying, Sentence, say

_EXACT = 1e-6


class Room:
    """What is free on the nodes. Mutable: whoever plans takes and gives back."""

    def __init__(self, nodes: Sequence[GpuNode]) -> None:
        self.nodes = {node.id: node for node in nodes}
        self._free = {node.id: list(node.gpus) for node in nodes}

    def copy(self) -> "Room":
        """To try something out."""
        other = Room(())
        other.nodes = self.nodes
        other._free = {node_id: list(free) for node_id, free in self._free.items()}
        return other

    def take(self, place: Place, gpus: float) -> None:
        """A replica that needs `gpus` is at `place`. Places on nodes that are gone are no matter."""
        _change(self._free.get(place.node_id, []), place.gpus, gpus, -1)

    def give_back(self, place: Place, gpus: float) -> None:
        """It is there no more."""
        _change(self._free.get(place.node_id, []), place.gpus, gpus, 1)

    def free(self, node_id: str) -> Sequence[float]:
        """What is free of each GPU of a node."""
        return self._free[node_id]

    def free_with(self, node_id: str, given_back: Iterable[tuple[Place, float]]) -> list[float]:
        """The same once replicas on that node, each with what it needs, are there no more."""
        free = list(self._free[node_id])
        for place, gpus in given_back:
            _change(free, place.gpus, gpus, 1)
        return free

    def keep_within(self, other: "Room") -> None:
        """What is not free in `other` is not free here either."""
        for node_id, free in self._free.items():
            self._free[node_id] = [min(pair) for pair in zip(free, other.free(node_id), strict=True)]

    def find(
        self, gpus: float, labels: Mapping[str, str], *, spread: bool = False, siblings: Mapping[str, int] | None = None
    ) -> Place | None:
        """The best place with room now. `siblings`: replicas of the same deployment by node."""
        best: tuple[tuple[float, float, str], Place] | None = None
        for node_id, node in self.nodes.items():
            if node.cordoned or not has_labels(node, labels):
                continue
            free = self._free[node_id]
            chosen = fitting(free, gpus)
            if chosen is None:
                continue
            crowd = float((siblings or {}).get(node_id, 0)) if spread else 0.0
            # What is left on the GPU for a share of one, on the node for whole ones.
            left = free[chosen[0]] if 0 < gpus < 1 else sum(free)
            rank = (crowd, left if not spread else -left, node_id)
            if best is None or rank < best[0]:
                best = rank, Place(node_id=node_id, gpus=chosen)
        return None if best is None else best[1]

    def refusal(self, gpus: float, labels: Mapping[str, str]) -> Sentence:
        """Why `find` finds nothing."""
        fit = [node for node in self.nodes.values() if has_labels(node, labels)]
        if not fit:
            return lacking_labels(labels)
        open_ones = [node for node in fit if not node.cordoned]
        if not open_ones:
            return say(Saying.ALL_CORDONED)
        if all(fitting(list(node.gpus), gpus) is None for node in open_ones):
            largest = max(sum(share >= 1 - _EXACT for share in node.gpus) for node in open_ones)
            return say(Saying.TOO_FEW_GPUS if gpus > 1 else Saying.NO_GPU, needed=gpus, largest=largest)
        return lacking_gpus(gpus, (_usable(self._free[node.id], gpus) for node in open_ones))


def lacking_labels(labels: Mapping[str, str]) -> Sentence:
    """No node carries them."""
    return say(Saying.NEEDS_LABELS, labels=", ".join(f"{name}={value}" for name, value in sorted(labels.items())))


def lacking_gpus(gpus: float, free: Iterable[float]) -> Sentence:
    """A replica needs more than is free now. `free`: by node."""
    return say(Saying.NEEDS_GPUS if gpus > 1 else Saying.NEEDS_GPU, needed=gpus, free=amounts(free))


def amounts(free: Iterable[float]) -> str:
    """What is free on several nodes: `1 + 0.5`."""
    return " + ".join(f"{max(0.0, each):.3g}" for each in free) or "0"


def _change(free: list[float], indices: Sequence[int], gpus: float, sign: int) -> None:
    for index in indices:
        if index < len(free):
            free[index] += sign * min(gpus, 1.0)


def fitting(free: Sequence[float], gpus: float) -> tuple[int, ...] | None:
    """Indices of GPUs that a replica could have: the fullest that still takes a share, or the first whole ones."""
    if gpus <= 0:
        return ()
    if gpus < 1:
        able = [(share, index) for index, share in enumerate(free) if share >= gpus - _EXACT]
        return (min(able)[1],) if able else None
    whole = [index for index, share in enumerate(free) if share >= 1 - _EXACT]
    count = round(gpus)
    return tuple(whole[:count]) if len(whole) >= count else None


def has_labels(node: GpuNode, labels: Mapping[str, str]) -> bool:
    """Whether it has all of them."""
    return all(node.labels.get(name) == value for name, value in labels.items())


def place_of(replica: PlacedReplica) -> Place:
    """Where it is."""
    return Place(node_id=replica.node_id, gpus=replica.gpus)


def _usable(free: Sequence[float], gpus: float) -> float:
    return max(free, default=0.0) if gpus < 1 else sum(share >= 1 - _EXACT for share in free)
