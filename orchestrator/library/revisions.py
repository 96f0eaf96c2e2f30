"""Weights that have arrived: verified, then published as an immutable revision, or rejected with the reason."""

import asyncio
import logging
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from msgspec import structs

from orchestrator.errors import ConflictError, NotFoundError, RoundhouseError
from orchestrator.library import comparison, revision_changes
from orchestrator.library.comparison import Comparison
from orchestrator.library.folder import Verify
from orchestrator.library.records import ModelRecords
from orchestrator.library.uploads.errors import UploadRefusedError
from orchestrator.library.uploads.types import Session
from orchestrator.library.uploads.uploads import Uploads
from orchestrator.library.verification.verify import verify
from orchestrator.sentences import Saying, quoted, say
from orchestrator.types import Model, ModelState, Revision
from replicas.weights.contents import Contents, GcReport, Reached, nothing
from replicas.weights.errors import WeightsError
from replicas.weights.manifest import Manifest

_log = logging.getLogger("roundhouse.library")
UPLOADED = "upload"
"""Source of a revision that was uploaded."""


class Revisions:
    """Owns the contents of the library, its uploads, and the revisions in the models' records."""

    def __init__(
        self,
        folder: Path,
        records: ModelRecords,
        *,
        verify: Verify = verify,
        reached: Reached = nothing,
        uploads_changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._records = records
        self._verify = verify
        self._reached = reached
        self._contents = Contents(folder / "contents", reached=reached)
        self.uploads = Uploads(
            folder / "uploads", self._contents, self._received, reached=reached, changed=uploads_changed
        )
        self._tasks: dict[str, asyncio.Task[None]] = {}
        """By upload id."""

    async def start(self) -> None:
        """Take up what an earlier process left."""
        await asyncio.to_thread(self._contents.sweep)
        await self.uploads.start()

    async def stop(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        self.uploads.stop()

    async def settle(self, name: str, revision: Revision, staging: Path, manifest: Manifest) -> Revision:
        """How a revision ended that `note` has noted: ready or rejected, and written so. Called again after a kill."""
        try:
            settled = await self._verified(revision, staging, manifest)
        except RoundhouseError as error:
            settled = structs.replace(revision, state=ModelState.REJECTED, reason=error.sentence)
        except WeightsError as error:
            settled = structs.replace(revision, state=ModelState.REJECTED, reason=quoted(error.message))
        except OSError as error:
            why = say(Saying.FILES_UNREADABLE, said=str(error))
            settled = structs.replace(revision, state=ModelState.REJECTED, reason=why)
        if settled.reason:
            _log.warning("%s of %s is rejected: %s", revision.digest[:19], name, settled.reason)
        await self._records.settle(name, partial(revision_changes.settled, revision=settled))
        self._reached("revision-settled")
        return settled

    async def note(self, name: str, revision: Revision, description: str = "") -> bool:
        """Write that a revision has arrived and is being verified. False: it is ready, the model stands for it now."""
        model = await self._records.find(name)
        found = None if model is None else model.find(revision.digest)
        if found is not None and await asyncio.to_thread(is_whole, found):
            again = partial(revision_changes.came_again, digest=revision.digest, arrival=revision.arrival)
            await self._records.change(name, again)
            return False
        await self._records.change(name, lambda model: revision_changes.arrived(model, name, revision, description))
        self._reached("revision-noted")
        return True

    async def _received(self, session: Session, staging: Path, manifest: Manifest) -> None:
        """All files of an upload are here. Called again after a kill."""
        revision = Revision(
            digest=session.revision,
            arrival=session.id,
            source=UPLOADED,
            state=ModelState.VERIFYING,
            author=session.author,
            notes=session.notes,
            created_at=time.time(),
            size_bytes=manifest.total_bytes,
        )
        if await self.note(session.name, revision, session.description):
            work = self._settle_upload(session, revision, staging, manifest)
        else:
            work = self.uploads.finish(session.id)  # pushed before, or published just before a kill
        task = asyncio.create_task(work)
        self._tasks[session.id] = task
        task.add_done_callback(lambda _: self._tasks.pop(session.id, None))

    async def _settle_upload(self, session: Session, revision: Revision, staging: Path, manifest: Manifest) -> None:
        await self.settle(session.name, revision, staging, manifest)
        try:
            await self.uploads.finish(session.id)
        except UploadRefusedError:
            _log.info("The upload of %s was deleted meanwhile", session.name)

    async def _verified(self, revision: Revision, staging: Path, manifest: Manifest) -> Revision:
        facts = await self._verify(staging)
        self._reached("revision-verified")
        path = await asyncio.to_thread(self._contents.publish, staging, manifest)
        self._reached("revision-published")
        return structs.replace(revision, state=ModelState.READY, path=str(path), facts=facts)

    def manifest(self, revision: str) -> Manifest:
        """What a revision consists of. Raises WeightsError."""
        return self._contents.manifest(revision)

    async def compare(self, name: str, digest: str, since: str | None) -> tuple[str, Comparison]:
        """What is different in a revision since another one of the same model, and which one that was; None: the one
        that came before it. Reads files.

        Raises NotFoundError, ConflictError (its files are not here), WeightsError.
        """
        model = await self._records.get(name)
        after = _ready(model, digest)
        before = _before(model, after) if since is None else _ready(model, since)
        return before.digest, await asyncio.to_thread(self._compared, before.digest, after.digest)

    def _compared(self, before: str, after: str) -> Comparison:
        older, newer = self.manifest(before), self.manifest(after)
        folders = self._contents.folder(before), self._contents.folder(after)
        try:
            contents = {
                path: ((folders[0] / path).read_bytes(), (folders[1] / path).read_bytes())
                for path in comparison.to_read(older, newer)
            }
        except FileNotFoundError as error:
            name = Path(error.filename).name
            raise NotFoundError(say(Saying.FILES_GONE, file=name)) from error
        return comparison.compare(older, newer, contents)

    def disk_free(self) -> int:
        """Bytes on the disk of the library."""
        return self._contents.disk_free()

    async def remove(self, name: str, digest: str, needed: frozenset[str]) -> None:
        """Forget a revision; `collect` frees what no other one shares. `needed`: digests that deployments need.

        Raises NotFoundError, ConflictError.
        """
        model = await self._records.get(name)
        found = model.find(digest)
        if found is None:
            raise NotFoundError(say(Saying.REVISION_UNKNOWN, name=name, revision=digest))
        if digest in needed:
            raise ConflictError(say(Saying.REVISION_IN_USE, revision=digest))
        if found.state is ModelState.VERIFYING:
            raise ConflictError(say(Saying.REVISION_IS_VERIFIED, revision=digest))
        await self._records.change(
            name, lambda before: None if before is None else revision_changes.without(before, digest)
        )

    async def collect(self, needed: frozenset[str], *, dry_run: bool) -> GcReport:
        """Free what no model and no deployment needs. `needed`: digests that deployments need."""
        kept = {
            each.digest
            for model in (await self._records.all()).values()
            for each in model.revisions
            if each.state in (ModelState.READY, ModelState.VERIFYING)
        }
        return await asyncio.to_thread(self._contents.gc, kept | needed, dry_run=dry_run)


def is_whole(revision: Revision) -> bool:
    """Whether it is ready and its files are there. Looks at the disk."""
    return revision.state is ModelState.READY and Path(revision.path).is_dir()


def _ready(model: Model, digest: str) -> Revision:
    found = model.find(digest)
    if found is None:
        raise NotFoundError(say(Saying.REVISION_UNKNOWN, name=model.name, revision=digest))
    if found.state is not ModelState.READY:
        raise ConflictError(say(Saying.REVISION_NOT_READY, revision=digest))
    return found


def _before(model: Model, revision: Revision) -> Revision:
    earlier = model.revisions[: model.revisions.index(revision)]
    for each in reversed(earlier):
        if each.state is ModelState.READY:
            return each
    raise NotFoundError(say(Saying.NO_REVISION_BEFORE, name=model.name, revision=revision.digest))
