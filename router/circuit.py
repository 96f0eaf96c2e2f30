"""Which replicas are left alone for a while after failures. PURE.

    closed --failures--> open --time passes--> half open --one request ends well--> closed
                          ^                        |
                          +------- it fails -------+      (each time for twice as long)

`choose` never leaves the last replica alone: an open circuit is a reason to prefer others, not to refuse.
"""

from dataclasses import dataclass

FAILURES_TO_OPEN = 3
_LONGEST_OPEN_S = 30.0


@dataclass(eq=False)
class Circuit:
    """Mutable. Times are monotonic seconds."""

    failures: int = 0
    """In a row."""
    opened: int = 0
    """How often in a row it opened."""
    open_until: float = 0.0
    probing: bool = False
    """The one request of a half-open circuit is on its way."""


def admits(circuit: Circuit, now: float) -> bool:
    """Whether a request may go there while others could take it."""
    if not circuit.opened:
        return True
    return now >= circuit.open_until and not circuit.probing


def request_sent(circuit: Circuit) -> None:
    """A request goes there: of an open circuit it is the probe."""
    if circuit.opened:
        circuit.probing = True


def succeeded(circuit: Circuit) -> None:
    """A request was answered by an engine that works."""
    if circuit.failures or circuit.opened:
        circuit.failures = circuit.opened = 0
        circuit.probing = False
        circuit.open_until = 0.0


def abandoned(circuit: Circuit) -> None:
    """The request ended without saying anything of the replica: its client left. The next one is the probe."""
    circuit.probing = False


def failed(circuit: Circuit, now: float, *, base_s: float, unreachable: bool) -> bool:
    """Counts a failure; True if it opens the circuit. One that could not even be connected to opens at once."""
    circuit.failures += 1
    was_probing, circuit.probing = circuit.probing, False
    if circuit.opened and now < circuit.open_until and not was_probing:
        return False
    if not (unreachable or was_probing or circuit.failures >= FAILURES_TO_OPEN):
        return False
    circuit.opened += 1
    circuit.open_until = now + min(base_s * 2 ** min(circuit.opened - 1, 30), _LONGEST_OPEN_S)
    return True
