"""A file as a push reads it: from any byte on, hashed on the way where that is possible."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

from orchestrator.errors import ModelRejectedError
from orchestrator.library.adopt import hash_file

_PIECE_BYTES = 2**20


class SourceFile:
    """One file of a model folder."""

    def __init__(self, path: str, file: Path, size_bytes: int) -> None:
        self.path = path
        self.file = file
        self.size_bytes = size_bytes
        self._sha256 = hashlib.sha256()
        self._hashed = 0

    def pieces(self, first: int, end: int, sent: Callable[[int, int], None]) -> Iterator[bytes]:
        """The bytes from `first` to `end`; `sent` is given where each piece ended, and its size, once it has gone.

        Raises ModelRejectedError when the file has become shorter.
        """
        with self.file.open("rb", buffering=0) as reader:
            reader.seek(first)
            while first < end:
                piece = reader.read(min(_PIECE_BYTES, end - first))
                if not piece:
                    raise ModelRejectedError(f"{self.path} became shorter while it was being sent. Push it again.")
                if first == self._hashed:
                    self._sha256.update(piece)
                    self._hashed += len(piece)
                first += len(piece)
                yield piece
                sent(first, len(piece))

    def sha256(self) -> str:
        """Of the whole file; what was not read in order is read now."""
        hash_file(self.file, self._count, first=self._hashed, into=self._sha256)
        return self._sha256.hexdigest()

    def _count(self, piece_bytes: int) -> None:
        self._hashed += piece_bytes
