"""Time that passes only when everything due has happened."""

from collections.abc import Callable
from heapq import heappop, heappush


class VirtualClock:
    """A `router.dispatcher.Clock`. What is due at the same moment happens in the order in which it was asked for."""

    def __init__(self) -> None:
        self._now = 0.0
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    def now(self) -> float:
        """Seconds since the beginning."""
        return self._now

    def at(self, time_s: float, call: Callable[[], None]) -> None:
        """Calls `call` at `time_s`, or now if that has passed."""
        self._count += 1
        heappush(self._due, (max(time_s, self._now), self._count, call))

    def later(self, delay_s: float, call: Callable[[], None]) -> None:
        """Calls `call` after `delay_s`."""
        self.at(self._now + delay_s, call)

    def run(self, until: Callable[[], bool]) -> None:
        """Lets time pass until `until` is true after something happened, or nothing is due any more."""
        while self._due:
            self._now, _, call = heappop(self._due)
            call()
            if until():
                return
