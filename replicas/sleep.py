"""Falling asleep and waking inside one replica, once it is told.

    sleep: requests in flight end → the engine gives its GPUs back → asleep
    wake:  the store knows that the GPUs are taken again → the engine takes them → ready

The GPUs of a replica that says it is asleep may be somebody else's: so it says so last of all, and takes it back first.
"""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Protocol

from replicas.engine import Engine

_LONGEST_S = 120.0
"""Of one move of the weights; an engine that takes longer hangs."""
_log = logging.getLogger(__name__)


class Sleeper(Protocol):
    """What a sleep needs of the replica around it."""

    def retire(self) -> bool:
        """Take nothing new; False if it cannot fall asleep now, for it is not ready."""

    async def wait_retired(self) -> None:
        """Return when the engine has nothing to do, or after the drain deadline."""

    def fell_asleep(self) -> None:
        """Tell it."""

    async def will_wake(self) -> bool:
        """Have the store know it; False if it does not, or if there is nobody to wake."""

    def woke(self) -> None:
        """Take requests again."""

    def condemn(self, reason: str) -> None:
        """The engine is good for nothing any more."""


class Sleep:
    """The sleep of one replica. An order that comes at the wrong time is dropped: whoever gave it sees the state, and
    gives it again. All methods belong to the replica's event loop."""

    def __init__(self, engine: Engine, replica: Sleeper) -> None:
        self._engine = engine
        self._replica = replica
        self._task: asyncio.Task[None] | None = None
        self.engine_is_paused = False
        """It generates nothing now, and that is no illness."""

    def fall_asleep(self) -> None:
        """Begin to fall asleep."""
        if self._engine.capacity.sleep_bytes is not None and self._replica.retire():
            self._begin(self._fall_asleep())

    async def wake(self) -> None:
        """Begin to wake; return once everybody can know."""
        if await self._replica.will_wake():
            self._begin(self._wake())

    async def stop(self) -> None:
        """Leave the engine as it is."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        self._task = asyncio.create_task(self._run(work))

    async def _run(self, work: Coroutine[None, None, None]) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001 - top of the task: nobody knows what this engine holds now
            _log.exception("The engine did not fall asleep or wake up")
            self._replica.condemn(
                f"The engine did not fall asleep or wake up ({error!r}). The replica is started again."
            )

    async def _fall_asleep(self) -> None:
        self.engine_is_paused = True
        await self._replica.wait_retired()
        async with asyncio.timeout(_LONGEST_S):
            await self._engine.sleep()
        self._replica.fell_asleep()

    async def _wake(self) -> None:
        async with asyncio.timeout(_LONGEST_S):
            await self._engine.wake()
            await self._engine.generate_one()
        self.engine_is_paused = False
        self._replica.woke()
