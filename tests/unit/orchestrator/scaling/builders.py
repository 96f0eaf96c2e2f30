"""What the autoscaler's tests are made of."""

from collections.abc import Callable, Sequence
from typing import Any

from msgspec.structs import replace

from orchestrator.scaling.decide import decide
from orchestrator.scaling.types import (
    LoadSample,
    Override,
    ReplicaSample,
    ScalingDecision,
    ScalingMemory,
    ScalingSettings,
)
from replicas.types import ReplicaState

COLD_START_S = 40.0
REQUEST = (1000, 200)
"""Prompt and output tokens."""


def ready(number: int, since: float = 0.0) -> ReplicaSample:
    """A replica that runs since then, with room for 50 requests of that size."""
    return ReplicaSample(
        replica_id=str(number), state=ReplicaState.READY, started_at=since - COLD_START_S, ready_at=since,
        max_running=64, kv_capacity_tokens=60_000,
    )  # fmt: skip


class Deployment:
    """One deployment and its router, second by second. Starts take `COLD_START_S`; replicas that are not wanted go."""

    def __init__(self, settings: ScalingSettings, replicas: int = 1) -> None:
        self.settings = settings
        self.replicas = [ready(number, -1000.0) for number in range(replicas)]
        self.memory = ScalingMemory()
        self.load = LoadSample(router_id="r", at=-1.0)
        self.decisions: list[ScalingDecision] = []
        self.now = 0.0
        self.override: Override | None = None

    def second(
        self, arrivals: int = 0, *, queued: int = 0, in_flight: int = 0, silent: bool = False
    ) -> ScalingDecision:
        """So many came in the last second; so many wait, with a wait of 1 s, and run now."""
        before = self.load
        ended = max(0, arrivals + before.queued + before.in_flight - queued - in_flight)
        self.load = replace(
            before,
            at=self.now,
            queued=queued,
            queued_tokens=queued * REQUEST[0],
            oldest_wait_s=1.0 if queued else 0.0,
            in_flight=in_flight,
            arrivals_total=before.arrivals_total + arrivals,
            prompt_tokens_total=before.prompt_tokens_total + arrivals * REQUEST[0],
            generated_tokens_total=before.generated_tokens_total + ended * REQUEST[1],
        )
        decision, self.memory = decide(
            self.settings,
            () if silent else (self.load,),
            self.replicas,
            cold_start_s=COLD_START_S,
            target_wait_s=2.0,
            memory=self.memory,
            now=self.now,
            override=self.override,
        )
        self.decisions.append(decision)
        self._follow(decision.target)
        self.now += 1.0
        return decision

    def seconds(self, count: int, arrivals: Callable[[int], int] | int = 0, **state: Any) -> ScalingDecision:
        """The same again and again."""
        for at in range(count):
            decision = self.second(arrivals if isinstance(arrivals, int) else arrivals(at), **state)
        return decision

    @property
    def targets(self) -> Sequence[int]:
        """All so far."""
        return [each.target for each in self.decisions]

    def _follow(self, target: int) -> None:
        self.replicas = [
            replace(each, state=ReplicaState.READY, ready_at=self.now)
            if each.ready_at is None and self.now - each.started_at >= COLD_START_S
            else each
            for each in self.replicas
        ][: max(target, 0)]
        for number in range(len(self.replicas), target):
            start = ready(number, self.now + COLD_START_S)
            self.replicas.append(replace(start, state=ReplicaState.STARTING, ready_at=None))


UP_TO_6 = ScalingSettings(min_replicas=1, max_replicas=6)
FROM_ZERO = ScalingSettings(min_replicas=0, max_replicas=6)
