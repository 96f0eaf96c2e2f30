"""One file while it is received: appended, hashed, synced, cut back."""

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock

from replicas.weights import durable

_PIECE_BYTES = 4 * 2**20

WriteAll = Callable[[int, Sequence[bytes], int], None]
"""Writes the pieces to a descriptor from a byte on, all of them or raises OSError."""


def write_all(descriptor: int, pieces: Sequence[bytes], offset: int) -> None:
    """Zeros become holes, so that a sparse file stays one."""
    if all(map(_is_zero, pieces)):
        os.ftruncate(descriptor, offset + sum(map(len, pieces)))
        return
    views = [memoryview(piece) for piece in pieces]
    while views:
        written = os.pwritev(descriptor, views, offset)
        offset += written
        while views and written >= len(views[0]):
            written -= len(views.pop(0))
        if written:
            views[0] = views[0][written:]


def _is_zero(piece: bytes) -> bool:
    return piece[:1] == b"\0" and piece == bytes(len(piece))


class Intake:
    """Bytes only come behind those that are there, so the size of the file on disk is the offset, whatever happened.

    That holds after a kill, and after a power cut on file systems that grow a file only behind its data (ext4, XFS).
    Methods block; one thread at a time may append, and `catch_up` and `flush` may run beside it.
    """

    def __init__(self, path: Path, size_bytes: int, write: WriteAll = write_all) -> None:
        self.path = path
        self.size_bytes = size_bytes
        self.busy = False
        """A request writes to it."""
        self._write = write
        self._descriptor: int | None = None
        self._sha256 = hashlib.sha256()
        self._hashed = 0
        self._hashing = Lock()
        self.offset = self.synced = path.stat().st_size if path.exists() else 0
        if self.offset > size_bytes:
            self.cut(size_bytes)
        if self.offset:
            durable.sync_file(path)

    @property
    def behind(self) -> bool:
        """Whether there is something that has not been hashed: what an earlier process received."""
        return self._hashed < self.offset

    @property
    def unsynced_bytes(self) -> int:
        return self.offset - self.synced

    def append(self, pieces: Sequence[bytes], also: "hashlib._Hash | None" = None) -> None:
        """Write and hash (`also` into that one). Raises OSError; the file then ends where it did before."""
        try:
            self._write(self._opened(), pieces, self.offset)
        except OSError:
            os.ftruncate(self._opened(), self.offset)
            raise
        in_step = self._hashed == self.offset
        for piece in pieces:
            if in_step:
                self._sha256.update(piece)
            if also is not None:
                also.update(piece)
        end = self.offset + sum(map(len, pieces))
        if in_step:
            self._hashed = end
        self.offset = end

    def flush(self) -> None:
        """Returns once all that was appended before the call is on disk. Raises OSError."""
        offset = self.offset
        os.fdatasync(self._opened())
        self.synced = max(self.synced, offset)

    def catch_up(self, wanted: Callable[[], bool] = lambda: True) -> None:
        """Hash what was not hashed as it came, reading it back; stops soon after `wanted` turns false."""
        with self._hashing:
            descriptor = self._opened()
            while self.behind and wanted():
                piece = os.pread(descriptor, min(_PIECE_BYTES, self.offset - self._hashed), self._hashed)
                if not piece:
                    raise OSError(f"{self.path} is shorter than it was")
                self._sha256.update(piece)
                self._hashed += len(piece)

    def finish(self) -> str:
        """SHA-256 of the whole file, once it and its name are on disk."""
        self.catch_up()
        os.fsync(self._opened())
        self.synced = self.offset
        durable.sync_folder(self.path.parent)
        return self._sha256.hexdigest()

    def cut(self, offset: int) -> None:
        """Forget what came after byte `offset`."""
        if self.path.exists() and self.path.stat().st_nlink > 1:  # its content is the library's, too
            self.close()
            self.path.unlink()
            offset = 0
        elif self.path.exists() and self.path.stat().st_size > offset:
            os.truncate(self.path, offset)
        self.offset = offset
        self.synced = min(self.synced, offset)
        if self._hashed > offset:
            self._sha256, self._hashed = hashlib.sha256(), 0

    def close(self) -> None:
        """Gives the descriptor back; the next call that needs one opens it again."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _opened(self) -> int:
        if self._descriptor is None:
            self.path.parent.mkdir(exist_ok=True)
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        return self._descriptor
