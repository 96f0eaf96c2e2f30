"""Traffic by the hour: requests with lengths, and the fleet that must carry them."""

from collections.abc import Sequence

from msgspec import Struct

from replicas.types import SimulationSettings


class Request(Struct, frozen=True):
    """One request; its latency is counted from `at`, whatever becomes of it."""

    at: float
    """Seconds from the beginning."""
    prompt_tokens: int
    output_tokens: int


class Traffic(Struct, frozen=True, kw_only=True):
    """The requests of one model, and what its admin asked for."""

    model: str = "m"
    requests: Sequence[Request]
    min_replicas: int = 1
    max_replicas: int = 8
    at_first: int = 1
    """Replicas that are ready when it begins."""
    target_wait_s: float = 2.0


class Fleet(Struct, frozen=True, kw_only=True):
    """What serves."""

    name: str
    engine: SimulationSettings
    cold_start_s: float
    gpus: int = 8
    """One replica takes one."""
    believed_cold_start_s: float | None = None
    """What is measured of the last start before the first one; None: the truth."""


class Case(Struct, frozen=True, kw_only=True):
    """One run."""

    name: str
    fleet: Fleet
    traffic: tuple[Traffic, ...]
    duration_s: float
    stationary: bool = False
    """The rate does not change, so nothing should be reversed."""
    tokens_told: float = 1.0
    """Of the tokens that engines count, how many they report: rates learnt from that are wrong by as much."""
    silences: tuple[tuple[float, float], ...] = ()
    """When no report comes through: (beginning, end)."""
