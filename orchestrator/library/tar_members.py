"""Reads a tar archive from its first byte to its last: ustar, GNU long names and POSIX (pax) headers.

Python's `tarfile` reads a header of any announced size into memory and keeps every entry it has seen; an archive made
for that purpose takes all memory there is. Here headers have caps and nothing is kept.
"""

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from orchestrator.errors import ModelRejectedError
from orchestrator.library.archive_member import Member, refused

_BLOCK = 512
_PIECE_BYTES = 2**20
_MOST_HEADER_BYTES = 64 * 2**10
"""Of one long name or one set of pax records."""
_MOST_HEADERS = 4
"""That may stand before one member."""
_FILE, _FOLDER = (b"0", b"\0", b"7"), b"5"
_NOT_FILES = {
    b"1": "a hard link",
    b"2": "a symbolic link",
    b"3": "a device",
    b"4": "a device",
    b"6": "a pipe",
    b"S": "a sparse file",
}


def tar_members(archive: Path, *, compressed: bool) -> Iterator[Member]:
    """Members in order. Raises ModelRejectedError for what is no file or folder and for damage."""
    with archive.open("rb") as file:
        source = _Gunzipped(file) if compressed else _Plain(file)
        yield from _Reader(archive.name, source).members()


class _Plain:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read(self, count: int) -> bytes:
        return self._file.read(count)


class _Gunzipped:
    """Decompresses no more than is asked for at a time."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._gzip = zlib.decompressobj(zlib.MAX_WBITS | 16)
        self._waiting = b""

    def read(self, count: int) -> bytes:
        pieces, missing = [], count
        while missing:
            data = self._waiting or self._file.read(_PIECE_BYTES)
            if not data:
                break
            if self._gzip.eof:  # a gzip file may be several, one after the other
                self._gzip = zlib.decompressobj(zlib.MAX_WBITS | 16)
            try:
                piece = self._gzip.decompress(data, missing)
            except zlib.error as error:
                raise ModelRejectedError(f"The archive is damaged ({error}). Pack and send it again.") from error
            self._waiting = self._gzip.unused_data if self._gzip.eof else self._gzip.unconsumed_tail
            pieces.append(piece)
            missing -= len(piece)
        return b"".join(pieces)


class _Reader:
    def __init__(self, archive_name: str, source: _Plain | _Gunzipped) -> None:
        self._archive_name = archive_name
        self._source = source
        self._unread = 0
        """Bytes of the present member with its padding that nobody has read yet."""

    def members(self) -> Iterator[Member]:
        while (found := self._next()) is not None:
            header, name, size = found
            kind = header[156:157]
            if kind not in _FILE and kind != _FOLDER:
                what = _NOT_FILES.get(kind, "an entry of an unknown kind")
                raise refused(name, f"is {what}. Only files and folders are unpacked: pack it without.")
            # Archives from before 1988 mark folders by the slash alone.
            folder = kind == _FOLDER or name.endswith("/")
            if folder and size:
                raise refused(name, "is a folder that says it has content. Pack it again.")
            self._unread = size + -size % _BLOCK
            yield Member(name=name, folder=folder, size_bytes=size, pieces=self._content(size))
            self._skip()

    def _next(self) -> tuple[bytes, str, int] | None:
        """Header, name and size of the next member; None at the end."""
        long_name: str | None = None
        records: dict[str, str] = {}
        for _ in range(_MOST_HEADERS):
            header = self._header()
            if header is None:
                return None
            size, kind = _number(header[124:136]), header[156:157]
            if kind == b"L":
                long_name = self._text(size).rstrip("\0")
            elif kind == b"K":
                self._text(size)
            elif kind in (b"x", b"g"):
                found = _pax_records(self._text(size))
                records |= found if kind == b"x" else {}
            else:
                return header, *_described(header, long_name, records, size)
        raise ModelRejectedError(f"{self._archive_name} has more headers than a member needs. Pack it again.")

    def _header(self) -> bytes | None:
        header = self._exactly(_BLOCK, at_end=True)
        if not header.strip(b"\0"):
            return None
        fields = header[:148] + b" " * 8 + header[156:]
        if _number(header[148:156]) != sum(fields):
            raise ModelRejectedError(f"{self._archive_name} is no tar archive, or damaged. Pack and send it again.")
        return header

    def _text(self, size: int) -> str:
        if size > _MOST_HEADER_BYTES:
            raise ModelRejectedError(f"{self._archive_name} has a header of {size:,} bytes, which no model needs.")
        data = self._exactly(size + -size % _BLOCK)
        return data[:size].decode(errors="surrogateescape")

    def _content(self, size: int) -> Iterator[bytes]:
        while size:
            piece = self._source.read(min(_PIECE_BYTES, size))
            if not piece:
                return  # the member is found to be too short
            size -= len(piece)
            self._unread -= len(piece)
            yield piece

    def _skip(self) -> None:
        while self._unread and (piece := self._source.read(min(_PIECE_BYTES, self._unread))):
            self._unread -= len(piece)

    def _exactly(self, count: int, *, at_end: bool = False) -> bytes:
        data = self._source.read(count)
        if len(data) < count and (data or not at_end):
            raise ModelRejectedError(f"{self._archive_name} is cut off. Pack and send it again.")
        return data


def _described(header: bytes, long_name: str | None, records: dict[str, str], size: int) -> tuple[str, int]:
    name = records.get("path", long_name)
    if name is None:
        name = _field(header[:100])
        prefix = _field(header[345:500]) if header[257:263] == b"ustar\0" else ""
        name = f"{prefix}/{name}" if prefix else name
    if any(key.startswith("GNU.sparse") for key in records):
        raise refused(name, "is a sparse file. Pack it without --sparse.")
    told = records.get("size")
    if told is not None:
        if not told.isascii() or not told.isdigit() or len(told) > 15:
            raise refused(name, "has no readable size. Pack it again.")
        size = int(told)
    return name, size


def _pax_records(text: str) -> dict[str, str]:
    """`LENGTH KEY=VALUE\\n`, one after the other; the length counts all of it, in bytes."""
    data, records = text.encode(errors="surrogateescape"), {}
    while data:
        length, _, _ = data[:20].partition(b" ")
        if not length.isdigit() or not len(length) + 2 < int(length) <= len(data):
            raise ModelRejectedError("The archive has a damaged pax header. Pack and send it again.")
        record = data[len(length) + 1 : int(length) - 1].decode(errors="surrogateescape")
        key, _, value = record.partition("=")
        records[key] = value
        data = data[int(length) :]
    return records


def _number(field: bytes) -> int:
    """Octal digits, or after a set top bit a binary number. Raises ModelRejectedError."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b" \0")
    if digits.strip(b"01234567"):
        raise ModelRejectedError("The archive is no tar archive, or damaged. Pack and send it again.")
    return int(digits or b"0", 8)


def _field(field: bytes) -> str:
    return field.partition(b"\0")[0].decode(errors="surrogateescape")
