"""A swap of weights inside one replica: prepared while requests run, done while they wait.

    prepare: fetch the files → the engine reads them and knows what they must turn into
    swap:    cordon → requests in flight end → reload → proof → open again, with the new weights or the old ones

The replica does all of it by itself once it is told, so nothing stays cordoned if whoever told it is gone.
"""

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

from replicas.doing import Doing
from replicas.engine import Engine
from replicas.errors import ReplicaError, SwapFailedError, SwapRefusedError
from replicas.types import SwapOrder, SwapPhase, SwapReport

_log = logging.getLogger(__name__)

Fetch = Callable[[SwapOrder, Callable[[str], None]], Awaitable[Path]]
"""The folder on this host that holds a revision, fetched if it must be; told how far it is in words."""


class Swapped(Protocol):
    """What a swap needs of the replica around it."""

    @property
    def asleep(self) -> bool:
        """Whether its engine sleeps, falls asleep or wakes."""

    def cordon(self) -> None:
        """Tell routers to send nothing new, and let wait what they send all the same."""

    async def wait_empty(self, timeout_s: float) -> None:
        """Return when nothing is in flight, or after `timeout_s`."""

    def uncordon(self, served: SwapOrder | None) -> None:
        """Take requests again, with the weights of `served`, or with those from before if it is None."""

    def condemn(self, reason: str) -> None:
        """The engine is good for nothing any more."""

    def report(self, report: SwapReport) -> None:
        """Tell how far it is."""


class Swaps:
    """The swaps of one replica, one at a time. All methods belong to the replica's event loop."""

    def __init__(self, engine: Engine, fetch: Fetch, replica: Swapped) -> None:
        self._engine = engine
        self._fetch = fetch
        self._replica = replica
        self._report: SwapReport | None = None
        self._prepared: tuple[str, Path] | None = None
        """Revision and folder."""
        self._task: asyncio.Task[None] | None = None
        self.engine_is_paused = False
        """It generates nothing now, and that is no illness."""

    def prepare(self, order: SwapOrder) -> None:
        """Begin to prepare; what is under way already is left alone."""
        if not self._is_busy() and not self._has_ended(order, SwapPhase.PREPARED):
            self._task = asyncio.create_task(self._run(order, self._prepare))

    def swap(self, order: SwapOrder) -> None:
        """Begin to swap, preparing first if that was not done."""
        if not self._is_busy() and not self._has_ended(order):
            self._task = asyncio.create_task(self._run(order, self._swap))

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _is_busy(self) -> bool:
        return self._task is not None and not self._task.done()

    def _has_ended(self, order: SwapOrder, *also: SwapPhase) -> bool:
        last = self._report
        ended = (SwapPhase.DONE, SwapPhase.REFUSED, SwapPhase.FAILED, *also)
        return last is not None and last.swap_id == order.swap_id and last.phase in ended

    async def _run(self, order: SwapOrder, work: Callable[[SwapOrder], Awaitable[None]]) -> None:
        try:
            await work(order)
        except ReplicaError as error:
            _log.warning("The swap to %s is refused: %s", order.revision, error)
            self._tell(order, SwapPhase.REFUSED, str(error))
        except Exception as error:  # noqa: BLE001 - top of the task: whatever an engine raises, it is told
            _log.exception("The swap to %s went wrong", order.revision)
            self._tell(order, SwapPhase.REFUSED, f"It went wrong in a way that was not foreseen: {error!r}.")

    async def _prepare(self, order: SwapOrder) -> None:
        self._require_awake()
        self._tell(order, SwapPhase.PREPARING, Doing.FETCHING_WEIGHTS)
        folder = await self._fetch(order, lambda detail: self._tell(order, SwapPhase.PREPARING, detail))
        self._tell(order, SwapPhase.PREPARING, Doing.READING_WEIGHTS)
        if order.fetch_only:
            await asyncio.to_thread(_into_page_cache, folder)
        else:
            await self._engine.prepare_swap(folder)
            self._prepared = (order.revision, folder)
        self._tell(order, SwapPhase.PREPARED)

    async def _swap(self, order: SwapOrder) -> None:
        if self._prepared is None or self._prepared[0] != order.revision:
            await self._prepare(order)
        assert self._prepared is not None  # noqa: S101 - or `_prepare` would have raised
        self._require_awake()
        began = time.monotonic()
        self._tell(order, SwapPhase.DRAINING, Doing.DRAINING)
        self._replica.cordon()
        try:
            await self._replica.wait_empty(order.deadline_s)
            drained = time.monotonic()
            self._tell(order, SwapPhase.RELOADING, Doing.LOADING_WEIGHTS, drained_s=drained - began)
            self.engine_is_paused = True
            loaded_s = await self._engine.swap(self._prepared[1], order.revision)
        except SwapFailedError as error:
            _log.warning("The swap to %s was undone: %s", order.revision, error)
            self._replica.uncordon(None)
            self._tell(order, SwapPhase.FAILED, str(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody knows what this engine holds now
            reason = str(error) if isinstance(error, ReplicaError) else f"The reload failed: {error!r}."
            self._tell(order, SwapPhase.FAILED, reason)
            self._replica.condemn(reason)
        else:
            self._replica.uncordon(order)
            self._tell(order, SwapPhase.DONE, loaded_s=loaded_s, reloaded_s=time.monotonic() - drained)
        finally:
            self.engine_is_paused = False

    def _require_awake(self) -> None:
        if self._replica.asleep:
            raise SwapRefusedError("The replica sleeps. It is stopped once other weights are active; try again then.")

    def _tell(self, order: SwapOrder, phase: SwapPhase, detail: str = "", **took: float) -> None:
        last = self._report
        if last is not None and last.swap_id == order.swap_id and last.drained_s is not None:
            took.setdefault("drained_s", last.drained_s)
        self._report = SwapReport(swap_id=order.swap_id, revision=order.revision, phase=phase, detail=detail, **took)
        self._replica.report(self._report)


def _into_page_cache(folder: Path) -> None:
    """Have the kernel read the weights, as far as it has memory for them."""
    for path in folder.rglob("*.safetensors"):
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_WILLNEED)
