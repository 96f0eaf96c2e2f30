"""Records what is going on, for 24 hours back. The only writer of the history in the store."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable

from orchestrator.errors import StoreUnavailableError
from orchestrator.history import COARSE, FINE, Point, Ring, Seen, fold, look, merge
from orchestrator.store import Store

_log = logging.getLogger("roundhouse.recording")
_LOOK_S = 2.0


class Recording:
    """Runs until cancelled. Others read `points`."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock
        self._rings: dict[str, deque[Point]] = {ring.name: deque(maxlen=ring.points) for ring in (FINE, COARSE)}
        self._open: list[Point] = []
        """Looks of the ten seconds that have not ended yet."""
        self._seen: Seen | None = None
        self._seen_at = 0.0

    def points(self, ring: Ring) -> list[Point]:
        """What the ring holds, and of the time after its last point what is known so far; in the order of time."""
        kept = list(self._rings[ring.name])
        if ring is FINE:
            return [*kept, *self._open]
        return [*kept, *(point for point in self.points(FINE) if point.at >= self._told_until())]

    async def run(self) -> None:
        """Read what an earlier process has recorded, then go on."""
        loaded = False
        while True:
            try:
                if not loaded:
                    await self.load()
                    loaded = True
                await self.look()
            except StoreUnavailableError as error:
                _log.debug("%s", error.message)
            except Exception:  # noqa: BLE001 - top of the loop: the next look begins afresh
                _log.exception("A look at what goes on failed")
            await asyncio.sleep(_LOOK_S)

    async def load(self) -> None:
        for ring in (FINE, COARSE):
            self._rings[ring.name].extend(await self._store.history(ring))

    async def look(self) -> None:
        """Look once, and write what has come to an end with it."""
        reports, endpoints = await self._store.routers(), await self._store.endpoints()
        hosts, now = await self._store.hosts(), self._clock()
        point, seen = look(self._seen, reports, endpoints, hosts, at=now, span_s=now - self._seen_at)
        first, self._seen, self._seen_at = self._seen is None, seen, now
        if first:
            return  # nobody knows of how long it tells
        await self._close_before(now)
        self._open.append(point)

    async def _close_before(self, now: float) -> None:
        """Make points of the looks whose ten seconds are over, and of the points whose minute is."""
        if not self._open or _start(self._open[0].at, FINE) == _start(now, FINE):
            return
        ended, self._open = self._open, []
        await self._keep(FINE, merge(ended, at=_start(ended[0].at, FINE)))
        # Those too whose end an earlier process did not live to see.
        waiting = [point for point in self._rings[FINE.name] if self._told_until() <= point.at < _start(now, COARSE)]
        for point in fold(waiting, COARSE.step_s):
            await self._keep(COARSE, point)

    def _told_until(self) -> float:
        """The end of the newest minute that is a point."""
        kept = self._rings[COARSE.name]
        return kept[-1].at + COARSE.step_s if kept else 0.0

    async def _keep(self, ring: Ring, point: Point) -> None:
        self._rings[ring.name].append(point)
        await self._store.append_history(ring, point)


def _start(at: float, ring: Ring) -> float:
    return at // ring.step_s * ring.step_s
