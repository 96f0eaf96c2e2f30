"""Uploaded weights: received → verified → published as an immutable revision, or rejected with the reason."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from msgspec import structs

from orchestrator.errors import ConflictError, ModelRejectedError, NotFoundError, RoundhouseError, StoreUnavailableError
from orchestrator.library import revision_changes
from orchestrator.library.contents import Contents, GcReport, Reached, nothing
from orchestrator.library.fit import Device, estimate
from orchestrator.library.manifest import Manifest
from orchestrator.library.records import ModelRecords
from orchestrator.library.uploads.errors import UploadRefusedError
from orchestrator.library.uploads.types import Session
from orchestrator.library.uploads.uploads import Uploads
from orchestrator.library.verification.facts import ModelFacts
from orchestrator.library.verification.verify import verify
from orchestrator.types import ModelState, Revision

_log = logging.getLogger("roundhouse.library")
_STORE_PAUSE_S = 0.5

Verify = Callable[[Path], Awaitable[ModelFacts]]


class Revisions:
    """Owns the contents of the library, its uploads, and the revisions in the models' records."""

    def __init__(
        self,
        folder: Path,
        records: ModelRecords,
        device: Callable[[], Device],
        *,
        verify: Verify = verify,
        reached: Reached = nothing,
    ) -> None:
        self._records = records
        self._device = device
        self._verify = verify
        self._reached = reached
        self._contents = Contents(folder / "contents", reached=reached)
        self.uploads = Uploads(folder / "uploads", self._contents, self._received, reached=reached)
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

    async def _received(self, session: Session, staging: Path, manifest: Manifest) -> None:
        """All files of an upload are here. Called again after a kill."""
        if revision_changes.is_ready((await self._records.all()).get(session.name), session.revision):
            self._start(session, self.uploads.finish(session.id))  # pushed before, or published just before a kill
            return
        revision = Revision(
            digest=session.revision,
            upload_id=session.id,
            state=ModelState.VERIFYING,
            author=session.author,
            notes=session.notes,
            created_at=time.time(),
            size_bytes=manifest.total_bytes,
        )
        await self._records.change(
            session.name,
            lambda model: revision_changes.arrived(model, session.name, revision, session.description),
        )
        self._reached("revision-noted")
        self._start(session, self._judge(session, revision, staging, manifest))

    def _start(self, session: Session, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks[session.id] = task
        task.add_done_callback(lambda _: self._tasks.pop(session.id, None))

    async def _judge(self, session: Session, revision: Revision, staging: Path, manifest: Manifest) -> None:
        try:
            settled = await self._verified(revision, staging, manifest)
        except RoundhouseError as error:
            settled = structs.replace(revision, state=ModelState.REJECTED, reason=error.message)
        except OSError as error:
            why = f"The files could not be read or written: {error}. Check disk and permissions, then push again."
            settled = structs.replace(revision, state=ModelState.REJECTED, reason=why)
        if settled.reason:
            _log.warning("%s of %s is rejected: %s", revision.digest[:19], session.name, settled.reason)
        await self._settle(session.name, settled)
        self._reached("revision-settled")
        try:
            await self.uploads.finish(session.id)
        except UploadRefusedError:
            _log.info("The upload of %s was deleted meanwhile", session.name)

    async def _verified(self, revision: Revision, staging: Path, manifest: Manifest) -> Revision:
        facts = await self._verify(staging)
        fit = estimate(facts.weights_bytes, facts.dtype_bytes, await asyncio.to_thread(self._device))
        if not fit.fits:
            raise ModelRejectedError(fit.reason)
        self._reached("revision-verified")
        path = await asyncio.to_thread(self._contents.publish, staging, manifest)
        self._reached("revision-published")
        return structs.replace(
            revision,
            state=ModelState.READY,
            path=str(path),
            architecture=facts.architecture,
            max_model_len=facts.max_model_len,
            warnings=facts.warnings,
        )

    async def _settle(self, name: str, revision: Revision) -> None:
        """Write how it ended, however long the store is away: nobody else will."""
        while True:
            try:
                return await self._records.change(name, lambda model: revision_changes.settled(model, revision))
            except StoreUnavailableError:
                await asyncio.sleep(_STORE_PAUSE_S)

    async def remove(self, name: str, digest: str, deployed: frozenset[str]) -> None:
        """Forget a revision; `collect` frees what no other one shares. `deployed`: digests that deployments need.

        Raises NotFoundError, ConflictError.
        """
        model = await self._records.get(name)
        found = [each for each in model.revisions if each.digest == digest]
        if not found:
            raise NotFoundError(f"Model {name!r} has no uploaded revision {digest}.")
        if digest in deployed:
            raise ConflictError(f"{digest} is deployed. Deploy another revision, or undeploy it first.")
        if found[0].state is ModelState.VERIFYING:
            raise ConflictError(f"{digest} is being verified. Try again in a moment.")
        await self._records.change(
            name, lambda before: None if before is None else revision_changes.without(before, digest)
        )

    async def collect(self, deployed: frozenset[str], *, dry_run: bool) -> GcReport:
        """Free what no model and no deployment needs. `deployed`: digests that deployments need."""
        ready = {
            each.digest
            for model in (await self._records.all()).values()
            for each in model.revisions
            if each.state in (ModelState.READY, ModelState.VERIFYING)
        }
        return await asyncio.to_thread(self._contents.gc, ready | deployed, dry_run=dry_run)
