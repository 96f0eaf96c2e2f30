"""Tells how far an import is, at a pace that a person can read."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from orchestrator.sentences import Sentence
from orchestrator.types import Progress

_TELL_EVERY_S = 0.5
T = TypeVar("T")


class Telling:
    """One phase of an import. Called with the bytes that are done so far, it tells them."""

    def __init__(self, tell: Callable[[Progress], Awaitable[None]], phase: Sentence, total_bytes: int) -> None:
        self._tell = tell
        self._phase = phase
        self._total = total_bytes
        self._started = time.time()
        self._first: int | None = None

    async def __call__(self, done: int) -> None:
        if self._first is None:
            self._first = done  # bytes of an earlier, cut-off download say nothing about the speed of this one
        speed = (done - self._first) / max(0.001, time.time() - self._started)
        eta_s = (self._total - done) / speed if speed > 0 else None
        progress = Progress(phase=self._phase, done=done, total=self._total, started_at=self._started, eta_s=eta_s)
        await self._tell(progress)

    async def in_thread(self, work: Callable[[Callable[[int], None]], T]) -> T:
        """Run `work` on a thread; it calls what it is given with the bytes that it has done so far."""
        done = [0]

        cancelled = threading.Event()

        def count(bytes_done: int) -> None:
            if cancelled.is_set():
                raise InterruptedError("The import was cancelled.")
            done[0] = bytes_done

        task = asyncio.create_task(asyncio.to_thread(work, count))
        try:
            while not task.done():
                await self(done[0])
                await asyncio.wait({task}, timeout=_TELL_EVERY_S)
        finally:
            # A thread cannot be ended from outside, and must not write any more once this returns.
            cancelled.set()
            await asyncio.wait({task})
        return await task

    async def for_about(self, expected_s: float, work: Coroutine[Any, Any, T]) -> T:
        """Await `work`, which cannot say how far it is; the time that it should take is told instead."""
        task = asyncio.create_task(work)
        try:
            while not task.done():
                passed = time.time() - self._started
                left = max(1.0, expected_s - passed)
                progress = Progress(
                    phase=self._phase,
                    done=int(passed),
                    total=int(passed + left),
                    unit="seconds",
                    started_at=self._started,
                    eta_s=left,
                )
                await self._tell(progress)
                await asyncio.wait({task}, timeout=_TELL_EVERY_S)
            return await task
        finally:
            task.cancel()
