"""Ray Serve LLM's prefix-aware router, as a policy of the study.

The rules are those of Ray 2.60, `ray/llm/_internal/serve/routing_policies/prefix_aware/` (Apache-2.0), written anew:

1. Power of two choices gives the fallback (`PowerOfTwoChoicesRequestRouter`).
2. If the longest and the shortest queue differ by more than `imbalanced_threshold` (default: never), the fallback.
3. Otherwise the tree is asked who has the longest beginning of the prompt. If that is less than
   `match_rate_threshold` (default 10 %) of the prompt, the candidates are the replicas with the fewest characters in
   the tree, else those that own the last node of the match.
4. Of the candidates the one with the shortest queue takes the request, the first one of equals; the prompt is then
   inserted for it. Answers are not. Nothing is evicted unless `do_eviction`, which looks every 10 s for replicas with
   more than `eviction_threshold` characters and brings them down to the target, oldest nodes first.

Where this study is kinder: queue lengths are exact, where Ray's are cached, and a replica without room is passed over,
where Ray would wait for it. `test_baselines.py` holds the tree against the installed one.
"""

from collections.abc import Iterator, Sequence
from random import Random
from typing import TYPE_CHECKING

from router.features import RequestFeatures
from router.policy import RouteDecision
from router.replica_view import ReplicaView
from tests.simulation.loads import Arrival

if TYPE_CHECKING:
    from tests.simulation.harness import World

_EVICTION_EVERY_S = 10.0


class _Node:
    __slots__ = ("children", "owners", "text")

    def __init__(self, text: bytes) -> None:
        self.text = text
        self.children: dict[int, _Node] = {}
        self.owners: dict[str, float] = {}
        """Replica -> when it was last sent something that goes through here."""


def _common(left: bytes, right: bytes) -> int:
    """Length of the common beginning."""
    most = min(len(left), len(right))
    if left[:most] == right[:most]:
        return most
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        if left[:middle] == right[:middle]:
            low = middle
        else:
            high = middle - 1
    return low


class PrefixTree:
    """Ray's approximate radix tree: who was sent which beginnings."""

    def __init__(self, owners: Sequence[str]) -> None:
        self._root = _Node(b"")
        self.sizes = dict.fromkeys(owners, 0)
        """Characters that each owner has in the tree."""
        self._root.owners = dict.fromkeys(owners, 0.0)

    def insert(self, text: bytes, owner: str, now: float) -> None:
        """`owner` was sent `text`."""
        node, at = self._root, 0
        while True:
            if owner not in node.owners:
                self.sizes[owner] += len(node.text)
            node.owners[owner] = now
            if at == len(text):
                return
            child = node.children.get(text[at])
            if child is None:
                child = node.children[text[at]] = _Node(text[at:])
            shared = _common(child.text, text[at : at + len(child.text)])
            if shared < len(child.text):
                child = self._split(node, child, shared)
            node = child
            at += shared

    def _split(self, parent: _Node, child: _Node, at: int) -> _Node:
        front = _Node(child.text[:at])
        front.owners = dict(child.owners)
        child.text = child.text[at:]
        front.children[child.text[0]] = child
        parent.children[front.text[0]] = front
        return front

    def match(self, text: bytes, available: Sequence[str]) -> tuple[int, list[str]]:
        """Length of the longest match, and who of `available` owns the last node of it."""
        node, at = self._root, 0
        while at < len(text):
            child = node.children.get(text[at])
            if child is None or not any(owner in child.owners for owner in available):
                break
            shared = _common(child.text, text[at : at + len(child.text)])
            at += shared
            node = child
            if shared < len(child.text):
                break
        return at, [owner for owner in available if owner in node.owners]

    def smallest(self) -> list[str]:
        """Owners with the fewest characters."""
        least = min(self.sizes.values())
        return [owner for owner, size in self.sizes.items() if size == least]

    def evict(self, owner: str, least: int) -> None:
        """Takes at least `least` characters from `owner`, oldest nodes first, all of one time together."""
        held = sorted(self._nodes_of(owner), key=lambda pair: pair[0].owners[owner])
        removed, until = 0, None
        for node, parent in held:
            at = node.owners[owner]
            if removed >= least and at != until:
                break
            until = at
            removed += len(node.text)
            del node.owners[owner]
            if not node.owners and parent.children.get(node.text[0]) is node:
                del parent.children[node.text[0]]
        self.sizes[owner] -= removed

    def _nodes_of(self, owner: str) -> Iterator[tuple[_Node, _Node]]:
        stack = [self._root]
        while stack:
            parent = stack.pop()
            for node in parent.children.values():
                if owner in node.owners:
                    yield node, parent
                    stack.append(node)


class RayPrefixAware:
    """See the module."""

    def __init__(
        self,
        world: "World",
        *,
        imbalanced_threshold: float = float("inf"),
        match_rate_threshold: float = 0.1,
        do_eviction: bool = False,
        eviction_threshold: int = 400_000,
        eviction_target: int = 360_000,
    ) -> None:
        self._world = world
        self._imbalanced = imbalanced_threshold
        self._match_rate = match_rate_threshold
        self._eviction_target = eviction_target
        self._eviction_threshold = eviction_threshold if do_eviction else None
        self._evict_at = _EVICTION_EVERY_S
        self._tree = PrefixTree([view.replica_id for view in world.views])

    def choose(self, request: RequestFeatures, candidates: Sequence[ReplicaView], rng: Random) -> RouteDecision:
        """See `harness.Chooser`."""
        queues = [view.in_flight for view in candidates]
        chosen: list[str] = []
        if max(queues) - min(queues) <= self._imbalanced:
            text = self._world.sending.outcome.arrival.prompt
            matched, owners = self._tree.match(text, [view.replica_id for view in candidates])
            chosen = self._tree.smallest() if matched / len(text) < self._match_rate else owners
        among = [view for view in candidates if view.replica_id in chosen] or rng.sample(list(candidates), 2)
        return RouteDecision(min(among, key=lambda view: view.in_flight), "ray")

    def sent(self, arrival: Arrival, view: ReplicaView, now: float) -> None:
        """See `harness.Chooser`."""
        self._tree.insert(arrival.prompt, view.replica_id, now)
        if self._eviction_threshold is not None and now >= self._evict_at:
            self._evict_at = now + _EVICTION_EVERY_S
            for owner, size in list(self._tree.sizes.items()):
                if size > self._eviction_threshold:
                    self._tree.evict(owner, size - self._eviction_target)
