"""Unpacks one uploaded `.tar`, `.tar.gz` or `.zip`, member by member, within limits.

Only files and folders come out. The first member that is anything else, that has a path which must not be, or that goes
over a limit ends it: nothing unpacked stays, and the reason names the member.
"""

import hashlib
import os
import shutil
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from msgspec import Struct

from orchestrator.errors import ModelRejectedError
from orchestrator.library.archive_member import Member, refused, shown
from orchestrator.library.tar_members import tar_members
from orchestrator.library.verification.paths import path_fault
from orchestrator.library.zip_members import zip_members
from orchestrator.sentences import Saying, say
from replicas.weights.manifest import Manifest, ManifestFile, manifest_of

_PIECE_BYTES = 2**20


class ArchiveLimits(Struct, frozen=True, kw_only=True):
    total_bytes: int
    """Of all files unpacked."""
    members: int = 20_000
    ratio: float = 100.0
    """Bytes unpacked for each byte of the archive."""
    ratio_from_bytes: int = 64 * 2**20
    """Below that much unpacked, `ratio` does not count: small text shrinks well."""


def unpack(archive: Path, target: Path, limits: ArchiveLimits, progress: Callable[[int], None]) -> Manifest:
    """Unpack into `target`, which must not exist; a single folder around everything is left away.

    Hidden files and macOS' `__MACOSX` are left out. `progress` is given the bytes unpacked so far.
    Raises ModelRejectedError naming the member at fault, and OSError; then there is no `target`.
    """
    building = target.with_name(f".{target.name}.unpacking")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    try:
        rows = _Unpacking(building, archive.stat().st_size, limits, progress).run(_members(archive, limits))
        if not rows:
            raise ModelRejectedError(say(Saying.ARCHIVE_EMPTY, archive=archive.name))
        top = _single_top(rows)
        if top:
            rows = [ManifestFile(row.path.removeprefix(f"{top}/"), row.size_bytes, row.sha256) for row in rows]
        (building / top).rename(target)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return manifest_of(rows)


def _members(archive: Path, limits: ArchiveLimits) -> Iterable[Member]:
    with archive.open("rb") as file:
        magic = file.read(2)
    if magic == b"PK":
        return zip_members(archive, limits.members)
    return tar_members(archive, compressed=magic == b"\x1f\x8b")


class _Unpacking:
    def __init__(
        self, folder: Path, archive_bytes: int, limits: ArchiveLimits, progress: Callable[[int], None]
    ) -> None:
        self._folder = folder
        self._limits = limits
        self._progress = progress
        self._most_bytes = max(limits.ratio_from_bytes, int(archive_bytes * limits.ratio))
        self._done_bytes = 0
        self._seen: set[str] = set()

    def run(self, members: Iterable[Member]) -> list[ManifestFile]:
        rows = []
        for count, member in enumerate(members, 1):
            if count > self._limits.members:
                most = self._limits.members
                raise ModelRejectedError(
                    say(Saying.ARCHIVE_TOO_MANY, member=shown(member.name), number=count, most=most)
                )
            path = _plain(member.name)
            if path is None:
                continue
            self._check(path, member)
            if member.folder:
                self._make_folder(self._folder / path, member)
            else:
                rows.append(self._write(path, member))
        return rows

    def _check(self, path: str, member: Member) -> None:
        fault = path_fault(path)
        if fault is not None:
            raise refused(member.name, f"{fault}. Rename it and pack the folder again.")
        if not member.folder:
            key = unicodedata.normalize("NFC", path.casefold())
            if key in self._seen:
                raise refused(member.name, "is there twice, or twice but for its case. Pack the folder again.")
            self._seen.add(key)
        self._check_amount(member.size_bytes, member)

    def _check_amount(self, more_bytes: int, member: Member) -> None:
        total = self._done_bytes + more_bytes
        if total > self._limits.total_bytes:
            room = self._limits.total_bytes
            raise ModelRejectedError(
                say(Saying.ARCHIVE_TOO_LARGE, member=shown(member.name), total_bytes=total, room_bytes=room)
            )
        if total > self._most_bytes:
            times = round(self._limits.ratio)
            raise ModelRejectedError(say(Saying.ARCHIVE_IS_BOMB, member=shown(member.name), times=times))

    def _make_folder(self, folder: Path, member: Member) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise _both(member) from None

    def _write(self, path: str, member: Member) -> ManifestFile:
        target, sha256, size = self._folder / path, hashlib.sha256(), 0
        self._make_folder(target.parent, member)
        if target.exists():
            raise _both(member)
        with target.open("xb", buffering=0) as file:
            for piece in _joined(member.pieces):
                size += len(piece)
                self._check_amount(len(piece), member)
                _write_all(file.fileno(), piece)
                sha256.update(piece)
                self._done_bytes += len(piece)
                self._progress(self._done_bytes)
        if size != member.size_bytes:
            raise ModelRejectedError(
                say(Saying.ARCHIVE_DAMAGED, member=shown(member.name), found=size, announced=member.size_bytes)
            )
        return ManifestFile(path, size, sha256.hexdigest())


def _joined(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Small pieces put together, so that a file is not written in thousands of calls."""
    buffer = bytearray()
    for piece in pieces:
        if not buffer and len(piece) >= _PIECE_BYTES:
            yield piece
            continue
        buffer += piece
        if len(buffer) >= _PIECE_BYTES:
            yield bytes(buffer)
            buffer.clear()
    if buffer:
        yield bytes(buffer)


def _write_all(descriptor: int, piece: bytes) -> None:
    view = memoryview(piece)
    while view:
        view = view[os.write(descriptor, view) :]


def _plain(name: str) -> str | None:
    """The path without `./` before and `/` behind it; None for what is left out."""
    parts = [part for part in name.removesuffix("/").split("/") if part != "."]
    if not parts or ".." in parts:
        return name if parts else None
    if parts[0] == "__MACOSX" or any(part.startswith(".") for part in parts):
        return None
    return "/".join(parts)


def _single_top(rows: Iterable[ManifestFile]) -> str:
    tops = {row.path.partition("/")[0] for row in rows}
    return tops.pop() if len(tops) == 1 and all("/" in row.path for row in rows) else ""


def _both(member: Member) -> ModelRejectedError:
    return ModelRejectedError(f"{shown(member.name)} is in the archive both as a file and as a folder. Pack it again.")
