"""Upload sessions: begun, sent to, completed, handed over, expired."""

import asyncio
import hmac
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import Any

from orchestrator.errors import RoundhouseError
from orchestrator.library.uploads import changes, errors, joining, receiving
from orchestrator.library.uploads.declaration import check_files, check_sha256
from orchestrator.library.uploads.folders import SessionFolders
from orchestrator.library.uploads.live import LiveSession
from orchestrator.library.uploads.protocol import CHECKSUM_MISMATCH, Checksum, Place, check_patch
from orchestrator.library.uploads.staging import build_staging
from orchestrator.library.uploads.types import DeclaredFile, Session, SessionState, UploadLimits
from replicas.weights import durable
from replicas.weights.contents import Contents, Reached, nothing
from replicas.weights.errors import WeightsError
from replicas.weights.intake import WriteAll, write_all
from replicas.weights.manifest import Manifest, decode, digest, encode

_log = logging.getLogger("roundhouse.library")
_THREADS = 16

Received = Callable[[Session, Path, Manifest], Awaitable[None]]
"""Takes over a complete session: returns once it is noted durably that these files are to be verified.

Called again for the same session after a kill, until `Uploads.finish` is called for it.
"""


class Uploads:
    """Owns everything below `root`, which is best on the same file system as the library's contents."""

    def __init__(
        self,
        root: Path,
        contents: Contents,
        received: Received,
        *,
        limits: UploadLimits | None = None,
        now: Callable[[], float] = time.time,
        reached: Reached = nothing,
        write: WriteAll = write_all,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._changed = changed
        self._contents = contents
        self._received = received
        self.limits = limits or UploadLimits()
        self._folders = SessionFolders(root, contents, self.limits.reserve_bytes, reached, write)
        self._now = now
        self._reached = reached
        self._handed_over: set[str] = set()
        self._live: dict[str, LiveSession] = {}
        self._creating = asyncio.Lock()
        self._threads = ThreadPoolExecutor(_THREADS, "uploads")

    async def start(self) -> None:
        """Take up what an earlier process left: sessions go on, and complete ones are handed over again."""
        for live in await self._run(self._folders.load):
            self._live[live.session.id] = live
        for live in list(self._live.values()):
            if live.session.state is SessionState.COMPLETE and not live.session.finished:
                await self._hand_over_later(live)

    def stop(self) -> None:
        """Ends the threads once they have written what they hold."""
        self._threads.shutdown()

    def sessions(self) -> list[Session]:
        """Newest first."""
        return sorted((live.session for live in self._live.values()), key=lambda each: -each.created_at)

    def session(self, id_: str) -> Session:
        """Raises UploadRefusedError (404)."""
        return self._find(id_).session

    def place(self, id_: str, name: str) -> Place:
        """How far a file (by its number) or a part is. Raises UploadRefusedError (404, 410)."""
        live = self._find(id_)
        if live.session.state is SessionState.EXPIRED:
            raise errors.expired(live.session.name)
        return live.place(name)

    def known_sizes(self) -> frozenset[int]:
        """Sizes in bytes of what the library has: a file of another size is not there."""
        return self._contents.sizes()

    def expires_at(self, id_: str) -> float:
        """Unix seconds, if nothing more is sent."""
        return self._find(id_).last_touched() + self.limits.ttl_s

    async def create(
        self, name: str, files: Sequence[DeclaredFile], *, author: str, description: str = "", notes: str = ""
    ) -> Session:
        """Begin to receive a revision of the model `name`. Files whose content is in the library are there at once.

        Raises UploadRefusedError: 422 naming the file at fault, 429 too many uploads, 507 no room on the disk.
        """
        check_files(files, self.limits)
        async with self._creating:
            receiving_now = [each for each in self._live.values() if each.session.state is SessionState.RECEIVING]
            if len(receiving_now) >= self.limits.sessions:
                raise errors.UploadRefusedError(
                    429, f"{len(receiving_now)} uploads are open. Finish or delete one.", code="too_many_uploads"
                )
            outstanding = sum(each.outstanding_bytes() for each in receiving_now)
            now = self._now()
            session = Session(
                id=token_hex(16), name=name, author=author, description=description, notes=notes,
                files=tuple(files), created_at=now, updated_at=now,
            )  # fmt: skip
            with _full_is_507(name):
                live: LiveSession = await self._run(self._folders.make, session, outstanding)
            self._live[session.id] = live
        self._changed()
        self._reached("session-made")
        return live.session

    async def declare(self, id_: str, path: str, size_bytes: int | None, sha256: str) -> str:
        """The name to send a declared file to. With `sha256` its content is taken from the library if it is there.

        Raises UploadRefusedError (404 not declared, 422 of another size, 410, 409).
        """
        live = self._open(id_)
        number = live.number_of(path)
        file = live.session.files[number]
        if size_bytes is not None and size_bytes != file.size_bytes:
            raise errors.UploadRefusedError(
                422, f"{path} was declared with {file.size_bytes} bytes, not {size_bytes}. Begin the upload again."
            )
        if sha256 and sha256 != file.sha256 and number not in live.session.received:
            check_sha256(path, sha256)
            await self._set_sha256(live, number, sha256)
        return str(number)

    async def declare_part(self, id_: str, size_bytes: int) -> str:
        """The name to send a partial upload to. Raises UploadRefusedError (413, 429, 410, 409)."""
        live = self._open(id_)
        parts = live.session.parts
        if len(parts) >= self.limits.parts:
            raise errors.UploadRefusedError(429, f"{len(parts)} parts are open. Join or delete some.")
        if sum(parts.values()) + size_bytes > live.session.total_bytes:
            raise errors.UploadRefusedError(413, "The parts would be larger than the files that were declared.")
        name = f"part-{token_hex(8)}"
        await live.change(self._run, lambda session: changes.with_part(session, name, size_bytes))
        return name

    async def receive(
        self,
        id_: str,
        name: str,
        offset: int,
        body: AsyncIterator[bytes],
        *,
        body_bytes: int | None = None,
        checksum: Checksum | None = None,
    ) -> int:
        """Append `body` to a file or part and return its new offset; what is returned is on disk.

        `body` raises CutOffError when the client goes away. Raises UploadRefusedError: 404, 410; 423 another request
        writes; 409 wrong offset; 413 beyond the end; 460 wrong checksum of the piece or the file; 507 disk full.
        """
        live = self._open(id_)
        place = live.place(name)
        check_patch(place, offset, body_bytes)
        if name.isdigit() and int(name) in live.session.joins:
            raise errors.busy(place.path)
        intake = live.intake(name)
        intake.busy = True
        try:
            with _full_is_507(place.path):
                await receiving.take_body(intake, place.path, self._watched(body), checksum, self._run)
                self._reached("body-taken")
                if name.isdigit() and intake.offset == intake.size_bytes:
                    await self._settle(live, int(name))
        except FileNotFoundError:
            self._find(id_)  # says so if it was deleted meanwhile
            raise
        finally:
            intake.busy = False
            self._changed()
        return intake.offset

    async def drop(self, id_: str, name: str) -> None:
        """Forget what was sent of a file or part. Raises UploadRefusedError (404, 410, 423)."""
        live = self._open(id_)
        place = live.place(name)
        if place.busy:
            raise errors.busy(place.path)
        await live.change(self._run, lambda session: changes.without(session, name))
        path = live.intake(name).path
        live.forget_intake(name)
        await self._run(partial(path.unlink, missing_ok=True))

    async def join(self, id_: str, path: str, parts: tuple[str, ...]) -> str:
        """Put parts together to the file at `path` and return its name; again after a kill, and it goes on.

        Raises UploadRefusedError: 404, 409 a part is not whole, 422 wrong size in all, 460 wrong checksum, 507.
        """
        live = self._open(id_)
        number = live.number_of(path)
        if number in live.session.received:
            return str(number)
        intake = live.intake(str(number))
        if intake.busy:
            raise errors.busy(path)
        intake.busy = True
        try:
            if live.session.joins.get(number) != parts:
                places = {part: live.place(part) for part in parts}
                await live.change(self._run, lambda session: changes.with_join(session, number, places))
            await self._finish_join(live, number)
        finally:
            intake.busy = False
        return str(number)

    async def complete(self, id_: str) -> Session:
        """Close the session and hand it over, once every file is whole; calling it again changes nothing.

        Raises UploadRefusedError (409 naming a file that is missing, 410, 460, 507) and ModelRejectedError (archive).
        """
        live = self._find(id_)
        if live.session.state is SessionState.EXPIRED:
            raise errors.expired(live.session.name)
        async with live.ending:
            if live.session.state is SessionState.RECEIVING:
                await self._close(live)
            await self._hand_over(live)
        self._changed()
        return live.session

    async def finish(self, id_: str) -> None:
        """The files of a complete session were published or turned down: they go, the record stays for a while."""
        live = self._find(id_)
        await live.change(self._run, partial(changes.finished, now=self._now()))
        await self._run(live.drop_data)
        self._changed()

    async def delete(self, id_: str) -> None:
        """Forget a session and all that was sent. Raises UploadRefusedError (404)."""
        live = self._find(id_)
        async with live.ending:
            if self._live.pop(id_, None) is not None:
                await self._run(self._folders.remove, live)
        self._changed()

    async def sweep(self) -> int:
        """Expire sessions that nothing is sent to, and forget old records; how many sessions expired."""
        now, count = self._now(), 0
        for live in list(self._live.values()):
            if live.session.state is SessionState.COMPLETE and not live.session.finished:
                await self._hand_over_later(live)
                continue
            idle_s = now - await self._run(live.last_touched)
            if live.session.state is SessionState.RECEIVING:
                if idle_s > self.limits.ttl_s and not live.ending.locked():
                    await live.expire(self._run)
                    count += 1
            elif idle_s > 2 * self.limits.ttl_s:
                await self.delete(live.session.id)
        return count

    async def _hand_over(self, live: LiveSession) -> None:
        if live.session.finished or live.session.id in self._handed_over:
            return
        manifest = decode(await self._run(live.manifest_path.read_bytes))
        await self._received(live.session, live.staging, manifest)
        self._handed_over.add(live.session.id)
        self._reached("handed-over")

    async def _hand_over_later(self, live: LiveSession) -> None:
        """As `_hand_over`, where nobody waits for it: `sweep` tries again."""
        async with live.ending:
            try:
                await self._hand_over(live)
            except (RoundhouseError, WeightsError, OSError) as error:
                _log.warning(
                    "The upload of %s is complete, but cannot be handed over yet: %s", live.session.name, error
                )

    async def _close(self, live: LiveSession) -> None:
        for number, file in enumerate(live.session.files):
            place = live.place(str(number))
            if not place.busy and number in live.session.joins:
                await self._finish_join(live, number)
                continue
            if place.busy or place.offset < place.size_bytes:
                raise errors.UploadRefusedError(
                    409, f"{file.path} is not whole yet: {place.offset} of {place.size_bytes} bytes. Send the rest.",
                    code="upload_incomplete",
                )  # fmt: skip
            if number not in live.session.received:
                await self._settle(live, number)
        self._reached("files-settled")
        with _full_is_507(live.session.name):
            _, manifest = await self._run(build_staging, live, self.limits, self._contents.disk_free())
            data = encode(manifest)
            await self._run(durable.write, live.manifest_path, data, live.folder / f".{token_hex(4)}")
        self._reached("staging-built")
        await live.change(self._run, partial(changes.completed, revision=digest(manifest), now=self._now()))
        self._reached("session-complete")

    async def _settle(self, live: LiveSession, number: int) -> None:
        """Note the SHA-256 of a file that is whole; a wrong one is refused, and the file can be sent again."""
        file, intake = live.session.files[number], live.intake(str(number))
        try:
            sha256 = await self._run(intake.finish)
            if file.sha256 and not hmac.compare_digest(sha256, file.sha256):
                await self._run(intake.cut, 0)
                raise errors.UploadRefusedError(
                    CHECKSUM_MISMATCH,
                    f"{file.path} arrived with another content than was declared (SHA-256 {sha256[:12]}… instead of "
                    f"{file.sha256[:12]}…). Send it again.",
                    code="checksum_mismatch",
                )
        finally:
            intake.close()
        self._reached("file-synced")
        await live.change(self._run, partial(changes.with_received, number=number, sha256=sha256, now=self._now()))
        self._reached("file-settled")

    async def _finish_join(self, live: LiveSession, number: int) -> None:
        parts = live.session.joins[number]
        target = live.intake(str(number))
        sizes = [(live.part_path(part), live.session.parts[part]) for part in parts]
        try:
            with _full_is_507(live.session.files[number].path):
                await self._run(joining.join, target, sizes, self._reached)
        finally:
            target.close()
        for part in parts:
            live.forget_intake(part)
        await live.change(self._run, lambda session: changes.joined(session, number))
        await self._settle(live, number)

    async def _set_sha256(self, live: LiveSession, number: int, sha256: str) -> None:
        await live.change(self._run, partial(changes.with_sha256, number=number, sha256=sha256))
        file, name = live.session.files[number], str(number)
        intake = live.intake(name)
        if intake.busy:
            return
        intake.busy = True
        try:
            fresh = live.file_path(number).with_name(f".{name}")
            if await self._run(self._folders.take, file, fresh):
                await self._run(fresh.replace, live.file_path(number))
                live.forget_intake(name)
                await live.change(
                    self._run, partial(changes.with_received, number=number, sha256=sha256, now=self._now())
                )
        finally:
            intake.busy = False

    async def _watched(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for piece in body:
            self._reached("bytes-came")
            self._changed()
            yield piece

    def _find(self, id_: str) -> LiveSession:
        live = self._live.get(id_)
        if live is None:
            raise errors.not_found(f"upload {id_!r}")
        return live

    def _open(self, id_: str) -> LiveSession:
        live = self._find(id_)
        live.check_receiving()
        return live

    def _run(self, call: Callable[..., Any], *arguments: Any) -> asyncio.Future[Any]:
        return asyncio.get_running_loop().run_in_executor(self._threads, call, *arguments)


@contextmanager
def _full_is_507(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in durable.FULL_ERRNOS:
            raise errors.full(path) from error
        raise
