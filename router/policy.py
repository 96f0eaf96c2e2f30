"""Which replica gets a request: filter, score, pick. PURE; nothing here waits.

Filter: ready, of a revision that is wanted, not tried by this request, circuit closed, with room for it.
Score, by the deployment's policy:

- least-loaded: fewest requests inside, relative to weight.
- power-of-two: the less loaded of two drawn at random (Mitzenmacher 2001).
- session-affinity: rendezvous hashing of the session over the replicas, passing over those whose load is above 1.25
  times the mean (consistent hashing with bounded loads, Mirrokni et al. 2018). Without a session: least-loaded.
- prefix-aware: the replica that would finish the request soonest, counting the prompt tokens that it need not read;
  the one that has most of the prompt cached is kept until another's first token would come `SPILL_SHARE` of the
  target earlier.

Fleets of more than `EXHAUSTIVE_UP_TO` replicas are sampled: those that have most of the prompt cached, and 24 drawn at
random (the best of 24 draws is among the best 12 % with 95 % certainty). Only if none of them can take the request is
every replica looked at. A session's replica is looked for among all of them.
"""

from collections.abc import Callable, Sequence
from random import Random
from zlib import crc32

from replicas.types import ReplicaState
from router.circuit import admits
from router.features import RequestFeatures
from router.replica_view import ReplicaView, settle
from router.types import PolicyName

SPILL_SHARE = 0.5
"""Found by simulation: a quarter leaves caches that others then lose as well, and twice as much waits too long."""
EXHAUSTIVE_UP_TO = 32
_SAMPLE = 24
_MOST_HOLDERS = 8
_BOUNDED_LOAD = 1.25
_KNUTH, _32_BITS = 2654435761, 0xFFFFFFFF
_READY = ReplicaState.READY
_INFINITE = float("inf")


class RouteDecision:
    """`replica` is None when nobody can take the request now; `reason` says why it went as it did."""

    def __init__(self, replica: ReplicaView | None, reason: str, cached_bytes: int = 0) -> None:
        """`cached_bytes`: of the prompt, at the chosen replica."""
        self.replica = replica
        self.reason = reason
        self.cached_bytes = cached_bytes


NONE_READY = RouteDecision(None, "none_ready")
ALL_TRIED = RouteDecision(None, "all_tried")
NO_CREDIT = RouteDecision(None, "no_credit")
"""Replicas are ready and none has room now: the request waits."""


Policy = Callable[[RequestFeatures, Sequence[ReplicaView], Random], RouteDecision]
"""Picks one of at least two candidates that all have room."""


def choose(
    request: RequestFeatures, replicas: Sequence[ReplicaView], rng: Random, policy: Policy | None = None
) -> RouteDecision:
    """The replica for `request`. The caller reserves it before anything else runs.

    `policy`: another one than the request's; studies compare with it.
    """
    if len(replicas) > EXHAUSTIVE_UP_TO and request.policy is not PolicyName.SESSION_AFFINITY:
        decision = _choose_by_sample(request, replicas, rng, policy)
        if decision.replica is not None:
            return decision
    return _choose_among(request, replicas, rng, policy)


def soonest(
    replicas: Sequence[ReplicaView], tokens: int, kv_tokens: int, crowding_s: float, rng: Random
) -> ReplicaView | None:
    """What prefix-aware chooses where nothing of a prompt can be cached, in the ordinary case; else None: ask `choose`.

    Ordinary: few replicas, none of them outside, and one has room. The same costs as in `choose`, without what it needs
    for the other cases: it is for the many short requests.
    """
    if len(replicas) > EXHAUSTIVE_UP_TO:
        return None
    best: ReplicaView | None = None
    least, ties = _INFINITE, 1
    for view in replicas:
        if view.external or view.assumed:
            return None
        if view.takes and view.kv_free_tokens >= kv_tokens:
            cost = view.wait_s + tokens / view.prefill_tokens_per_s + view.load * crowding_s
            if cost < least:
                best, least, ties = view, cost, 1
            elif cost == least:
                ties += 1
                if rng.random() * ties < 1:
                    best = view
    return best


def _choose_by_sample(
    request: RequestFeatures, replicas: Sequence[ReplicaView], rng: Random, policy: Policy | None
) -> RouteDecision:
    outside = [view for view in replicas if view.external]
    drawn = _drawn_outside(len(replicas) - len(outside), [view for view in outside if view.takes], rng)
    if drawn is not None and not request.tried:
        return RouteDecision(drawn, "only_one", _cached_bytes(request, drawn))
    # Whoever is taken only for want of another is not taken for want of another in the sample.
    usual = [view for view in _shortlist(request, replicas, rng) if view.takes and not view.external]
    return _choose_among(request, usual, rng, policy)


def _choose_among(
    request: RequestFeatures, replicas: Sequence[ReplicaView], rng: Random, policy: Policy | None
) -> RouteDecision:
    need = request.kv_tokens
    candidates = [view for view in replicas if view.takes and view.kv_free_tokens >= need]
    if not candidates or request.tried or request.apart:
        refused, candidates = _without_the_usual(request, replicas)
        if not candidates:
            return refused
    if len(candidates) > 1:
        candidates = _inside_or_out(candidates, rng)
    if len(candidates) == 1:
        return RouteDecision(candidates[0], "only_one", _cached_bytes(request, candidates[0]))
    return (policy or _POLICIES[request.policy])(request, candidates, rng)


def _without_the_usual(
    request: RequestFeatures, replicas: Sequence[ReplicaView]
) -> tuple[RouteDecision, list[ReplicaView]]:
    """The candidates of a request that was refused or broken off before, or when there seem to be none.

    Open circuits count only as long as somebody else is there: the last replica is always tried.
    """
    ready = [view for view in replicas if view.state is _READY]
    if not ready:
        return NONE_READY, []
    ready = [view for view in ready if view.replica_id not in request.tried]
    if not ready:
        return ALL_TRIED, []
    sound = [view for view in ready if admits(view.circuit, request.now)] or ready
    if request.apart:
        sound = [view for view in sound if not view.suspects]
    need = request.kv_tokens
    return NO_CREDIT, [
        view for view in sound if view.in_flight + view.others_in_flight < view.limit and view.kv_free_tokens >= need
    ]


def _shortlist(request: RequestFeatures, replicas: Sequence[ReplicaView], rng: Random) -> Sequence[ReplicaView]:
    count = len(replicas)
    drawn = {int(rng.random() * count) for _ in range(_SAMPLE)}
    listed = [replicas[index] for index in drawn]
    if request.policy is not PolicyName.PREFIX_AWARE or not request.chain.hashes:
        return listed
    levels = replicas[0].cache.directory.levels(request.chain.hashes)
    if not levels:
        return listed
    bits = _some_of(levels[0][1], rng)
    return listed + [view for at, view in enumerate(replicas) if view.cache.bit in bits and at not in drawn]


def _some_of(holders: int, rng: Random) -> set[int]:
    """At most `_MOST_HOLDERS` of these bits, beginning at one drawn at random."""
    low = int(rng.random() * holders.bit_length())
    first = holders >> low << low
    bits: set[int] = set()
    for left in (first, holders ^ first):
        while left and len(bits) < _MOST_HOLDERS:
            bit = left & -left
            bits.add(bit)
            left ^= bit
    return bits


def _inside_or_out(candidates: list[ReplicaView], rng: Random) -> list[ReplicaView]:
    """Our replicas, or the outside engine that the draw by weight fell on; fallbacks if nothing else is left."""
    outside = [view for view in candidates if view.external]
    if not outside:
        return candidates
    ours = [view for view in candidates if not view.external]
    drawn = _drawn_outside(len(ours), outside, rng)
    if drawn is not None:
        return [drawn]
    return ours or [view for view in outside if not view.fallback] or outside


def _drawn_outside(ours: int, outside: Sequence[ReplicaView], rng: Random) -> ReplicaView | None:
    """The outside engine that the draw by weight among it, others and `ours` replicas of ours fell on, if on one."""
    sharing = [view for view in outside if not view.fallback]
    if not sharing:
        return None
    at = rng.random() * (ours + sum([view.weight for view in sharing], 0.0))
    for view in sharing:
        at -= view.weight
        if at < 0:
            return view
    return None


def _cached_bytes(request: RequestFeatures, view: ReplicaView) -> int:
    hashes = request.chain.hashes
    return view.cache.matched_bytes(hashes) if hashes else 0


def _least_loaded(request: RequestFeatures, candidates: Sequence[ReplicaView], rng: Random) -> RouteDecision:
    return RouteDecision(_emptiest(candidates, rng), "least_loaded")


def _emptiest(candidates: Sequence[ReplicaView], rng: Random) -> ReplicaView:
    best: list[ReplicaView] = []
    least = _INFINITE
    for view in candidates:
        load = view.load
        if load < least:
            best, least = [view], load
        elif load == least:
            best.append(view)
    return best[int(rng.random() * len(best))]


def _power_of_two(request: RequestFeatures, candidates: Sequence[ReplicaView], rng: Random) -> RouteDecision:
    return RouteDecision(_emptiest(rng.sample(candidates, 2), rng), "power_of_two")


def _session_affinity(request: RequestFeatures, candidates: Sequence[ReplicaView], rng: Random) -> RouteDecision:
    if not request.session:
        return _least_loaded(request, candidates, rng)
    seed = crc32(request.session)

    def rank(view: ReplicaView) -> int:
        # CRC alone is linear: sessions would see the replicas in related orders. The product breaks that.
        return crc32(view.replica_id.encode(), seed) * _KNUTH & _32_BITS

    loads = [view.load for view in candidates]
    bound = _BOUNDED_LOAD * sum(loads, 1.0) / len(candidates)
    within = [view for view, load in zip(candidates, loads, strict=True) if load < bound]
    return RouteDecision(max(within or candidates, key=rank), "session")


def _prefix_aware(request: RequestFeatures, candidates: Sequence[ReplicaView], rng: Random) -> RouteDecision:
    """Costs are seconds to the first token, and to the last with what each running request adds to a token's time."""
    crowding_s = request.crowding_s
    chain, tokens = request.chain, float(request.prompt_tokens)
    levels = candidates[0].cache.directory.levels(chain.hashes) if chain.hashes else []
    saved = tokens / chain.size_bytes if levels else 0.0
    best = kept = candidates[0]
    least = least_kept = _INFINITE
    best_bytes = kept_bytes = 0
    ties = 1
    for view in candidates:
        if view.assumed and view.assumed[0][0] <= request.now:
            settle(view, request.now)
        cached = _cached_by(levels, view.cache.bit) if levels else 0
        cost = view.wait_s + (tokens - saved * cached) / view.prefill_tokens_per_s + view.load * crowding_s
        if cost < least:
            best, best_bytes, least, ties = view, cached, cost, 1
        elif cost == least:
            ties += 1
            if rng.random() * ties < 1:
                best, best_bytes = view, cached
        if cached > kept_bytes or (cached == kept_bytes and cost < least_kept):
            kept, kept_bytes, least_kept = view, cached, cost
    if kept_bytes <= best_bytes:
        return RouteDecision(best, "prefix" if best_bytes else "soonest", best_bytes)
    later_s = least_kept - least - (kept.load - best.load) * crowding_s
    if later_s <= SPILL_SHARE * request.target_ttft_s:
        return RouteDecision(kept, "prefix", kept_bytes)
    return RouteDecision(best, "spilled", best_bytes)


def _cached_by(levels: list[tuple[int, int]], bit: int) -> int:
    """Bytes at the first level that the cache of this bit is in."""
    for size_bytes, holders in levels:
        if holders & bit:
            return size_bytes
    return 0


_POLICIES: dict[PolicyName, Policy] = {
    PolicyName.LEAST_LOADED: _least_loaded,
    PolicyName.POWER_OF_TWO: _power_of_two,
    PolicyName.SESSION_AFFINITY: _session_affinity,
    PolicyName.PREFIX_AWARE: _prefix_aware,
}
