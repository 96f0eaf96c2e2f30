"""What a replica needs on one kind of device, and what it can serve with the room that is there. PURE."""

from collections.abc import Callable

from msgspec import Struct

from orchestrator.library.engine_memory import (
    EngineSettings,
    activation_bytes,
    engine_bytes,
    uncounted,
    weights_bytes,
)
from orchestrator.library.kv_cache import KvLayout, kv_layout
from orchestrator.library.verification.facts import ModelFacts


class ReplicaMemory(Struct, frozen=True, kw_only=True):
    """Bytes of each GPU, or of the replica's processes on the CPU."""

    settings: EngineSettings
    layout: KvLayout
    assumptions: tuple[str, ...]
    weights_bytes: int
    activation_bytes: int
    engine_bytes: int
    cache_bytes: int | None
    """KV cache where its size is a setting; None: it is what is left of the room."""

    @property
    def fixed_bytes(self) -> int:
        """All but the KV cache."""
        return self.weights_bytes + self.activation_bytes + self.engine_bytes

    def available_bytes(self, room_bytes: int) -> int:
        """KV cache that the engine would have."""
        if not self.layout.block_bytes:
            return 0
        return max(0, room_bytes - self.fixed_bytes) if self.cache_bytes is None else self.cache_bytes

    def needed_bytes(self, context_tokens: int) -> int:
        """Least room in which an engine for requests of that length starts."""
        if self.cache_bytes is None or not self.layout.block_bytes:
            return self.fixed_bytes + self.layout.bytes_of(1, context_tokens)
        return self.fixed_bytes + self.cache_bytes

    def running(self, room_bytes: int, context_tokens: int) -> int:
        """Requests of that length that run at once; 0 if the engine would not start."""
        if self.needed_bytes(context_tokens) > room_bytes:
            return 0
        if not self.layout.block_bytes:
            return self.settings.max_running
        held = self.layout.requests(self.available_bytes(room_bytes), context_tokens)
        return min(held, self.settings.max_running)

    def longest_tokens(self, room_bytes: int, requests: int, limit_tokens: int) -> int | None:
        """Longest context, up to a limit, of which so many requests run at once; None if there is none."""
        return _last(limit_tokens, lambda tokens: self.running(room_bytes, tokens) >= requests)


def replica_memory(
    facts: ModelFacts, settings: EngineSettings, *, value_bytes: float, cache_bytes: int | None
) -> ReplicaMemory:
    """The estimate for `facts` under `settings`. `value_bytes`: of one key or value in the KV cache."""
    layout, assumptions = kv_layout(
        facts,
        value_bytes=value_bytes,
        tensor_parallel=settings.tensor_parallel,
        block_tokens=settings.block_tokens,
        step_tokens=settings.scheduled_tokens,
    )
    return ReplicaMemory(
        settings=settings,
        layout=layout,
        assumptions=assumptions + uncounted(facts),
        weights_bytes=weights_bytes(facts, settings),
        activation_bytes=activation_bytes(facts, settings),
        engine_bytes=engine_bytes(settings),
        cache_bytes=cache_bytes,
    )


def _last(limit: int, holds: Callable[[int], bool]) -> int | None:
    """The largest of 1 to `limit` up to which `holds` is true; None if it is not true of 1."""
    if not holds(1):
        return None
    low, high = 1, limit
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if holds(middle) else (low, middle - 1)
    return low
