"""Our autoscaler as production runs it, and what it is compared with."""

from collections import deque
from math import ceil

from msgspec import Struct

from orchestrator.scaling.allocate import allocate
from orchestrator.scaling.decide import decide
from orchestrator.scaling.room import GpuNode, PlacedReplica, Wish
from orchestrator.scaling.types import LoadSample, ReplicaSample, ScalingDecision, ScalingMemory, ScalingSettings
from tests.simulation.scaling.world import NODE, Model, Replica, World


class Roundhouse:
    """`decide` for every model, then `allocate` over all."""

    def __init__(self) -> None:
        self._memories: dict[str, ScalingMemory] = {}
        self.decisions: list[tuple[float, str, ScalingDecision]] = []

    def tick(self, world: World, now: float) -> None:
        """See `Scaler`."""
        decisions = {model.traffic.model: self._decide(world, model, now) for model in world.models}
        world.targets({name: decision.target for name, decision in decisions.items()})
        wishes = [_wish(model, decisions[model.traffic.model], now) for model in world.models]
        allocation = allocate(wishes, [GpuNode(id=NODE, gpus=(1.0,) * world.case.fleet.gpus)], now)
        models = {model.traffic.model: model for model in world.models}
        replicas = {replica.replica_id: replica for model in world.models for replica in model.replicas}
        for drain in allocation.drains:
            world.drain(replicas[drain.replica_id])
        for start in allocation.starts:
            world.start(models[start.deployment], start.place)

    def _decide(self, world: World, model: Model, now: float) -> ScalingDecision:
        traffic = model.traffic
        decision, memory = decide(
            ScalingSettings(min_replicas=traffic.min_replicas, max_replicas=traffic.max_replicas),
            (_load_sample(model, now),) if world.reports_come() else (),
            [_replica_sample(replica) for replica in model.replicas],
            cold_start_s=model.cold_start_s,
            target_wait_s=traffic.target_wait_s,
            memory=self._memories.get(traffic.model, ScalingMemory()),
            now=now,
        )
        before = self._memories.get(traffic.model)
        if before is None or before.target != decision.target:
            self.decisions.append((now, traffic.model, decision))
        self._memories[traffic.model] = memory
        return decision


def _wish(model: Model, decision: ScalingDecision, now: float) -> Wish:
    load = model.load()
    return Wish(
        deployment=model.traffic.model, wanted=decision.target, needed=decision.needed,
        min_replicas=model.traffic.min_replicas, cold_start_s=model.cold_start_s,
        waiting_since=now - load.oldest_wait_s if load.queued else None,
        replicas=tuple(
            PlacedReplica(
                replica_id=each.replica_id, state=each.state, node_id=NODE, gpus=each.place.gpus if each.place else (),
                started_at=each.wanted_at, ready_at=each.ready_at, in_flight=each.view.in_flight,
                kv_usage=each.engine.load().kv_usage,
            )
            for each in model.replicas
        ),
    )  # fmt: skip


def _load_sample(model: Model, now: float) -> LoadSample:
    load = model.load()
    return LoadSample(
        router_id="r", at=now, queued=load.queued, queued_tokens=load.queued_tokens,
        oldest_wait_s=load.oldest_wait_s, in_flight=load.in_flight, arrivals_total=load.arrivals_total,
        prompt_tokens_total=load.prompt_tokens_total, generated_tokens_total=load.generated_tokens_total,
    )  # fmt: skip


def _replica_sample(replica: Replica) -> ReplicaSample:
    load, settings = replica.load(), replica.model.world.case.fleet.engine
    return ReplicaSample(
        replica_id=replica.replica_id, state=replica.state, started_at=replica.wanted_at, ready_at=replica.ready_at,
        in_flight=replica.view.in_flight, running=load.running, max_running=settings.max_running,
        kv_capacity_tokens=settings.kv_capacity_tokens, kv_usage=load.kv_usage,
        prompt_tokens_total=load.prompt_tokens_total, generated_tokens_total=load.generation_tokens_total,
    )  # fmt: skip


class RaySettings(Struct, frozen=True, kw_only=True):
    """Of Ray Serve's `AutoscalingConfig`, with its defaults."""

    target_ongoing_requests: float = 2.0
    upscale_delay_s: float = 30.0
    downscale_delay_s: float = 600.0
    look_back_period_s: float = 30.0
    metrics_interval_s: float = 10.0


class RayServe:
    """Ray Serve's formula: requests running and queued, averaged over a window, divided by a target for one replica.

    The rules are those of Ray 2.60, `ray/serve/autoscaling_policy.py` (Apache-2.0), written anew for virtual time with
    its scaling factors of 1; `test_scalers.py` holds them against the installed ones.
    """

    def __init__(self, settings: RaySettings) -> None:
        self._settings = settings
        self._states: dict[str, _RayState] = {}

    def tick(self, world: World, now: float) -> None:
        """See `Scaler`."""
        targets = {}
        for model in world.models:
            state = self._states.setdefault(model.traffic.model, _RayState(self._settings, model.traffic.at_first))
            load = model.load()
            running = sum(replica.ready_at is not None for replica in model.active())
            target = state.step(load.queued + load.in_flight, running, now)
            target = min(max(target, model.traffic.min_replicas), model.traffic.max_replicas)
            state.target = targets[model.traffic.model] = target
            world.scale(model, target)
        world.targets(targets)


class _RayState:
    def __init__(self, settings: RaySettings, target: int) -> None:
        self._settings = settings
        self.target = target
        self._seen: deque[tuple[float, int]] = deque()
        self._reported = 0.0
        self._direction = 0
        self._since = 0.0

    def step(self, requests: int, running: int, now: float) -> int:
        """The target, before its bounds."""
        self._seen.append((now, requests))
        while self._seen[0][0] < now - self._settings.look_back_period_s:
            self._seen.popleft()
        if now % self._settings.metrics_interval_s < 1:
            self._reported = sum(count for _, count in self._seen) / len(self._seen)
        if not running:
            return max(1, self.target) if self._reported else self.target
        return self.delayed(ceil(self._reported / self._settings.target_ongoing_requests), now)

    def delayed(self, desired: int, now: float) -> int:
        """What has been desired for as long as its direction must be."""
        direction = (desired > self.target) - (desired < self.target)
        if direction != self._direction:
            self._direction, self._since = direction, now
        if not direction:
            return self.target
        delay_s = self._settings.upscale_delay_s if direction > 0 else self._settings.downscale_delay_s
        if now - self._since + 1e-6 < delay_s:
            return self.target
        self._direction = 0
        return max(1, desired) if direction < 0 and self.target > 1 else desired


class QueueTarget:
    """As KEDA with the HPA behind it: every 15 s requests divided by a target, 10 % tolerance, the most of the last
    300 s on the way down, and 300 s without any before the last replica goes."""

    def __init__(self, target_requests: float) -> None:
        self._target_requests = target_requests
        self._wished: dict[str, deque[tuple[float, int]]] = {}
        self._active_at: dict[str, float] = {}

    def tick(self, world: World, now: float) -> None:
        """See `Scaler`."""
        targets = {}
        for model in world.models:
            name, traffic = model.traffic.model, model.traffic
            current = model.targets[-1][1]
            targets[name] = self._target(model, current, now) if now % 15 < 1 else current
            targets[name] = min(max(targets[name], traffic.min_replicas), traffic.max_replicas)
            world.scale(model, targets[name])
        world.targets(targets)

    def _target(self, model: Model, current: int, now: float) -> int:
        name = model.traffic.model
        load = model.load()
        requests = load.queued + load.in_flight
        if requests:
            self._active_at[name] = now
        elif now - self._active_at.get(name, 0.0) >= 300:
            return 0
        ratio = requests / self._target_requests
        wished = current if current and abs(ratio / current - 1) <= 0.1 else max(1, ceil(ratio))
        if not requests and not current:
            return 0
        history = self._wished.setdefault(name, deque())
        history.append((now, wished))
        while history[0][0] < now - 300:
            history.popleft()
        return max(wished, min(current, max(each for _, each in history)))


class Fixed:
    """As many as are allowed, always."""

    def tick(self, world: World, now: float) -> None:
        """See `Scaler`."""
        for model in world.models:
            world.scale(model, model.traffic.max_replicas)
        world.targets({model.traffic.model: model.traffic.max_replicas for model in world.models})
