"""When a replica changes state, when it has drained, and when its engine must prove that it lives. PURE.

Times are seconds of any one clock; the caller brings them.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from msgspec import Struct
from msgspec.structs import replace


class Phase(StrEnum):
    """`ReplicaState`, `WAKING` for one that others see starting, and `GONE` for one that nobody can see any more."""

    STARTING = "starting"
    READY = "ready"
    CORDONED = "cordoned"
    DRAINING = "draining"
    ASLEEP = "asleep"
    WAKING = "waking"
    GONE = "gone"


class Event(StrEnum):
    ENGINE_STARTED = "engine_started"
    START_FAILED = "start_failed"
    SWAP_BEGUN = "swap_begun"
    SWAP_ENDED = "swap_ended"
    SLEEP_REQUESTED = "sleep_requested"
    FELL_ASLEEP = "fell_asleep"
    WAKE_REQUESTED = "wake_requested"
    WAKE_REFUSED = "wake_refused"
    """Nobody could be told of it."""
    WOKE = "woke"
    STOP_REQUESTED = "stop_requested"
    ENGINE_DIED = "engine_died"
    DRAINED = "drained"


TRANSITIONS: Mapping[tuple[Phase, Event], Phase] = MappingProxyType(
    {
        (Phase.STARTING, Event.ENGINE_STARTED): Phase.READY,
        (Phase.STARTING, Event.START_FAILED): Phase.GONE,
        (Phase.STARTING, Event.STOP_REQUESTED): Phase.GONE,
        (Phase.READY, Event.SWAP_BEGUN): Phase.CORDONED,
        (Phase.READY, Event.SLEEP_REQUESTED): Phase.DRAINING,
        (Phase.READY, Event.STOP_REQUESTED): Phase.DRAINING,
        (Phase.READY, Event.ENGINE_DIED): Phase.GONE,
        (Phase.CORDONED, Event.SWAP_ENDED): Phase.READY,
        (Phase.CORDONED, Event.STOP_REQUESTED): Phase.DRAINING,
        (Phase.CORDONED, Event.ENGINE_DIED): Phase.GONE,
        (Phase.DRAINING, Event.FELL_ASLEEP): Phase.ASLEEP,
        (Phase.DRAINING, Event.DRAINED): Phase.GONE,
        (Phase.DRAINING, Event.ENGINE_DIED): Phase.GONE,
        (Phase.ASLEEP, Event.WAKE_REQUESTED): Phase.WAKING,
        (Phase.ASLEEP, Event.STOP_REQUESTED): Phase.GONE,
        (Phase.ASLEEP, Event.ENGINE_DIED): Phase.GONE,
        (Phase.WAKING, Event.WOKE): Phase.READY,
        (Phase.WAKING, Event.WAKE_REFUSED): Phase.ASLEEP,
        (Phase.WAKING, Event.STOP_REQUESTED): Phase.GONE,
        (Phase.WAKING, Event.ENGINE_DIED): Phase.GONE,
    }
)
"""An event that has no entry changes nothing: it came twice or too late."""


def step(phase: Phase, event: Event) -> Phase:
    """The phase after `event`."""
    return TRANSITIONS.get((phase, event), phase)


def drain_done(in_flight: int, now: float, deadline: float) -> bool:
    """Whether a draining replica may stop: nothing is in flight, or the deadline has come."""
    return in_flight <= 0 or now >= deadline


class CanaryAction(StrEnum):
    WAIT = "wait"
    GENERATE = "generate"
    """Start a generation of one token, and call `canary_answered` when it ends well."""
    CONDEMN = "condemn"
    """The engine has shown no sign of life for longer than a generation may take."""


class CanaryMemory(Struct, frozen=True, kw_only=True):
    """What the canary knows between two looks."""

    alive_at: float
    """When the engine last showed that it generates."""
    tokens_total: int = 0
    """Tokens that the engine had generated at the last look."""
    asked_at: float | None = None
    """When the outstanding canary was sent; None when none is."""


def look(
    memory: CanaryMemory, *, tokens_total: int, now: float, interval_s: float, timeout_s: float
) -> tuple[CanaryAction, CanaryMemory]:
    """Decide on the canary.

    Tokens generated for anyone since the last look are proof enough: no canary is sent, and one that waits
    behind a full batch is not held against the engine. A counter that fell (engine rebuilt) proves as much.
    """
    if tokens_total != memory.tokens_total:
        memory = replace(memory, alive_at=now, tokens_total=tokens_total)
    if memory.asked_at is not None:
        overdue = now - max(memory.asked_at, memory.alive_at) > timeout_s
        return (CanaryAction.CONDEMN if overdue else CanaryAction.WAIT), memory
    if now - memory.alive_at < interval_s:
        return CanaryAction.WAIT, memory
    return CanaryAction.GENERATE, replace(memory, asked_at=now)


def canary_answered(memory: CanaryMemory, now: float) -> CanaryMemory:
    """Note that the outstanding canary ended well at `now`."""
    return replace(memory, alive_at=now, asked_at=None)
