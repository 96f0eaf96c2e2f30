"""The policies that the production one is measured against, and an oracle."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from random import Random

from msgspec import Struct

from router.features import RequestFeatures
from router.policy import RouteDecision
from router.replica_view import ReplicaView
from router.types import PolicyName
from tests.simulation.engine_sim import QueuedWork
from tests.simulation.foresight import Foresight, Times
from tests.simulation.harness import Chooser, Client, World, engine_request
from tests.simulation.loads import Arrival
from tests.simulation.ray_prefix import RayPrefixAware


class RandomChoice:
    """Any replica with room."""

    def __init__(self, world: World) -> None:
        pass

    def choose(self, request: RequestFeatures, candidates: Sequence[ReplicaView], rng: Random) -> RouteDecision:
        """See `harness.Chooser`."""
        return RouteDecision(rng.choice(candidates), "random")

    def sent(self, arrival: Arrival, view: ReplicaView, now: float) -> None:
        """See `harness.Chooser`."""


class RoundRobin:
    """The replica with room whose turn is longest ago."""

    def __init__(self, world: World) -> None:
        self._turns = dict.fromkeys((view.replica_id for view in world.views), 0)
        self._turn = 0

    def choose(self, request: RequestFeatures, candidates: Sequence[ReplicaView], rng: Random) -> RouteDecision:
        """See `harness.Chooser`."""
        return RouteDecision(min(candidates, key=lambda view: self._turns[view.replica_id]), "round_robin")

    def sent(self, arrival: Arrival, view: ReplicaView, now: float) -> None:
        """See `harness.Chooser`."""
        self._turn += 1
        self._turns[view.replica_id] = self._turn


class MostCached:
    """Knows every cache; sends where most of the prompt is, and of these where fewest requests are. What it finds is
    what reuse there is to find, however long its users wait for it."""

    def __init__(self, world: World) -> None:
        self._world = world

    def choose(self, request: RequestFeatures, candidates: Sequence[ReplicaView], rng: Random) -> RouteDecision:
        """See `harness.Chooser`."""
        sought = engine_request(self._world.sending.outcome.arrival, "")
        engines = self._world.engines
        best = max(candidates, key=lambda view: (engines[view.replica_id].cached_tokens(sought), -view.load))
        return RouteDecision(best, "most_cached")

    def sent(self, arrival: Arrival, view: ReplicaView, now: float) -> None:
        """See `harness.Chooser`."""


class _Fate(Struct):
    """A request that an engine has, as far as it is known."""

    client: Client
    times: Times


class Oracle:
    """Knows every engine's cache, schedule and the length of every answer, and plays each engine on with the request
    in it. It sends the request where

        requests that then meet their targets, it included, less those that met them before

    is greatest, and among equals where

        its own latency + what it adds to the latencies of others + `work_weight` x seconds of reading its prompt

    is least. With `targets_first` False only the sum counts. Which weight is best depends on what comes next, and
    this oracle does not know the future; the study takes the best of `ORACLES`.
    """

    def __init__(self, world: World, *, work_weight: float, targets_first: bool = True) -> None:
        self._world = world
        self._work_weight = work_weight
        self._targets_first = targets_first
        self._fates: dict[str, dict[str, _Fate]] = {view.replica_id: {} for view in world.views}
        self._foreseen: dict[str, Mapping[str, Times]] = {}

    def choose(self, request: RequestFeatures, candidates: Sequence[ReplicaView], rng: Random) -> RouteDecision:
        """See `harness.Chooser`."""
        client = self._world.sending
        best = max(candidates, key=lambda view: self._worth(client, view.replica_id))
        return RouteDecision(best, "oracle")

    def sent(self, arrival: Arrival, view: ReplicaView, now: float) -> None:
        """See `harness.Chooser`."""
        fates = self._fates[view.replica_id]
        client = self._world.sending
        if view.replica_id not in self._foreseen:  # the only one with room: nobody was asked
            self._worth(client, view.replica_id)
        for request_id, times in self._foreseen[view.replica_id].items():
            fate = fates.get(request_id)
            if fate is None:
                fates[request_id] = _Fate(client, times)
            else:
                first_at = fate.times.first_at if times.first_at is None else times.first_at
                fate.times = Times(first_at, times.ended_at)
        self._foreseen = {}

    def _worth(self, client: Client, replica_id: str) -> tuple[float, float]:
        engine, fates, now = self._world.engines[replica_id], self._fates[replica_id], self._world.clock.now()
        work = engine.remaining()
        request = engine_request(client.outcome.arrival, str(client.number))
        uncached = max(1, request.prompt_tokens - engine.cached_tokens(request))
        size = request.prompt_tokens + request.output_tokens
        work.append(QueuedWork(request.id, uncached, request.output_tokens, size, waiting=True))
        foresight = Foresight(
            engine.settings,
            work,
            at=now + engine.until_boundary_s(),
            free_tokens=engine.core.cache.free * engine.settings.block_tokens,
        )
        times = self._foreseen[replica_id] = foresight.play()
        own = times[request.id]
        gain = float(self._meets(client, own))
        added_s = own.ended_at - now + self._work_weight * uncached / engine.settings.prefill_tokens_per_s
        left = {each.id for each in work[:-1]}
        for other_id in [each for each in fates if each not in left]:
            del fates[other_id]
        for other_id, fate in fates.items():
            then = times[other_id]
            if then.first_at is None:
                then = Times(fate.times.first_at, then.ended_at)
            gain += self._meets(fate.client, then) - self._meets(fate.client, fate.times)
            added_s += then.ended_at - fate.times.ended_at
        return (gain if self._targets_first else 0.0), -added_s

    def _meets(self, client: Client, times: Times) -> bool:
        load, arrival = self._world.load, client.outcome.arrival
        first_at = client.outcome.first_at or times.first_at
        assert first_at is not None
        if first_at - arrival.at > load.target_ttft_s:
            return False
        return times.ended_at - first_at <= load.target_itl_s * (arrival.output_tokens - 1)


Policy = PolicyName | Callable[[World], Chooser]

PRODUCTION = PolicyName.PREFIX_AWARE.value
BASELINES: Mapping[str, Policy] = {
    "random": RandomChoice,
    "round-robin": RoundRobin,
    PolicyName.LEAST_LOADED.value: PolicyName.LEAST_LOADED,
    PolicyName.POWER_OF_TWO.value: PolicyName.POWER_OF_TWO,
    PolicyName.SESSION_AFFINITY.value: PolicyName.SESSION_AFFINITY,
    "ray": RayPrefixAware,
    "ray-tuned": partial(
        RayPrefixAware,
        imbalanced_threshold=5,
        match_rate_threshold=0.15,
        do_eviction=True,
        eviction_threshold=500_000,
        eviction_target=400_000,
    ),
    PRODUCTION: PolicyName.PREFIX_AWARE,
}
"""`ray-tuned` has the settings of the example in Ray's documentation."""
ORACLES: Mapping[str, Policy] = {
    "oracle-0": partial(Oracle, work_weight=0.0),
    "oracle-1": partial(Oracle, work_weight=1.0),
    "oracle-3": partial(Oracle, work_weight=3.0),
    "oracle-sum": partial(Oracle, work_weight=1.0, targets_first=False),
    "oracle-cache": MostCached,
}
