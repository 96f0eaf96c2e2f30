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


_Score = tuple[bool, int]
"""Set aside, requests in flight. Less is better."""
_NONE_READY = RouteDecision(None, "none_ready")
_ALL_TRIED = RouteDecision(None, "all_tried")
_READY = ReplicaState.READY


def choose(request: RequestFeatures, replicas: Sequence[ReplicaView], rng: Random) -> RouteDecision:
    """The ready, untried replica with the fewest requests in flight; ties are drawn by `rng`.

    A replica set aside is taken only when every other candidate is aside too. The caller reserves the choice
    (`in_flight += 1`) before anything else runs.
    """
    best: list[ReplicaView] = []
    least: _Score = (True, 0)
    for replica in replicas:
        if replica.state is not _READY or replica.replica_id in request.tried:
            continue
        score = (replica.aside_until > request.now, replica.in_flight)
        if not best or score < least:
            best, least = [replica], score
        elif score == least:
            best.append(replica)
    if not best:
        return _ALL_TRIED if request.tried else _NONE_READY
    return RouteDecision(best[int(rng.random() * len(best))], "least_in_flight")
