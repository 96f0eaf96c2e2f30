"""A fleet that grows and shrinks in virtual time: requests -> the router's dispatcher -> engines that start and stop.

What is the router's is the router's: `Dispatcher`, its choice, its queue, its reports. A `Scaler` is asked once a
second; what it wants is carried out as the orchestrator does: a replica takes a GPU from the moment at which its start
is asked for until it has drained.
"""

from collections.abc import Callable, Iterator, Mapping
from random import Random
from typing import Protocol

from msgspec import Struct

from orchestrator.scaling.room import Place
from replicas.types import EngineLoad, ReplicaState
from router.answer import Learnt
from router.dispatcher import Dispatcher
from router.errors import Refusal
from router.job import Job
from router.meters import ModelMeter
from router.prefix_chain import PrefixChain
from router.quarantine import Quarantine
from router.replica_view import ReplicaView, correct, derive
from router.types import CatalogEntry, ModelLoad, ModelStatus, RoutingSettings
from tests.simulation.clock import VirtualClock
from tests.simulation.loads import BYTES_PER_TOKEN
from tests.simulation.scaling.demand import Case, Request, Traffic
from tests.simulation.scaling.engine import EngineRequest, FlowEngine

NODE = "n"
TICK_S = 1.0
SWEEP_S = 0.25
SPREAD = 0.1
"""By which starts differ from the fleet's cold start, up and down."""


class Scaler(Protocol):
    """Who says how many replicas there should be."""

    def tick(self, world: "World", now: float) -> None:
        """Asks `world` for what it wants by `start` and `drain`."""


class Outcome(Struct):
    """What became of one request."""

    at: float
    first_at: float | None = None
    ended_at: float | None = None
    refused_at: float | None = None


class Replica:
    """One replica, from the wish for it until its GPU is free again."""

    def __init__(self, model: "Model", number: int, place: Place | None, now: float) -> None:
        self.model = model
        self.replica_id = f"{model.traffic.model}-{number}"
        self.state = ReplicaState.STARTING
        self.wanted_at = now
        self.place = place
        """None while no GPU is free for it."""
        self.started_at: float | None = None
        self.ready_at: float | None = None
        self.draining_since: float | None = None
        self.gone_at: float | None = None
        self.engine = FlowEngine(model.world.case.fleet.engine, model.world.clock)
        self.view = self._view()

    def _view(self) -> ReplicaView:
        settings = self.model.world.case.fleet.engine
        view = ReplicaView(self.replica_id, "m", "r", ReplicaState.STARTING, ("h", 1, False), b"", b"")
        view.limit = settings.max_running
        view.kv_capacity_tokens = settings.kv_capacity_tokens
        return view

    def load(self) -> EngineLoad:
        """As it is reported, which may be wrong."""
        load, told = self.engine.load(), self.model.world.case.tokens_told
        return EngineLoad(
            running=load.running,
            kv_usage=load.kv_usage,
            prompt_tokens_total=int(load.prompt_tokens_total * told),
            generation_tokens_total=int(load.generation_tokens_total * told),
        )


class Model:
    """One model's dispatcher, replicas and outcomes."""

    def __init__(self, world: "World", traffic: Traffic, seed: int) -> None:
        self.world = world
        self.traffic = traffic
        routing = RoutingSettings(target_ttft_s=traffic.target_wait_s, cold_start_timeout_s=600.0)
        entry = CatalogEntry(name=traffic.model, created=0, status=ModelStatus.STARTING, routing=routing)
        self.dispatcher = Dispatcher(
            entry, ModelMeter(), quarantine=Quarantine(), clock=world.clock, rng=Random(f"{seed} {traffic.model}")
        )
        self.replicas: list[Replica] = []
        """That hold a GPU or want one."""
        self.gone: list[Replica] = []
        self.outcomes: list[Outcome] = []
        self.targets: list[tuple[float, int]] = []
        self.cold_start_s = world.case.fleet.believed_cold_start_s or world.case.fleet.cold_start_s
        """As measured of the last start."""
        self._count = 0

    def active(self) -> list[Replica]:
        """Those that start or serve."""
        return [each for each in self.replicas if each.state in (ReplicaState.STARTING, ReplicaState.READY)]

    def load(self) -> ModelLoad:
        """As its router reports it."""
        return self.dispatcher.load(self.world.clock.now())

    def add(self, place: Place | None) -> Replica:
        """One more replica, which starts when it has a place."""
        self._count += 1
        replica = Replica(self, self._count, place, self.world.clock.now())
        self.replicas.append(replica)
        return replica

    def publish(self) -> None:
        """What routers know of the replicas."""
        views = [each.view for each in self.replicas if each.state in (ReplicaState.READY, ReplicaState.DRAINING)]
        self.dispatcher.update(self.dispatcher.entry, views)

    def come(self, request: Request) -> None:
        """A request arrives."""
        now = self.world.clock.now()
        outcome = Outcome(now)
        self.outcomes.append(outcome)
        self.dispatcher.submit(_Carrier(self, request, outcome, now).job)


class _Carrier:
    """See `router.dispatcher.Carrier`."""

    def __init__(self, model: Model, request: Request, outcome: Outcome, now: float) -> None:
        self._model, self._request, self._outcome = model, request, outcome
        estimates = model.dispatcher.estimates
        size_bytes = request.prompt_tokens * BYTES_PER_TOKEN
        self.job = Job(
            self,
            model=model.traffic.model,
            tenant="t",
            prompt_tokens=estimates.prompt_tokens(size_bytes),
            output_tokens=estimates.expected_output_tokens(None),
            size_bytes=size_bytes,
            began=now,
            chain=PrefixChain((), b"", size_bytes),
            streamed=True,
        )

    def send_to(self, view: ReplicaView) -> None:
        replica = next(each for each in self._model.replicas if each.view is view)
        request = self._request
        replica.engine.submit(
            EngineRequest(request.prompt_tokens, request.output_tokens, self._first, lambda: self._ended(replica))
        )

    def turn_away(self, refusal: Refusal) -> None:
        self._outcome.refused_at = self._model.world.clock.now()
        self._model.world.left -= 1

    def _first(self) -> None:
        now = self._model.world.clock.now()
        self._outcome.first_at = now
        self._model.dispatcher.first_token(self.job, now)

    def _ended(self, replica: Replica) -> None:
        world, request = self._model.world, self._request
        self._outcome.ended_at = world.clock.now()
        learnt = Learnt(output_tokens=request.output_tokens, prompt_tokens=request.prompt_tokens)
        self._model.dispatcher.ended(self.job, learnt, answered=True)
        world.left -= 1
        if replica.state is ReplicaState.DRAINING and not replica.view.in_flight:
            world.end(replica)


class World:
    """One fleet and its traffic. `run` is called once."""

    def __init__(self, case: Case, scaler: Scaler, seed: int = 0, spread: float = SPREAD) -> None:
        self.case = case
        self.clock = VirtualClock()
        self.models = [Model(self, traffic, seed) for traffic in case.traffic]
        self.left = sum(len(traffic.requests) for traffic in case.traffic)
        self.most_gpus = 0
        self._scaler = scaler
        self._spread = spread
        self._rng = Random(f"starts {seed}")

    def run(self) -> "World":
        """Lets every request come and end."""
        for model in self.models:
            for _ in range(model.traffic.at_first):
                self._begin_ready(model)
            model.targets.append((0.0, model.traffic.at_first))
            self._arrive(model, iter(model.traffic.requests))
        self._every(TICK_S, self._tick)
        self._every(SWEEP_S, self._sweep)
        self.clock.run(until=lambda: not self.left and self.clock.now() >= self.case.duration_s)
        assert not self.left, "requests were forgotten"
        return self

    def reports_come(self) -> bool:
        """Whether what is reported now arrives."""
        now = self.clock.now()
        return not any(since <= now < until for since, until in self.case.silences)

    def start(self, model: Model, place: Place | None = None) -> None:
        """Starts one more replica, now or when a GPU is free."""
        replica = model.add(place)
        if place is not None:
            self._begin(replica)
        else:
            self._begin_waiting()

    def drain(self, replica: Replica) -> None:
        """Lets a replica finish, then end."""
        replica.draining_since = self.clock.now()
        if replica.state is ReplicaState.STARTING or not replica.view.in_flight:
            self.end(replica)
            return
        self._set(replica, ReplicaState.DRAINING)

    def scale(self, model: Model, target: int) -> None:
        """Starts what is missing, drains what is too much: those that start first, then the least busy and youngest."""
        active = model.active()
        for _ in range(target - len(active)):
            self.start(model)
        order = sorted(
            active,
            key=lambda each: (each.state is ReplicaState.READY, each.engine.running, -each.wanted_at),
        )
        for replica in order[: max(0, len(active) - target)]:
            self.drain(replica)

    def end(self, replica: Replica) -> None:
        """Its GPU is free."""
        self._set(replica, ReplicaState.CORDONED)
        replica.gone_at = self.clock.now()
        replica.model.replicas.remove(replica)
        replica.model.gone.append(replica)
        replica.model.publish()
        self._begin_waiting()

    def gpus_held(self) -> int:
        """Taken now."""
        return sum(each.started_at is not None for model in self.models for each in model.replicas)

    def targets(self, wanted: Mapping[str, int]) -> None:
        """Notes what was wanted, for the count of reversals."""
        for model in self.models:
            target = wanted[model.traffic.model]
            if target != model.targets[-1][1]:
                model.targets.append((self.clock.now(), target))

    def _begin_ready(self, model: Model) -> None:
        replica = model.add(self._free_place())
        replica.started_at = replica.ready_at = 0.0
        self._set(replica, ReplicaState.READY)

    def _begin_waiting(self) -> None:
        waiting = [each for model in self.models for each in model.replicas if each.place is None]
        for replica in sorted(waiting, key=lambda each: each.wanted_at):
            replica.place = self._free_place()
            if replica.place is None:
                return
            self._begin(replica)

    def _free_place(self) -> Place | None:
        taken = {gpu for model in self.models for each in model.replicas if each.place for gpu in each.place.gpus}
        free = (gpu for gpu in range(self.case.fleet.gpus) if gpu not in taken)
        gpu = next(free, None)
        return None if gpu is None else Place(node_id=NODE, gpus=(gpu,))

    def _begin(self, replica: Replica) -> None:
        replica.started_at = self.clock.now()
        self.most_gpus = max(self.most_gpus, self.gpus_held())
        took_s = self.case.fleet.cold_start_s * (1 + self._spread * (2 * self._rng.random() - 1))
        self.clock.later(took_s, lambda: self._ready(replica, took_s))

    def _ready(self, replica: Replica, took_s: float) -> None:
        if replica.gone_at is not None:
            return
        replica.ready_at = self.clock.now()
        replica.model.cold_start_s = took_s
        replica.view.fresh, replica.view.ready_since = True, replica.ready_at
        self._set(replica, ReplicaState.READY)

    def _set(self, replica: Replica, state: ReplicaState) -> None:
        replica.state = replica.view.state = state
        derive(replica.view, self.clock.now())
        replica.model.publish()

    def _arrive(self, model: Model, coming: Iterator[Request]) -> None:
        def next_one() -> None:
            request = next(coming, None)
            if request is not None:
                self.clock.at(request.at, lambda: come(request))

        def come(request: Request) -> None:
            model.come(request)
            next_one()

        next_one()

    def _tick(self) -> None:
        now = self.clock.now()
        for model in self.models:
            for replica in model.replicas:
                if replica.state is ReplicaState.READY:
                    correct(replica.view, replica.engine.load(), 0, now)
        self._scaler.tick(self, now)
        self.most_gpus = max(self.most_gpus, self.gpus_held())

    def _sweep(self) -> None:
        for model in self.models:
            model.dispatcher.expire(self.clock.now())

    def _every(self, period_s: float, call: Callable[[], None]) -> None:
        def again() -> None:
            call()
            if self.left or self.clock.now() < self.case.duration_s:
                self.clock.later(period_s, again)

        self.clock.at(0.0, again)


def run(case: Case, scaler: Scaler, seed: int = 0, spread: float = SPREAD) -> World:
    """Runs `case` under `scaler`."""
    return World(case, scaler, seed, spread).run()
