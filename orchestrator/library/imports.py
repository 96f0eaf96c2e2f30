"""Brings weights in from elsewhere: fetched into a staging folder, then verified and published like an upload.

    ID/files/     what a hub or bucket sent so far; a fetch that was cut short goes on there
    ID/staging/   the revision's files, once all are here

ID names the model and the source, so that what is resumed never mixes two.
"""

import asyncio
import hashlib
import logging
import shutil
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

from msgspec import structs

from orchestrator.errors import (
    ConflictError,
    ModelRejectedError,
    RoundhouseError,
    StoreUnavailableError,
)
from orchestrator.fitting import too_large
from orchestrator.library import adopt, builtin, download, gguf, revision_changes
from orchestrator.library.asking import hub_name
from orchestrator.library.fit_types import Hardware
from orchestrator.library.folder import Verify, look
from orchestrator.library.import_progress import Telling
from orchestrator.library.records import ModelRecords
from orchestrator.library.revisions import Revisions, is_whole
from orchestrator.library.sources import Source, SourceKind, parse_source
from orchestrator.library.verification.verify import verify
from orchestrator.sentences import Saying, Sentence, quoted, say
from orchestrator.types import Import, Model, ModelState, Progress, Revision
from replicas.weights.errors import WeightsError
from replicas.weights.manifest import Manifest, digest

_log = logging.getLogger("roundhouse.library")
_GIB = 2**30
_RESERVE_BYTES = _GIB
_KEPT_S = 7 * 86_400.0
"""For how long what a broken-off import fetched waits for the next one."""


class _Arrived(NamedTuple):
    source: str
    """Pinned to what it turned out to be."""
    staging: Path
    manifest: Manifest


class Imports:
    """Owns everything below `folder`, and the running imports in the models' records."""

    def __init__(
        self,
        records: ModelRecords,
        folder: Path,
        revisions: Revisions,
        hardware: Callable[[], Awaitable[Hardware]],
        *,
        verify: Verify = verify,
    ) -> None:
        self._records = records
        self._folder = folder
        self._revisions = revisions
        self._hardware = hardware
        self._verify = verify
        self._tasks: dict[str, asyncio.Task[None]] = {}
        """By model."""
        self._starting = asyncio.Lock()

    async def resume(self) -> None:
        """Take up imports that a stop of the orchestrator cut short, and drop what nobody came back for."""
        models = await self._records.all()
        for model in models.values():
            if model.importing is not None:
                self._start(model.name, model.importing)
        going_on = {_folder_name(model.name, model.importing) for model in models.values() if model.importing}
        await asyncio.to_thread(self._sweep, going_on)

    async def stop(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def start(
        self, wanted: Import, name: str | None, *, description: str = "", only_if_missing: bool = False
    ) -> Model:
        """Begin to bring in what `wanted.source` names, as a revision of the model `name`.

        Without a name the source's own is taken; then it must not stand for something else. With `only_if_missing`
        a model that is ready is left as it is. Raises InvalidRequestError (not a source), ConflictError.
        """
        source = parse_source(wanted.source)
        wanted = structs.replace(wanted, source=source.text)
        async with self._starting:
            return await self._start_one(source, wanted, name, description, only_if_missing=only_if_missing)

    async def _start_one(
        self, source: Source, wanted: Import, name: str | None, description: str, *, only_if_missing: bool
    ) -> Model:
        before = await self._records.find(name or source.name)
        if before is not None:
            if before.importing is not None:
                return _same_or_refused(before, before.importing, wanted)
            if before.standing is not None and source.gave(before.standing.source):
                if only_if_missing and await asyncio.to_thread(is_whole, before.standing):
                    return before
            elif before.standing is not None and name is None:
                standing = before.standing.source
                raise ConflictError(
                    say(Saying.NAME_STANDS_FOR_OTHER, name=before.name, standing=standing, source=source.text)
                )
        begun = await self._records.change(
            name or source.name,
            lambda model: revision_changes.importing(model, name or source.name, wanted, description),
        )
        assert begun is not None  # noqa: S101 - `importing` always gives a record
        self._start(begun.name, wanted)
        return begun

    async def cancel(self, name: str) -> None:
        """End the import of a model, if there is one, and remove what it fetched."""
        task = self._tasks.pop(name, None)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        model = await self._records.find(name)
        if model is not None and model.importing is not None:
            why = say(Saying.IMPORT_CANCELLED)
            stopped = partial(revision_changes.failed, import_id=model.importing.id, reason=why)
            await self._records.change(name, stopped)
            await asyncio.to_thread(_remove, self._place(name, model.importing))

    def _start(self, name: str, wanted: Import) -> None:
        self._tasks[name] = asyncio.create_task(self._import(name, wanted, self._tasks.get(name)))

    async def _import(self, name: str, wanted: Import, earlier: asyncio.Task[None] | None) -> None:
        if earlier is not None:
            await asyncio.wait({earlier})  # it may still be tidying up where this one will work
        place = self._place(name, wanted)
        why: Sentence | None = None
        try:
            await self._bring(name, wanted, place)
        except RoundhouseError as error:
            why = error.sentence
        except WeightsError as error:
            why = quoted(error.message)
        except OSError as error:
            why = say(Saying.FILES_UNREADABLE, said=str(error))
        except Exception as error:  # noqa: BLE001 - top of the task: whatever it is, the import has ended and says so
            why = say(Saying.IMPORT_BROKE, said=repr(error))
        # What a hub has sent is kept for the next try, unless it has been judged.
        await asyncio.to_thread(_remove, place / "staging" if why else place)
        await asyncio.to_thread(_remove_if_empty, place)
        if why:
            await self._fail(name, wanted, why)

    async def _bring(self, name: str, wanted: Import, place: Path) -> None:
        arrived = await self._receive(name, wanted, place)
        if arrived is None:
            return
        revision = Revision(
            digest=digest(arrived.manifest),
            arrival=wanted.id,
            source=arrived.source,
            state=ModelState.VERIFYING,
            author=wanted.author,
            notes=wanted.notes,
            created_at=time.time(),
            size_bytes=arrived.manifest.total_bytes,
        )
        if await self._revisions.note(name, revision):
            await self._telling(name, wanted, say(Saying.VERIFYING), 0)(0)
            await self._revisions.settle(name, revision, arrived.staging, arrived.manifest)

    async def _fail(self, name: str, wanted: Import, reason: Sentence) -> None:
        _log.warning("The import of %s failed: %s", name, reason)
        await self._records.settle(name, partial(revision_changes.failed, import_id=wanted.id, reason=reason))

    async def _receive(self, name: str, wanted: Import, place: Path) -> _Arrived | None:
        """All files in a staging folder; None if the library has them already and the model stands for them again."""
        source, staging = parse_source(wanted.source), place / "staging"
        await asyncio.to_thread(_remove, staging)
        await asyncio.to_thread(place.mkdir, parents=True, exist_ok=True)
        if source.kind is SourceKind.FOLDER:
            return await self._take_folder(name, wanted, source, staging)
        if source.kind is SourceKind.GGUF:
            return await self._convert(name, wanted, Path(source.id), staging, source.text)
        if source.kind is SourceKind.BUILTIN:
            return await self._convert(name, wanted, builtin.packaged_gguf(), staging, source.text)
        return await self._download(name, wanted, source, place)

    async def _take_folder(self, name: str, wanted: Import, source: Source, staging: Path) -> _Arrived:
        folder = Path(source.id)
        packed = await look(folder, self._verify)  # what is published is verified once more
        if packed is not None:
            return await self._convert(name, wanted, packed, staging, source.text)
        size = await asyncio.to_thread(adopt.total_bytes, folder)
        free = self._revisions.disk_free()
        if not wanted.link and free < size + _RESERVE_BYTES:
            raise ModelRejectedError(say(Saying.NO_DISK_FOR_COPY, folder=str(folder), size_bytes=size, free_bytes=free))
        telling = self._telling(name, wanted, say(Saying.HASHING if wanted.link else Saying.COPYING), size)
        manifest = await telling.in_thread(lambda add: adopt.adopt(folder, staging, add, link=wanted.link))
        return _Arrived(source.text, staging, manifest)

    async def _download(self, name: str, wanted: Import, source: Source, place: Path) -> _Arrived | None:
        found, listing = await download.find(source)
        if not wanted.even_if_too_large:
            await self._refuse_too_large(listing.weights_bytes)
        pinned, files = found.pinned(listing.commit), place / "files"
        if await self._came_again(name, wanted, pinned):
            return None
        downloading = say(Saying.DOWNLOADING, hub=hub_name(found.kind))
        telling = self._telling(name, wanted, downloading, listing.total_bytes)
        await download.fetch(found, listing, files, telling)
        packed = await asyncio.to_thread(gguf.find_gguf, files)
        if packed is not None:
            return await self._convert(name, wanted, packed, place / "staging", pinned)
        return await self._hashed(name, wanted, pinned, files)

    async def _refuse_too_large(self, weights_bytes: int) -> None:
        """Hours of downloading are better refused before. Raises ModelRejectedError."""
        why = too_large(weights_bytes, await self._hardware())
        if why is not None:
            raise ModelRejectedError(say(Saying.FETCH_ALL_THE_SAME, why=why))

    async def _came_again(self, name: str, wanted: Import, pinned: str) -> bool:
        """Whether this very commit is a ready revision of the model; it then stands for it."""
        model = await self._records.find(name)
        for revision in model.revisions if model is not None else ():
            if revision.source == pinned and await asyncio.to_thread(is_whole, revision):
                again = partial(revision_changes.came_again, digest=revision.digest, arrival=wanted.id)
                await self._records.settle(name, again)
                return True
        return False

    async def _convert(self, name: str, wanted: Import, packed: Path, staging: Path, source: str) -> _Arrived:
        if not wanted.even_if_too_large:
            await self._refuse_too_large((await gguf.look(packed)).converted_bytes)
        telling = self._telling(name, wanted, say(Saying.CONVERTING, file=packed.name), 0)
        await telling.for_about(gguf.expected_s(packed), gguf.convert(packed, staging))
        return await self._hashed(name, wanted, source, staging)

    async def _hashed(self, name: str, wanted: Import, source: str, folder: Path) -> _Arrived:
        hashing = self._telling(name, wanted, say(Saying.HASHING), await asyncio.to_thread(adopt.total_bytes, folder))
        return _Arrived(source, folder, await hashing.in_thread(lambda add: adopt.hash_folder(folder, add)))

    def _telling(self, name: str, wanted: Import, phase: Sentence, total: int) -> Telling:
        async def tell(progress: Progress) -> None:
            # An import goes on without a store that is away for a moment.
            with suppress(StoreUnavailableError):
                await self._records.change(name, partial(revision_changes.told, import_id=wanted.id, progress=progress))

        return Telling(tell, phase, total)

    def _place(self, name: str, wanted: Import) -> Path:
        return self._folder / _folder_name(name, wanted)

    def _sweep(self, going_on: set[str]) -> None:
        if not self._folder.is_dir():
            return
        for place in self._folder.iterdir():
            if place.name not in going_on and time.time() - place.stat().st_mtime > _KEPT_S:
                _remove(place)


def _folder_name(name: str, wanted: Import) -> str:
    return hashlib.sha256(f"{name}\n{wanted.source}".encode()).hexdigest()[:16]


def _same_or_refused(model: Model, running: Import, wanted: Import) -> Model:
    if running.source == wanted.source:
        return model
    raise ConflictError(say(Saying.IMPORT_RUNNING, source=running.source, name=model.name))


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()
