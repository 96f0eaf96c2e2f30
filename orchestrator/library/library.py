"""Brings weights in: fetch → verify → ready, or rejected with the reason. Nothing half-made stays."""

import asyncio
import hashlib
import logging
import shutil
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from msgspec import structs

from orchestrator.errors import (
    ConflictError,
    ModelRejectedError,
    RoundhouseError,
    StoreUnavailableError,
)
from orchestrator.library import builtin, download
from orchestrator.library.adopt import hash_folder, total_bytes
from orchestrator.library.fit import Device, estimate
from orchestrator.library.folder import FolderFacts, examine
from orchestrator.library.manifest import digest
from orchestrator.library.records import UPLOADED, ModelRecords
from orchestrator.library.sources import Source, SourceKind, parse_source
from orchestrator.types import Model, ModelState, Progress

_log = logging.getLogger("roundhouse.library")
_TELL_EVERY_S = 0.5
_BUSY = (ModelState.RECEIVING, ModelState.VERIFYING)


class Library:
    """Owns `models/` below the home and the model records in the store."""

    def __init__(self, records: ModelRecords, folder: Path, device: Callable[[], Device]) -> None:
        self._records = records
        self._folder = folder
        self._device = device
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def resume(self) -> None:
        """Take up imports that a stop of the orchestrator cut short."""
        for model in (await self._records.all()).values():
            if model.state in _BUSY and model.source != UPLOADED:
                try:
                    self._start(model, parse_source(model.source))
                except RoundhouseError as error:  # its folder is gone
                    await self._reject(model, error.message)

    async def stop(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def start_import(self, text: str, name: str | None) -> Model:
        """Begin to bring in the weights that `text` names; a ready model of the same source is left as it is.

        Raises InvalidRequestError (not a source), ConflictError (the name stands for something else).
        """
        source = parse_source(text)
        name = name or source.name
        before = (await self._records.all()).get(name)
        if before is not None and before.source != source.text and before.state is not ModelState.REJECTED:
            raise ConflictError(f"{name!r} already stands for {before.source}. Give another --name.")
        if before is not None and (self._is_busy(name) or (before.state is ModelState.READY and _whole(before))):
            return before
        model = Model(
            name=name,
            source=source.text,
            state=ModelState.RECEIVING,
            created_at=before.created_at if before else time.time(),
            progress=Progress(phase="looking for the weights", started_at=time.time()),
        )
        await self._put(model)
        self._start(model, source)
        return model

    async def delete(self, name: str) -> None:
        """Forget a model, and remove its files where they are ours."""
        await self._records.get(name)
        task = self._tasks.pop(name, None)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        # Files first: a new import of the same name may begin as soon as the record is gone.
        for folder in (self._target(name), *self._folder.glob(f".{name}.*.partial")):
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        await self._records.delete(name)

    def _is_busy(self, name: str) -> bool:
        task = self._tasks.get(name)
        return task is not None and not task.done()

    def _start(self, model: Model, source: Source) -> None:
        self._tasks[model.name] = asyncio.create_task(self._import(model, source))

    async def _import(self, model: Model, source: Source) -> None:
        try:
            path = await self._receive(model, source)
            ready = await self._verify(model, path)
        except RoundhouseError as error:
            await self._reject(model, error.message)
        except OSError as error:
            await self._reject(model, f"The files could not be read or written: {error}. Check disk and permissions.")
        except Exception as error:  # noqa: BLE001 - top of the task: whatever it is, the import has ended and says so
            await self._reject(model, f"The import failed in a way that was not foreseen: {error!r}.")
        else:
            await self._settle(ready)

    async def _reject(self, model: Model, reason: str) -> None:
        _log.warning("%s is rejected: %s", model.name, reason)
        await self._settle(structs.replace(model, state=ModelState.REJECTED, reason=reason, progress=None))

    async def _settle(self, model: Model) -> None:
        """Write how an import ended, however long the store is away: nobody else will."""
        while True:
            try:
                return await self._put(model)
            except StoreUnavailableError:
                await asyncio.sleep(_TELL_EVERY_S)

    async def _tell(self, model: Model) -> None:
        """Write how far an import is; an import goes on without a store that is away for a moment."""
        with suppress(StoreUnavailableError):
            await self._put(model)

    async def _receive(self, model: Model, source: Source) -> Path:
        if source.kind is SourceKind.FOLDER:
            return Path(source.id)
        target = self._target(model.name)
        if source.kind is SourceKind.BUILTIN:
            if not (target / "config.json").is_file():
                await self._convert(model, self._partial(model.name, source), target)
            return target
        found, listing = await download.find(source)
        fit = estimate(listing.weights_bytes, 2.0, await asyncio.to_thread(self._device))
        if not fit.fits:
            raise ModelRejectedError(fit.reason)
        partial = self._partial(model.name, found)
        tell = self._teller(model, f"downloading from {download.hub_name(found)}", listing.total_bytes)
        await download.fetch(found, listing, partial, tell)
        await asyncio.to_thread(_move, partial, target)
        return target

    async def _convert(self, model: Model, partial: Path, target: Path) -> None:
        """Convert beside the target and rename, so that a cut-off conversion is never taken for a model."""
        await asyncio.to_thread(shutil.rmtree, partial, ignore_errors=True)
        started = time.time()
        task = asyncio.create_task(builtin.convert(partial))
        try:
            while not task.done():
                await self._tell(structs.replace(model, progress=_conversion_progress(started)))
                await asyncio.wait({task}, timeout=_TELL_EVERY_S)
            await task
        finally:
            task.cancel()
        await asyncio.to_thread(_move, partial, target)

    async def _verify(self, model: Model, path: Path) -> Model:
        """The ready model. Raises ModelRejectedError naming what is wrong."""
        facts = await asyncio.to_thread(examine, path)
        fit = estimate(facts.weights_bytes, facts.dtype_bytes, await asyncio.to_thread(self._device))
        if not fit.fits:
            raise ModelRejectedError(fit.reason)
        verifying = structs.replace(model, state=ModelState.VERIFYING)
        size = await asyncio.to_thread(total_bytes, path)
        revision = await self._hashed(verifying, path, size)
        return _ready(verifying, path, facts, size, revision)

    async def _hashed(self, model: Model, path: Path, size: int) -> str:
        done = [0]

        def count(bytes_read: int) -> None:
            done[0] = bytes_read

        tell = self._teller(model, "verifying", size)
        task = asyncio.create_task(asyncio.to_thread(hash_folder, path, count))
        while not task.done():
            await tell(done[0])
            await asyncio.wait({task}, timeout=_TELL_EVERY_S)
        return digest(await task)

    def _teller(self, model: Model, phase: str, total: int) -> Callable[[int], Awaitable[None]]:
        started, first = time.time(), [-1]

        async def tell(done: int) -> None:
            if first[0] < 0:
                first[0] = done  # bytes of an earlier, cut-off download say nothing about the speed of this one
            speed = (done - first[0]) / max(0.001, time.time() - started)
            eta_s = (total - done) / speed if speed > 0 else None
            progress = Progress(phase=phase, done=done, total=total, started_at=started, eta_s=eta_s)
            await self._tell(structs.replace(model, progress=progress))

        return tell

    def _target(self, name: str) -> Path:
        return self._folder / name

    def _partial(self, name: str, source: Source) -> Path:
        """Where an import is received: of this name and this source only, so that a resumed one never mixes two."""
        return self._folder / f".{name}.{hashlib.sha256(source.text.encode()).hexdigest()[:8]}.partial"

    async def _put(self, model: Model) -> None:
        await self._records.put(model)


def _conversion_progress(started: float) -> Progress:
    passed = time.time() - started
    left = max(1.0, builtin.CONVERSION_S - passed)
    return Progress(
        phase="preparing the built-in model",
        done=int(passed),
        total=int(passed + left),
        unit="seconds",
        started_at=started,
        eta_s=left,
    )


def _whole(model: Model) -> bool:
    return (Path(model.path) / "config.json").is_file()


def _move(partial: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)


def _ready(model: Model, path: Path, facts: FolderFacts, size: int, digest: str) -> Model:
    return structs.replace(
        model,
        state=ModelState.READY,
        reason="",
        revision=digest,
        path=str(path),
        size_bytes=size,
        architecture=facts.architecture,
        max_model_len=facts.max_model_len,
        progress=None,
    )
