"""The body of one request, brought to disk: some MiB at a time, in a thread, while the next are on their way."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from orchestrator.library.uploads import errors
from orchestrator.library.uploads.protocol import CHECKSUM_MISMATCH, Checksum, beyond_the_end
from replicas.weights.intake import Intake

_BUFFER_BYTES = 4 * 2**20
_BUFFER_PIECES = 512
"""Fewer than the system takes in one call (IOV_MAX, 1024)."""
_FLUSH_BYTES = 32 * 2**20
"""So much is synced while more comes, so that the sync at the end has little to wait for."""

Run = Callable[..., asyncio.Future[Any]]
"""Starts a blocking call in a thread."""


class CutOffError(Exception):
    """The client went away or fell silent; what came is kept."""


async def take_body(intake: Intake, path: str, body: AsyncIterator[bytes], checksum: Checksum | None, run: Run) -> None:
    """Append `body` and sync it. The caller has made sure that nobody else writes.

    Raises CutOffError from `body` after what came was written, UploadRefusedError (413 more than declared, 460
    checksum; then the file ends where it did before) and OSError (then it ends with the last bytes that are on disk).
    """
    start = intake.offset
    own = hashlib.new(checksum.algorithm) if checksum else None
    writer = _Writer(intake, own, run)
    try:
        await _feed(writer, intake, path, body)
    except CutOffError:
        if checksum is not None:  # without its end it cannot be checked
            await run(intake.cut, start)
        raise
    except errors.UploadRefusedError:
        await run(intake.cut, start)
        raise
    if checksum is not None and own is not None and own.digest() != checksum.digest:
        await run(intake.cut, start)
        raise errors.UploadRefusedError(
            CHECKSUM_MISMATCH,
            f"A piece of {path} was damaged on its way ({checksum.algorithm} differs). Send it again.",
            code="checksum_mismatch",
        )


async def _feed(writer: "_Writer", intake: Intake, path: str, body: AsyncIterator[bytes]) -> None:
    room = intake.size_bytes - intake.offset
    try:
        async for piece in body:
            room -= len(piece)
            if room < 0:
                raise beyond_the_end(path, intake.size_bytes)
            await writer.add(piece)
    finally:
        end = asyncio.create_task(writer.end())
        try:
            await asyncio.shield(end)
        except asyncio.CancelledError:  # the file is free for others only once no thread is at it
            await end
            raise


class _Writer:
    """Two buffers: one fills while the other is written."""

    def __init__(self, intake: Intake, also: "hashlib._Hash | None", run: Run) -> None:
        self._intake = intake
        self._also = also
        self._run = run
        self._pieces: list[bytes] = []
        self._held_bytes = 0
        self._ended = False
        self._writing: asyncio.Future[Any] | None = None
        self._flushing: asyncio.Future[Any] | None = None
        self._catching_up: asyncio.Future[Any] | None = None

    async def add(self, piece: bytes) -> None:
        if not piece:
            return
        self._pieces.append(piece)
        self._held_bytes += len(piece)
        if self._held_bytes >= _BUFFER_BYTES or len(self._pieces) >= _BUFFER_PIECES:
            await self._write()

    async def end(self) -> None:
        """Everything that was added is written and synced, and no thread is at the file any more. Raises OSError."""
        self._ended = True
        failure = None
        try:
            await self._write()
            if self._writing is not None:
                await self._writing
        except OSError as error:
            failure = error
        beside = [each for each in (self._flushing, self._catching_up) if each is not None]
        await asyncio.gather(*beside, return_exceptions=True)
        try:
            await self._run(self._intake.flush)
        except OSError as error:
            await self._run(self._intake.cut, self._intake.synced)
            failure = failure or error
        self._intake.close()
        if failure is not None:
            raise failure

    async def _write(self) -> None:
        if self._writing is not None:
            await self._writing
            self._beside()
        pieces, self._pieces, self._held_bytes = self._pieces, [], 0
        self._writing = self._run(self._intake.append, pieces, self._also) if pieces else None

    def _beside(self) -> None:
        if self._intake.unsynced_bytes >= _FLUSH_BYTES and (self._flushing is None or self._flushing.done()):
            self._flushing = self._run(self._intake.flush)
        if self._intake.behind and (self._catching_up is None or self._catching_up.done()):
            self._catching_up = self._run(self._intake.catch_up, lambda: not self._ended)
