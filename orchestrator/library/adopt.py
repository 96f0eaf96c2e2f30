"""A folder on this host made ready to be a revision: its files linked or copied, and hashed on the way."""

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from orchestrator.errors import ModelRejectedError
from replicas.weights import durable
from replicas.weights.manifest import Manifest, ManifestFile, manifest_of

_PIECE_BYTES = 4 * 2**20

Progress = Callable[[int], None]
"""Given the bytes read so far."""


def files_of(folder: Path) -> list[Path]:
    """Every file of a model folder; names that begin with a dot are left out, as Git and hub caches use them."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


def total_bytes(folder: Path) -> int:
    """Of the files that `hash_folder` reads."""
    return sum(path.stat().st_size for path in files_of(folder))


def hash_folder(folder: Path, progress: Progress) -> Manifest:
    """Reads every file once."""
    counter = _Counter(progress)
    rows = [_row(folder, path, hash_file(path, counter.add)) for path in files_of(folder)]
    return manifest_of(rows)


def adopt(folder: Path, staging: Path, progress: Progress, *, link: bool) -> Manifest:
    """Fill `staging`, which must not exist, with the files of `folder`, ready for `Contents.publish`.

    Copies by default. With `link` the files are shared where the file system allows it: nobody may write to them in
    `folder` any more, and publishing makes them read-only. What is hashed is what is in `staging`, so a file that
    changes meanwhile is taken as it was read. Raises ModelRejectedError (no folder) and OSError.
    """
    if not folder.is_dir():
        raise ModelRejectedError(f"There is no folder {folder}. Check the path.")
    counter = _Counter(progress)
    rows = []
    staging.mkdir(parents=True)
    try:
        for path in files_of(folder):
            _refuse_link_elsewhere(folder, path)
            target = staging / path.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            if link and _linked(path, target):
                sha256 = hash_file(target, counter.add)
            else:
                sha256 = _copy(path, target, counter.add)
            rows.append(_row(staging, target, sha256))
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    return manifest_of(rows)


def hash_file(path: Path, add: Progress, *, first: int = 0, into: "hashlib._Hash | None" = None) -> str:
    """SHA-256 of the file from byte `first` on, after what `into` has; `add` is given the bytes of each piece."""
    sha256 = into or hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        file.seek(first)
        while piece := file.read(_PIECE_BYTES):
            sha256.update(piece)
            add(len(piece))
    return sha256.hexdigest()


def _refuse_link_elsewhere(folder: Path, path: Path) -> None:
    """A link may lead to a file of the same folder, or to the contents of a hub's cache (`snapshots/REV/x` →
    `blobs/HASH`); anywhere else it would take in what nobody meant. Raises ModelRejectedError."""
    if path.resolve() == folder.resolve() / path.relative_to(folder):
        return
    allowed = (folder.resolve(), folder.resolve().parent.parent / "blobs")
    if not any(path.resolve().is_relative_to(each) for each in allowed):
        name = path.relative_to(folder)
        raise ModelRejectedError(f"{name} is a link that leads out of {folder}. Put the file itself there.")


def _linked(source: Path, target: Path) -> bool:
    try:
        os.link(source.resolve(), target)
    except OSError as error:
        if error.errno not in durable.NO_LINK_ERRNOS:
            raise
        return False
    return True


def _copy(source: Path, target: Path, add: Progress) -> str:
    sha256 = hashlib.sha256()
    with source.open("rb", buffering=0) as reader, target.open("xb", buffering=0) as writer:
        while piece := reader.read(_PIECE_BYTES):
            view = memoryview(piece)
            while view:
                view = view[writer.write(view) :]
            sha256.update(piece)
            add(len(piece))
    return sha256.hexdigest()


def _row(folder: Path, path: Path, sha256: str) -> ManifestFile:
    return ManifestFile(path.relative_to(folder).as_posix(), path.stat().st_size, sha256)


class _Counter:
    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._done = 0

    def add(self, piece_bytes: int) -> None:
        self._done += piece_bytes
        self._progress(self._done)
