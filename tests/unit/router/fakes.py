"""A router core without sockets: virtual time, carriers that only record, replicas that are plain views."""

import heapq
import json
from collections.abc import Callable, Sequence
from itertools import count
from random import Random
from typing import Any

from msgspec import structs

from replicas.types import ReplicaState
from router.answer import NOTHING, Learnt
from router.bodies import decode_request
from router.dispatcher import Dispatcher
from router.errors import Refusal
from router.features import RequestFeatures
from router.job import Job
from router.meters import ModelMeter
from router.policy import RouteDecision, choose
from router.prefix_chain import Digest, PrefixChain, chain_of
from router.prefix_index import PrefixCache, PrefixDirectory
from router.prompt_text import read_prompt
from router.quarantine import Quarantine
from router.replica_view import ReplicaView, derive
from router.types import CatalogEntry, ModelStatus, PolicyName, RoutingSettings

START = 1000.0
"""Monotonic seconds at which virtual time begins."""


RETRY_FOR_S = 15.0


class VirtualClock:
    """Time that passes when a test says so. Timers run in order, each at its own moment, or `early_s` before it."""

    def __init__(self, early_s: float = 0.0) -> None:
        self._now = START
        self._early_s = early_s
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()

    def now(self) -> float:
        return self._now

    def later(self, delay_s: float, call: Callable[[], None]) -> None:
        heapq.heappush(self._timers, (self._now + delay_s - self._early_s, next(self._order), call))

    def advance(self, seconds: float) -> None:
        end = self._now + seconds
        while self._timers and self._timers[0][0] <= end:
            at, _, call = heapq.heappop(self._timers)
            self._now = at
            call()
        self._now = end


class FakeCarrier:
    """One request's carrier. Like the real one it ends the request when it is turned away."""

    def __init__(self, rig: "Rig") -> None:
        self._rig = rig
        self.job: Job
        self.sent: list[str] = []
        """Replica ids, in the order in which it was sent there."""
        self.refusals: list[Refusal] = []
        self.over = False

    def send_to(self, replica: ReplicaView) -> None:
        assert not self.over, "sent after its end"
        self.sent.append(replica.replica_id)
        self._rig.sent.append(self)

    def turn_away(self, refusal: Refusal) -> None:
        assert not self.over, "turned away after its end"
        self.refusals.append(refusal)
        self.over = True
        self._rig.dispatcher.ended(self.job, NOTHING, answered=False)

    # What comes of the request

    def first_token(self) -> None:
        self._rig.dispatcher.first_token(self.job, self._rig.clock.now())

    def ends(self, output_tokens: int = 10, **learnt: Any) -> None:
        """The replica answered in full."""
        self.over = True
        self._rig.dispatcher.ended(self.job, Learnt(output_tokens=output_tokens, **learnt), answered=True)

    def leaves(self) -> None:
        """The client has gone."""
        self.over = True
        self._rig.dispatcher.ended(self.job, NOTHING, answered=False)

    def fails(self, reason: str = "reset", *, died: bool = False) -> None:
        self._rig.dispatcher.failed(self.job, reason, died=died)

    def dies(self) -> None:
        """The replica's engine died with this request inside."""
        self.fails("reset", died=True)

    @property
    def inside(self) -> str | None:
        """Id of the replica that works on it now."""
        return None if self.job.reservation is None else self.job.reservation.view.replica_id

    @property
    def waits(self) -> bool:
        return any(ticket is self.job for ticket in self._rig.dispatcher.queue)

    @property
    def codes(self) -> list[str]:
        return [refusal.code for refusal in self.refusals]


class Rig:
    """A dispatcher with virtual time, and what it did with whom."""

    def __init__(
        self,
        replicas: Sequence[ReplicaView] = (),
        *,
        status: ModelStatus = ModelStatus.READY,
        policy: PolicyName = PolicyName.LEAST_LOADED,
        seed: int = 0,
        clock: VirtualClock | None = None,
        **routing: Any,
    ) -> None:
        self.clock = clock or VirtualClock()
        self.meter = ModelMeter()
        self.quarantine = Quarantine()
        self.sent: list[FakeCarrier] = []
        """Everybody in the order in which they were sent; who was sent twice is there twice."""
        self.entry = CatalogEntry(
            name="m", created=1, status=status, routing=RoutingSettings(policy=policy, **routing), retry_after_s=30
        )
        self.dispatcher = Dispatcher(
            self.entry,
            self.meter,
            quarantine=self.quarantine,
            clock=self.clock,
            rng=Random(seed),
            circuit_open_s=1.0,
            retry_for_s=RETRY_FOR_S,
        )
        self.show(replicas)

    def show(self, replicas: Sequence[ReplicaView], **changes: Any) -> None:
        """The table says that these are the replicas, and this has changed in the catalog."""
        self.entry = structs.replace(self.entry, **changes)
        for each in replicas:
            derive(each, self.clock.now())
        self.dispatcher.update(self.entry, list(replicas))

    def submit(
        self, *, prompt: bytes = b"", prompt_tokens: int = 10, output_tokens: int = 10, **job: Any
    ) -> FakeCarrier:
        carrier = FakeCarrier(self)
        given: dict[str, Any] = {"tenant": "t", "size_bytes": 100, "streamed": True}
        carrier.job = Job(
            carrier,
            model="m",
            prompt_tokens=prompt_tokens,
            output_tokens=output_tokens,
            began=self.clock.now(),
            chain=chain_of(prompt),
            **(given | job),
        )
        self.dispatcher.submit(carrier.job)
        return carrier

    def fill(self, requests: int) -> list[FakeCarrier]:
        """So many requests that take the places there are."""
        return [self.submit(tenant="filler") for _ in range(requests)]

    def sweep(self, seconds: float = 0.0) -> None:
        """Time passes, and the sweep comes by."""
        self.clock.advance(seconds)
        self.dispatcher.expire(self.clock.now())


def replica(
    replica_id: str = "a",
    *,
    directory: PrefixDirectory | None = None,
    now: float = START,
    cached: PrefixChain | None = None,
    **fields: Any,
) -> ReplicaView:
    """A ready, empty replica, with `fields` changed and derived from."""
    cache = PrefixCache(directory)
    if cached is not None:
        cache.insert(cached)
    given: dict[str, Any] = {
        "replica_id": replica_id,
        "model": "m",
        "revision": "r",
        "state": ReplicaState.READY,
        "address": ("h", 1, False),
        "head": b"",
        "labels": b"",
        "cache": cache,
    }
    view = ReplicaView(**(given | fields))
    derive(view, now)
    return view


def fleet(size: int, **fields: Any) -> list[ReplicaView]:
    """So many alike replicas, `r0` and on, that share a directory."""
    directory = PrefixDirectory()
    return [replica(f"r{index}", directory=directory, **fields) for index in range(size)]


COMPACT: dict[str, Any] = {"separators": (",", ":"), "ensure_ascii": False}
"""How most clients write JSON; Python's own library writes blanks and ASCII."""


def read(way: dict[str, Any] | None = None, **fields: Any) -> tuple[bytes, bytes]:
    """Prompt and opening of a request with these fields, written the given way, by default as Python's library does."""
    return read_prompt(decode_request(json.dumps({"model": "m"} | fields, **way or {}).encode()))


def held(cache: PrefixCache) -> set[Digest]:
    """The blocks that this cache is believed to hold."""
    return {digest for digest, block in cache.directory._blocks.items() if block.caches & cache.bit}


def facts(chain: PrefixChain) -> tuple[tuple[Digest, ...], bytes, int]:
    """All that a chain knows, to compare."""
    return chain.hashes, chain.rest, chain.size_bytes


def chosen(
    replicas: Sequence[ReplicaView], policy: PolicyName = PolicyName.LEAST_LOADED, seed: int = 0, **features: Any
) -> RouteDecision:
    """What `choose` decides for a request with these features."""
    return choose(RequestFeatures(policy=policy, **{"now": START} | features), replicas, Random(seed))


def chosen_id(replicas: Sequence[ReplicaView], *arguments: Any, **features: Any) -> str:
    """Id of the replica that is chosen; empty if none is."""
    view = chosen(replicas, *arguments, **features).replica
    return "" if view is None else view.replica_id


def kill(rig: Rig, replicas: list[ReplicaView], replica_id: str, everyone: Sequence[FakeCarrier]) -> None:
    """The engine of this replica dies with all who are inside; a moment later its lease is gone."""
    for each in [each for each in everyone if each.inside == replica_id]:
        each.dies()
    replicas[:] = [view for view in replicas if view.replica_id != replica_id]
    rig.show(replicas)
