"""A whole system in virtual time: arrivals -> the router's own dispatcher and policy -> simulated engines.

What is the router's is the router's: `Dispatcher`, `choose`, replica views, queue, estimates. What the harness adds is
what lies around them in production: requests that come at their scheduled times, engines that answer, replicas'
reports once a second, the sweep four times a second, and what a connection tells the dispatcher of an answer.
"""

from collections.abc import Callable, Sequence
from random import Random
from typing import Protocol

from msgspec import Struct

from replicas.simulation import SimulatedRequest, TokenMade
from replicas.types import ReplicaState, SimulationSettings
from router.answer import Learnt
from router.dispatcher import Dispatcher
from router.errors import Refusal
from router.features import RequestFeatures
from router.job import Job, job_for
from router.meters import ModelMeter
from router.policy import RouteDecision
from router.prefix_index import PrefixCache
from router.quarantine import Quarantine
from router.replica_view import ReplicaView, bound_memory, correct, derive
from router.request_head import RequestHead
from router.types import (
    CatalogEntry,
    ModelStatus,
    PolicyName,
    Priority,
    RoutingSettings,
)
from tests.simulation.clock import VirtualClock
from tests.simulation.engine_sim import EngineProcess
from tests.simulation.loads import Arrival, Load

REPORT_S = 1.0
SWEEP_S = 0.25
SAMPLE_S = 0.5


class Chooser(Protocol):
    """A policy that stands in for the production one, behind the same filter and in front of the same queue."""

    def choose(self, request: RequestFeatures, candidates: Sequence[ReplicaView], rng: Random) -> RouteDecision:
        """As the functions in `router.policy`."""

    def sent(self, arrival: Arrival, view: ReplicaView, now: float) -> None:
        """The request has been sent there."""


class Outcome(Struct):
    """What became of one request. Times are seconds of the run; 0 for what did not happen."""

    arrival: Arrival
    replica_id: str = ""
    first_at: float = 0.0
    ended_at: float = 0.0
    cached_tokens: int = 0
    expected_cached_tokens: int = 0
    """What the router took the replica to have."""
    refused: bool = False


class Run(Struct):
    """Everything that was measured."""

    load: Load
    outcomes: list[Outcome]
    in_flight: list[tuple[int, ...]]
    """Requests in each replica, every `SAMPLE_S` while requests come."""
    reasons: dict[str, int]


class Client:
    """One request, from its arrival to its last token."""

    __slots__ = ("_world", "job", "number", "outcome")

    def __init__(self, world: "World", arrival: Arrival, number: int) -> None:
        self._world = world
        self.number = number
        self.outcome = Outcome(arrival)
        head = RequestHead("m", arrival.streamed, arrival.prompt, arrival.opening, session=arrival.session)
        self.job = job_for(
            self,
            head,
            entry=world.dispatcher.entry,
            estimates=world.dispatcher.estimates,
            tenant="t",
            tenant_weight=1.0,
            priority=Priority.NORMAL,
            now=world.clock.now(),
            size_bytes=len(arrival.prompt),
        )

    def send_to(self, replica: ReplicaView) -> None:
        """See `router.dispatcher.Carrier`."""
        world, outcome = self._world, self.outcome
        outcome.replica_id = replica.replica_id
        outcome.expected_cached_tokens = self.job.cached_tokens
        if world.chooser is not None:
            world.sending = self  # where only one replica has room the chooser was not asked
            world.chooser.sent(outcome.arrival, replica, world.clock.now())
        world.engines[replica.replica_id].submit(engine_request(outcome.arrival, str(self.number)), self._told)

    def turn_away(self, refusal: Refusal) -> None:
        """See `router.dispatcher.Carrier`."""
        self.outcome.refused = True
        self._world.left -= 1

    def _told(self, token: TokenMade) -> None:
        world, outcome, arrival = self._world, self.outcome, self.outcome.arrival
        now = world.clock.now()
        if not token.index:
            outcome.first_at = now
            outcome.cached_tokens = token.cached_prompt_tokens
            if arrival.streamed:
                world.dispatcher.first_token(self.job, now)
        if token.last:
            outcome.ended_at = now
            world.dispatcher.ended(self.job, self._learnt(), answered=True)
            world.left -= 1

    def _learnt(self) -> Learnt:
        """What a connection passes on at an answer's end: its text and its usage."""
        arrival = self.outcome.arrival
        return Learnt(
            output_tokens=arrival.output_tokens,
            prompt_tokens=arrival.prompt_tokens,
            cached_tokens=self.outcome.cached_tokens,
            text=arrival.answer.decode(),
        )


def engine_request(arrival: Arrival, number: str) -> SimulatedRequest:
    """`arrival` as an engine sees it."""
    return SimulatedRequest(
        id=number,
        prompt_tokens=arrival.prompt_tokens,
        output_tokens=arrival.output_tokens,
        block_hashes=arrival.block_hashes,
    )


class World:
    """One system and its load. `run` is called once."""

    def __init__(
        self,
        load: Load,
        policy: PolicyName,
        seed: int,
        *,
        chooser: "Callable[[World], Chooser] | None" = None,
    ) -> None:
        """`chooser`: makes what chooses in the place of `policy`, behind the same filter and in front of the same
        queue."""
        self.load = load
        self.clock = VirtualClock()
        routing = RoutingSettings(policy=policy, target_ttft_s=load.target_ttft_s)
        entry = CatalogEntry(name="m", created=0, status=ModelStatus.READY, routing=routing)
        self.sending: Client
        """Whose replica is being chosen, or has been; for choosers."""
        self.dispatcher = Dispatcher(
            entry,
            ModelMeter(),
            quarantine=Quarantine(),
            clock=self.clock,
            rng=Random(seed),
            policy=None if chooser is None else self._choose,
        )
        self.engines: dict[str, EngineProcess] = {}
        self.views: list[ReplicaView] = []
        for index, settings in enumerate(load.fleet):
            self._add_replica(f"replica-{index}", settings)
        self.left = len(load.arrivals)
        self._samples: list[tuple[int, ...]] = []
        self.chooser = None if chooser is None else chooser(self)

    def _choose(self, request: RequestFeatures, candidates: Sequence[ReplicaView], rng: Random) -> RouteDecision:
        """Asks the chooser, who may want to know whose replica it is choosing."""
        assert self.chooser is not None
        assert isinstance(request, Job)
        assert isinstance(request.carrier, Client)
        self.sending = request.carrier
        return self.chooser.choose(request, candidates, rng)

    def _add_replica(self, replica_id: str, settings: SimulationSettings) -> None:
        self.engines[replica_id] = EngineProcess(settings, self.clock)
        view = ReplicaView(replica_id, "m", "r", ReplicaState.READY, ("h", 1, False), b"", b"")
        view.limit = settings.max_running
        view.kv_capacity_tokens = settings.kv_capacity_tokens
        view.cache = PrefixCache(self.dispatcher.directory)
        bound_memory(view, self.dispatcher.estimates.bytes_per_token)
        derive(view, 0.0)
        self.views.append(view)

    def run(self) -> Run:
        """Lets every request come and end."""
        joins = self.load.joins
        ready = self.views[: len(self.views) - len(joins)]
        self.dispatcher.update(self.dispatcher.entry, ready)
        for view, at in zip(self.views[len(ready) :], joins, strict=True):
            self.clock.at(at, lambda view=view: self._join(view))  # type: ignore[misc]
        outcomes: list[Outcome] = []
        self._arrive(iter(enumerate(self.load.arrivals)), outcomes)
        for index, view in enumerate(self.views):
            self._every(REPORT_S, lambda view=view: self._report(view), REPORT_S * index / len(self.views))  # type: ignore[misc]
        self._every(SWEEP_S, lambda: self.dispatcher.expire(self.clock.now()))
        self._every(SAMPLE_S, self._sample)
        self.clock.run(until=lambda: not self.left)
        assert not self.left, "requests were forgotten"
        return Run(self.load, outcomes, self._samples, dict(self.dispatcher.meter.choices))

    def _arrive(self, coming: "enumerate[Arrival]", outcomes: list[Outcome]) -> None:
        def next_one() -> None:
            following = next(coming, None)
            if following is not None:
                number, arrival = following
                self.clock.at(arrival.at, lambda: come(number, arrival))

        def come(number: int, arrival: Arrival) -> None:
            client = Client(self, arrival, number)
            outcomes.append(client.outcome)
            self.dispatcher.submit(client.job)
            next_one()

        next_one()

    def _every(self, period_s: float, call: Callable[[], None], first_s: float = 0.0) -> None:
        def again() -> None:
            call()
            self.clock.later(period_s, again)

        self.clock.at(first_s, again)

    def _report(self, view: ReplicaView) -> None:
        """As `RoutingTable` does with what a replica publishes."""
        bound_memory(view, self.dispatcher.estimates.bytes_per_token)
        correct(view, self.engines[view.replica_id].core.load(), 0, self.clock.now())

    def _sample(self) -> None:
        if self.load.measured_from_s <= self.clock.now() <= self.load.arrivals[-1].at:
            self._samples.append(tuple(view.in_flight for view in self.dispatcher.replicas))

    def _join(self, view: ReplicaView) -> None:
        now = self.clock.now()
        view.fresh, view.ready_since = True, now
        like = self.dispatcher.replicas[0]
        view.prefill_tokens_per_s, view.first_token_overhead_s = like.prefill_tokens_per_s, like.first_token_overhead_s
        derive(view, now)
        self.dispatcher.update(self.dispatcher.entry, [*self.dispatcher.replicas, view])


def run(load: Load, policy: "PolicyName | Callable[[World], Chooser]", seed: int = 0) -> Run:
    """Runs `load` under a production policy, or under another one in its place."""
    if isinstance(policy, PolicyName):
        return World(load, policy, seed).run()
    return World(load, PolicyName.PREFIX_AWARE, seed, chooser=policy).run()
