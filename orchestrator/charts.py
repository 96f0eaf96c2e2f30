"""The charts of the last 24 hours as JSON, for whoever looks at a page."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Sequence

from pydantic import TypeAdapter

from orchestrator.api.history_schemas import ReplicaSeriesView, WindowName
from orchestrator.history import WINDOWS, Point, Ring
from orchestrator.history_series import history_view, replica_views

Draw = Callable[[Sequence[Point], WindowName, float], bytes]
"""JSON of points, for a window until a time (Unix seconds)."""
_REPLICAS = TypeAdapter(list[ReplicaSeriesView])


class Charts:
    """Folding a day of a large cluster takes seconds: it is done beside the event loop, and once for each step of a
    ring, however many ask."""

    def __init__(self, points: Callable[[Ring], Sequence[Point]], clock: Callable[[], float] = time.time) -> None:
        self._points = points
        self._clock = clock
        self._kept: dict[tuple[Draw, WindowName], tuple[float, bytes]] = {}
        """With the step of the ring in which each was drawn."""
        self._drawing: defaultdict[tuple[Draw, WindowName], asyncio.Lock] = defaultdict(asyncio.Lock)

    async def history(self, window: WindowName) -> bytes:
        """A `HistoryView`."""
        return await self._latest(_history, window)

    async def replicas(self, window: WindowName) -> bytes:
        """A list of `ReplicaSeriesView`."""
        return await self._latest(_replicas, window)

    async def _latest(self, draw: Draw, window: WindowName) -> bytes:
        ring, _ = WINDOWS[window]
        async with self._drawing[draw, window]:
            now = self._clock()
            step, kept = self._kept.get((draw, window), (None, b""))
            if step != now // ring.step_s:
                kept = await asyncio.to_thread(draw, self._points(ring), window, now)
                self._kept[draw, window] = now // ring.step_s, kept
            return kept


def _history(points: Sequence[Point], window: WindowName, now: float) -> bytes:
    return history_view(points, window, WINDOWS[window][1], now).model_dump_json().encode()


def _replicas(points: Sequence[Point], window: WindowName, now: float) -> bytes:
    return _REPLICAS.dump_json(replica_views(points, WINDOWS[window][1], now))
