"""Reads a zip archive by its central directory, which is capped before it is read."""

import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from orchestrator.errors import ModelRejectedError
from orchestrator.library.archive_member import Member, refused

_PIECE_BYTES = 2**20
_DIRECTORY_BYTES_PER_MEMBER = 200
_LEAST_READ_BYTES = 2**20 + 2**16
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1 | 0x40 | 0x2000


def zip_members(archive: Path, most_members: int) -> Iterator[Member]:
    """Members in the directory's order. Raises ModelRejectedError for what is no file or folder and for damage."""
    with archive.open("rb") as file:
        most_bytes = max(_LEAST_READ_BYTES, most_members * _DIRECTORY_BYTES_PER_MEMBER)
        capped = _Capped(file, archive.name, most_bytes)
        try:
            opened = zipfile.ZipFile(cast(BinaryIO, capped))
        except (zipfile.BadZipFile, NotImplementedError, ValueError, UnicodeDecodeError) as error:
            raise ModelRejectedError(
                f"{archive.name} is no zip archive, or damaged ({error}). Pack it again."
            ) from error
        with opened:
            for info in opened.infolist():
                _check(info)
                yield Member(
                    name=info.filename,
                    folder=info.is_dir(),
                    size_bytes=info.file_size,
                    pieces=_content(opened, info),
                )


class _Capped:
    """The file, but no single read may take more: `zipfile` reads the whole directory at once, whatever its size."""

    def __init__(self, file: BinaryIO, name: str, most_bytes: int) -> None:
        self._file = file
        self._name = name
        self._most_bytes = most_bytes
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, count: int = -1) -> bytes:
        if count > self._most_bytes:
            raise ModelRejectedError(
                f"{self._name} has a directory of {count:,} bytes: more entries than a model has files. "
                "Pack the model's folder alone."
            )
        data = self._file.read(self._most_bytes if count < 0 else count)
        if count < 0 and len(data) == self._most_bytes:
            raise ModelRejectedError(f"{self._name} is damaged. Pack it again.")
        return data


def _check(info: zipfile.ZipInfo) -> None:
    name = info.orig_filename
    if "\0" in name:
        raise refused(name, "has a zero byte in its name. Pack it again.")
    if info.flag_bits & _ENCRYPTED:
        raise refused(name, "is encrypted. Pack it without a password.")
    if info.compress_type not in _METHODS:
        raise refused(name, "is packed by a method that is not read. Pack it as plain zip (stored or deflated).")
    mode = stat.S_IFMT(info.external_attr >> 16)
    if mode and not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        what = "a symbolic link" if stat.S_ISLNK(mode) else "no file"
        raise refused(name, f"is {what}. Only files and folders are unpacked: pack it without.")
    if info.is_dir() and info.file_size:
        raise refused(name, "is a folder that says it has content. Pack it again.")


def _content(opened: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    try:
        with opened.open(info) as file:
            while piece := file.read(_PIECE_BYTES):
                yield piece
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise refused(info.filename, f"is damaged ({error}). Pack and send it again.") from error
