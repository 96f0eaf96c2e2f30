"""How long the benches measure.

Many short rounds rather than few long ones: what the host leaves of a core changes by a factor of two within minutes,
and systems are compared that ran one after the other.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """Rounds of every measurement, and the length of each."""

    rounds: int
    seconds: int
    """Of a round of load."""
    stream_seconds: int
    """Of a round of `idle_streams`."""
    stream_rounds: int
    latency_requests: int
    """Of each system, in all."""
    choices: int
    """Timed calls of `choose` for each size of fleet."""


QUICK = Options(rounds=3, seconds=1, stream_seconds=4, stream_rounds=1, latency_requests=1_000, choices=1_000)
USUAL = Options(rounds=13, seconds=1, stream_seconds=8, stream_rounds=3, latency_requests=4_000, choices=5_000)
FULL = Options(rounds=41, seconds=1, stream_seconds=15, stream_rounds=5, latency_requests=20_000, choices=20_000)
