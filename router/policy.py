"""Which replica gets a request: filter, score, pick. PURE."""

from collections.abc import Sequence
from random import Random

from msgspec import Struct

from replicas.types import ReplicaState
from router.features import RequestFeatures


class ReplicaView(Struct, eq=False):
    """A replica as this router sees it. Mutable: the router counts its own requests here."""

    replica_id: str
    model: str
    revision: str
    state: ReplicaState
    address: tuple[str, int]
    head: bytes
    """Header lines of every request to this replica: host and its token."""
    labels: bytes
    """Header lines of every answer of this replica: who answered, with what."""
    max_model_len: int | None = None
    in_flight: int = 0
    """Requests of this router inside the replica."""
    aside_until: float = 0.0
    """Monotonic seconds until which it is passed over while others are there."""


class RouteDecision(Struct, frozen=True):
    """`replica` is None when nobody can take the request; `reason` says why it went as it did."""

    replica: ReplicaView | None
    reason: str


_NONE_READY = RouteDecision(None, "none_ready")
_ALL_TRIED = RouteDecision(None, "all_tried")
_Score = tuple[bool, int]


def choose(request: RequestFeatures, replicas: Sequence[ReplicaView], rng: Random) -> RouteDecision:
    """The ready, untried replica with the fewest requests in flight; ties are drawn by `rng`.

    A replica set aside is taken only when every other candidate is aside too. The caller reserves the choice
    (`in_flight += 1`) before anything else runs.
    """
    candidates = _filter(request, replicas)
    if not candidates:
        return _ALL_TRIED if request.tried else _NONE_READY
    if len(candidates) == 1:
        return RouteDecision(candidates[0], "only_candidate")
    scores = [_score(request, replica) for replica in candidates]
    least = min(scores)
    best = [replica for replica, score in zip(candidates, scores, strict=True) if score == least]
    return RouteDecision(best[0] if len(best) == 1 else rng.choice(best), "least_in_flight")


def _filter(request: RequestFeatures, replicas: Sequence[ReplicaView]) -> list[ReplicaView]:
    tried = request.tried
    return [
        replica
        for replica in replicas
        if replica.state is ReplicaState.READY and (not tried or replica.replica_id not in tried)
    ]


def _score(request: RequestFeatures, replica: ReplicaView) -> _Score:
    """Less is better."""
    return replica.aside_until > request.now, replica.in_flight
