"""A fixed set of GPUs, divided among deployments that all want some. PURE, and without memory.

Every replica that a deployment wants is a claim. Claims are met in this order:

1. minimums, then what has something to do, then what is only kept warm;
2. by priority;
3. the first replica of every deployment, then by share: replicas' GPUs relative to weight;
4. who has it keeps it; but whoever has had the only room for a whole turn goes behind those whose requests wait, the
   longest wait first. So deployments that do not fit together take turns, and each answers all that has gathered.

A claim without room takes that of claims behind it: on the node where the least is lost, and only from replicas that
have been there long enough to be worth their start. What gives way drains; nothing is started before its room is free.
"""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from orchestrator.scaling.loss import loss
from orchestrator.scaling.placement import Room, fitting, has_labels, place_of
from orchestrator.scaling.room import Allocation, Drain, GpuNode, Grant, Place, PlacedReplica, Start, Wish
from orchestrator.sentences import Saying, Sentence, say
from replicas.types import ReplicaState

TURN_STARTS = 2.0
TURN_MOST_S = 120.0
"""A turn lasts so many cold starts, for others wait meanwhile no longer than this, but one cold start at least."""
_MINIMUM, _BUSY, _WARM = range(3)
_HAS, _WAITS, _HAD_ITS_TURN, _COMES = range(4)


def allocate(wishes: Sequence[Wish], nodes: Sequence[GpuNode], now: float) -> Allocation:
    """What each deployment gets, and what is to be started and drained for it. Called again, it changes nothing more
    until something else does."""
    return _Planner(wishes, nodes, now).plan()


def turn_s(wish: Wish) -> float:
    """How long a replica stays where others wait for its room, in seconds since it was ready."""
    if not wish.needed:
        return wish.cold_start_s
    return max(wish.cold_start_s, min(TURN_STARTS * wish.cold_start_s, TURN_MOST_S) * wish.weight)


class _Claim(Struct, frozen=True):
    wish: Wish
    number: int
    holder: PlacedReplica | None
    """None: it is to be started."""
    kind: int
    rank: tuple[int, int, float, int, float, str]

    @property
    def standing(self) -> tuple[int, int]:
        """What no turn can change."""
        return self.rank[:2]


_Held = tuple[_Claim, PlacedReplica]
"""A claim and who holds it."""


class _Planner:
    def __init__(self, wishes: Sequence[Wish], nodes: Sequence[GpuNode], now: float) -> None:
        self._now = now
        self._wishes = wishes
        self._claims: list[_Claim] = []
        self._free = Room(nodes)
        self._drains: list[Drain] = []
        self._starts: list[Start] = []
        self._evicted: dict[str, str] = {}
        """Replica -> deployment that it gives way to."""
        self._granted = {wish.deployment: 0 for wish in wishes}
        self._awaited = {wish.deployment: 0 for wish in wishes}
        self._reasons: dict[str, Sentence] = {}
        self._gpus_wanted = 0.0
        for wish in wishes:
            for replica in wish.replicas:
                self._free.take(place_of(replica), wish.gpus_per_replica)
        self._soon = self._free.copy()
        """What will be free when everything that drains has ended, and is not spoken for."""
        self._held: dict[str, list[_Held]] = {}
        """By node: the claims that have a replica there."""
        self._in_vain: set[str] = set()
        """Deployments of which a claim found nobody to take from."""
        for wish in wishes:
            self._claim(wish)

    def plan(self) -> Allocation:
        for claim in sorted(self._claims, key=lambda each: each.rank):
            self._meet(claim)
        return Allocation(
            grants={
                name: Grant(replicas=granted, awaited=self._awaited[name], reason=self._reasons.get(name))
                for name, granted in self._granted.items()
            },
            starts=tuple(self._starts),
            drains=tuple(self._drains),
            gpus_wanted=self._gpus_wanted,
        )

    def _claim(self, wish: Wish) -> None:
        """One claim for each replica wanted, of which those that run hold the first; what is too much drains."""
        live = [replica for replica in wish.replicas if replica.state is not ReplicaState.DRAINING]
        live.sort(key=loss, reverse=True)
        wanted = max(wish.wanted, wish.min_replicas)
        for replica in live[wanted:]:
            self._drain(wish, replica, f"{wanted} of {len(live)} replicas are enough.")
        for replica in wish.replicas:
            if replica.state is ReplicaState.DRAINING:
                self._soon.give_back(place_of(replica), wish.gpus_per_replica)
        for number in range(wanted):
            holder = live[number] if number < len(live) else None
            kind = _MINIMUM if number < wish.min_replicas else _BUSY if number < wish.needed else _WARM
            waiting_since = float("inf") if wish.waiting_since is None else wish.waiting_since
            share = number * wish.gpus_per_replica / wish.weight
            turn = self._turn(wish, number, holder)
            rank = (kind, -wish.priority, share, turn, waiting_since if holder is None else 0.0, wish.deployment)
            claim = _Claim(wish, number, holder, kind, rank)
            self._claims.append(claim)
            if holder is not None:
                self._held.setdefault(holder.node_id, []).append((claim, holder))

    def _turn(self, wish: Wish, number: int, holder: PlacedReplica | None) -> int:
        if holder is None:
            return _WAITS if wish.waiting_since is not None else _COMES
        return _HAD_ITS_TURN if number == 0 and self._stayed_s(holder) >= turn_s(wish) else _HAS

    def _stayed_s(self, replica: PlacedReplica) -> float:
        return 0.0 if replica.ready_at is None else self._now - replica.ready_at

    def _meet(self, claim: _Claim) -> None:
        name, gpus = claim.wish.deployment, claim.wish.gpus_per_replica
        if claim.holder is not None:
            winner = self._evicted.get(claim.holder.replica_id)
            if winner is None:
                self._granted[name] += 1
            else:
                self._reasons.setdefault(name, say(Saying.GAVE_WAY, name=winner))
            return
        place = self._find(self._free, claim)
        if place is not None:
            self._free.take(place, gpus)
            self._soon.take(place, gpus)
            self._granted[name] += 1
            self._starts.append(Start(deployment=name, place=place, reason=f"{claim.wish.wanted} are wanted."))
        elif not self._await(claim) and not (self._evict_for(claim) and self._await(claim)):
            self._reasons.setdefault(name, self._soon.refusal(gpus, claim.wish.labels))
            if claim.kind != _WARM:
                self._gpus_wanted += gpus

    def _find(self, room: Room, claim: _Claim) -> Place | None:
        wish = claim.wish
        siblings: dict[str, int] = {}
        for node_id in (
            *(replica.node_id for replica in wish.replicas if replica.state is not ReplicaState.DRAINING),
            *(start.place.node_id for start in self._starts if start.deployment == wish.deployment),
        ):
            siblings[node_id] = siblings.get(node_id, 0) + 1
        return room.find(wish.gpus_per_replica, wish.labels, spread=wish.spread, siblings=siblings)

    def _await(self, claim: _Claim) -> bool:
        """Speaks for room that is being made; nobody behind may take what is free of it already."""
        place = self._find(self._soon, claim)
        if place is None:
            return False
        self._soon.take(place, claim.wish.gpus_per_replica)
        self._free.keep_within(self._soon)
        self._awaited[claim.wish.deployment] += 1
        self._reasons.setdefault(claim.wish.deployment, say(Saying.ROOM_IS_MADE))
        return True

    def _evict_for(self, claim: _Claim) -> bool:
        """Takes from claims behind this one, on the node where the least is lost."""
        if claim.wish.deployment in self._in_vain:
            return False  # who stands further back may take no more
        best: tuple[tuple[float, ...], list[_Held]] | None = None
        for node in self._free.nodes.values():
            if node.cordoned or not has_labels(node, claim.wish.labels):
                continue
            chosen = self._least_on(node.id, claim)
            if chosen:
                busy = sum(held.kind != _WARM for held, _ in chosen)
                badness = (busy, sum(replica.in_flight for _, replica in chosen), len(chosen))
                if best is None or badness < best[0]:
                    best = badness, chosen
        for held, replica in () if best is None else best[1]:
            self._evicted[replica.replica_id] = claim.wish.deployment
            self._drain(held.wish, replica, f"Makes room for {claim.wish.deployment}.")
        if best is None:
            self._in_vain.add(claim.wish.deployment)
        return best is not None

    def _least_on(self, node_id: str, claim: _Claim) -> list[_Held]:
        """Claims on that node to be taken from, the last of all first; none where all of them are not enough."""
        chosen: list[_Held] = []
        for each in sorted(self._takeable(node_id, claim), key=lambda held: held[0].rank, reverse=True):
            if self._fits_without(node_id, chosen, claim):
                break
            chosen.append(each)
        if not self._fits_without(node_id, chosen, claim):
            return []
        for each in list(chosen):
            others = [other for other in chosen if other is not each]
            if self._fits_without(node_id, others, claim):
                chosen = others
        return chosen

    def _fits_without(self, node_id: str, chosen: Sequence[_Held], claim: _Claim) -> bool:
        given_back = ((place_of(replica), held.wish.gpus_per_replica) for held, replica in chosen)
        return fitting(self._soon.free_with(node_id, given_back), claim.wish.gpus_per_replica) is not None

    def _takeable(self, node_id: str, claim: _Claim) -> Iterable[_Held]:
        for each, holder in self._held.get(node_id, ()):
            if (
                holder.replica_id not in self._evicted
                and each.wish.deployment != claim.wish.deployment
                and each.rank > claim.rank
                and self._may_go(each, holder, claim)
            ):
                yield each, holder

    def _may_go(self, each: _Claim, holder: PlacedReplica, claim: _Claim) -> bool:
        """Whether it has been there long enough to be worth its start; for equals, for its turn."""
        above = claim.standing < each.standing
        if holder.ready_at is None:
            return above and holder.state is ReplicaState.STARTING
        return self._stayed_s(holder) >= (each.wish.cold_start_s if above else turn_s(each.wish))

    def _drain(self, wish: Wish, replica: PlacedReplica, reason: str) -> None:
        self._drains.append(Drain(deployment=wish.deployment, replica_id=replica.replica_id, reason=reason))
        self._soon.give_back(place_of(replica), wish.gpus_per_replica)
