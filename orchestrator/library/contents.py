"""The library's files on disk: each content once, and revisions as folders of hard links to them.

    blobs/ab/abcdef…        one file for each content, named by its SHA-256, read-only
    revisions/HEX/          what engines read: hard links to blobs
    revisions/HEX.json      its manifest
    partial/                what is being built; nothing in it counts

Whatever is outside `partial/` is whole: it came there by one rename or link after it had been synced. Where the file
system knows no hard links, files are copied and a line in the log says so.
"""

import logging
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, flock
from pathlib import Path, PurePosixPath
from secrets import token_hex

from msgspec import Struct

from orchestrator.errors import InvalidRequestError, ModelRejectedError, NotFoundError
from orchestrator.library import durable
from orchestrator.library.manifest import DIGEST_PREFIX, Manifest, ManifestFile, decode, digest, encode

_log = logging.getLogger("roundhouse.library")
_HEX_DIGITS = 64

Reached = Callable[[str], None]
"""Called at each step of long work with the step's name; tests end the process there."""


def nothing(_step: str) -> None:
    """The usual `reached`."""


class GcReport(Struct, frozen=True, kw_only=True):
    """What a collection removed, or would remove."""

    freed_bytes: int
    """Of contents and of what was left half-built. Contents that an upload still holds are freed with the upload."""
    revisions: tuple[str, ...]
    blobs: int
    partial: int
    """Things that were left half-built."""
    dry_run: bool


class Contents:
    """Owns everything below `root`. Methods block on the disk; they may be called from any thread and process."""

    def __init__(self, root: Path, *, reached: Reached = nothing, link: Callable[[Path, Path], None] = os.link) -> None:
        self._blobs = root / "blobs"
        self._revisions = root / "revisions"
        self._partial = root / "partial"
        self._root = root
        self._reached = reached
        self._link = link
        self.copies_files = False
        """Whether hard links turned out to be impossible, so that revisions share nothing."""
        for folder in (self._blobs, self._revisions, self._partial):
            folder.mkdir(parents=True, exist_ok=True)

    def folder(self, revision: str) -> Path:
        """Where a revision's files are, or would be. Raises InvalidRequestError for what is no digest."""
        return self._revisions / _hex(revision)

    def manifest(self, revision: str) -> Manifest:
        """Raises NotFoundError."""
        try:
            return decode((self._revisions / f"{_hex(revision)}.json").read_bytes())
        except FileNotFoundError:
            raise NotFoundError(f"The library has no revision {revision}.") from None

    def revisions(self) -> dict[str, Manifest]:
        """Every whole revision by its digest."""
        names = sorted(entry.name for entry in self._revisions.iterdir() if _is_hex(entry.name))
        return {
            DIGEST_PREFIX + name: self.manifest(DIGEST_PREFIX + name)
            for name in names
            if (self._revisions / f"{name}.json").is_file()
        }

    def blob(self, sha256: str, size_bytes: int) -> Path | None:
        """The file with this content, if it is here."""
        path = self._blob_path(sha256)
        try:
            return path if path.stat().st_size == size_bytes else None
        except FileNotFoundError:
            return None

    def sizes(self) -> frozenset[int]:
        """Sizes in bytes of all contents: one of another size need not be looked for."""
        return frozenset(entry.stat().st_size for entry in self._all_blobs())

    def disk_free(self) -> int:
        """Bytes."""
        return shutil.disk_usage(self._root).free

    def take(self, sha256: str, size_bytes: int, target: Path) -> bool:
        """Put the content at `target`, which must not exist; it stays there whatever is collected. False: not here."""
        with self._locked():
            source = self.blob(sha256, size_bytes)
            if source is None:
                return False
            self._link_or_copy(source, target)
            return True

    def publish(self, staging: Path, manifest: Manifest) -> Path:
        """Make the files below `staging` a revision and return its folder; they must be what `manifest` says.

        Afterwards the files in `staging` may be the revision's own: delete them, do not write to them. Killed at any
        point, it can be called again. Raises ModelRejectedError naming a file that is missing or of another size.
        """
        name = _hex(digest(manifest))
        target = self._revisions / name
        for file in manifest.files:
            _check(staging, file)
            durable.sync_file(staging / file.path)  # before the lock: it may take minutes
        with self._locked():
            if target.is_dir() and (self._revisions / f"{name}.json").is_file():
                return target
            for file in manifest.files:
                self._keep(staging / file.path, file)
            durable.write(self._revisions / f"{name}.json", encode(manifest), self._new_partial())
            self._reached("manifest-written")
            building = self._build(manifest)
            self._reached("folder-built")
            if target.exists():
                durable.remove(target)  # without a manifest it never was a revision
            building.rename(target)
            self._reached("folder-renamed")
            durable.sync_folder(self._revisions)
        return target

    def remove(self, revision: str) -> None:
        """Forget a revision; `gc` frees what no other one shares. Raises NotFoundError."""
        name = _hex(revision)
        if not (self._revisions / f"{name}.json").is_file():
            raise NotFoundError(f"The library has no revision {revision}.")
        with self._locked():
            self._forget(name)

    def gc(self, keep: Iterable[str], *, dry_run: bool) -> GcReport:
        """Remove every revision but `keep`, the contents that none of those needs, and what was left half-built."""
        with self._locked():
            wanted = set(keep)
            known = self.revisions()
            dropped = tuple(sorted(set(known) - wanted))
            needed = {file.sha256 for name in wanted & set(known) for file in known[name].files}
            blobs = [path for path in self._all_blobs() if path.name not in needed]
            half = self._half_built()
            folders = [self._revisions / _hex(name) for name in dropped]
            freed = sum(path.stat().st_size for path in blobs) + sum(map(durable.bytes_below, (*half, *folders)))
            if not dry_run:
                for name in dropped:
                    self._forget(_hex(name))
                for path in (*blobs, *half):
                    durable.remove(path)
        return GcReport(freed_bytes=freed, revisions=dropped, blobs=len(blobs), partial=len(half), dry_run=dry_run)

    def sweep(self) -> int:
        """Remove what a kill left half-built; how many things that were."""
        with self._locked():
            half = self._half_built()
            for path in half:
                durable.remove(path)
        return len(half)

    def _keep(self, source: Path, file: ManifestFile) -> None:
        """Make `source` a blob unless its content is here already."""
        if self.blob(file.sha256, file.size_bytes) is not None:
            return
        source.chmod(0o444)
        target = self._blob_path(file.sha256)
        target.parent.mkdir(exist_ok=True)
        fresh = self._new_partial()
        self._link_or_copy(source, fresh)
        self._reached("content-synced")
        fresh.rename(target)  # also over a damaged one of another size
        durable.sync_folder(target.parent)
        durable.sync_folder(self._blobs)
        self._reached("content-kept")

    def _build(self, manifest: Manifest) -> Path:
        building = self._new_partial()
        building.mkdir()
        for file in manifest.files:
            target = building / file.path
            target.parent.mkdir(parents=True, exist_ok=True)
            self._link_or_copy(self._blob_path(file.sha256), target)
        durable.sync_folders_below(building)
        return building

    def _link_or_copy(self, source: Path, target: Path) -> None:
        if durable.link_or_copy(source, target, self._link):
            return
        target.chmod(0o444)
        if not self.copies_files:
            _log.warning("%s has no hard links: files are copied, and every revision needs its full size", self._root)
        self.copies_files = True

    def _forget(self, name: str) -> None:
        # In one step out of sight, so that a kill leaves no revision with files missing.
        folder, gone = self._revisions / name, self._new_partial()
        if folder.exists():
            folder.rename(gone)
            durable.sync_folder(self._revisions)
            self._reached("revision-hidden")
            durable.remove(gone)
        (self._revisions / f"{name}.json").unlink(missing_ok=True)
        durable.sync_folder(self._revisions)

    def _half_built(self) -> list[Path]:
        """Also manifests without a folder and folders without a manifest: the lock says that nobody is at it."""
        entries = {entry.name for entry in self._revisions.iterdir()}
        lonely = [
            name
            for name in entries
            if name.removesuffix(".json") not in entries or (_is_hex(name) and f"{name}.json" not in entries)
        ]
        return [*self._partial.iterdir(), *(self._revisions / name for name in sorted(lonely))]

    def _all_blobs(self) -> Iterator[Path]:
        for folder in self._blobs.iterdir():
            yield from folder.iterdir()

    def _blob_path(self, sha256: str) -> Path:
        return self._blobs / sha256[:2] / sha256

    def _new_partial(self) -> Path:
        return self._partial / token_hex(8)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        # A lock of the file system, because `gc` may be run by another process than the one that publishes.
        with (self._root / "lock").open("w") as file:
            flock(file, LOCK_EX)
            yield


def _hex(revision: str) -> str:
    name = revision.removeprefix(DIGEST_PREFIX)
    if not _is_hex(name):
        raise InvalidRequestError(f"{revision!r} is no revision: a revision is `sha256:` and 64 hexadecimal digits.")
    return name


def _is_hex(name: str) -> bool:
    return len(name) == _HEX_DIGITS and not name.strip("0123456789abcdef")


def _check(staging: Path, file: ManifestFile) -> None:
    parts = PurePosixPath(file.path).parts
    if not parts or file.path.startswith("/") or ".." in parts:
        raise ModelRejectedError(f"{file.path!r} is no path inside a model folder.")
    path = staging / file.path
    if path.is_symlink() or not path.is_file():
        raise ModelRejectedError(f"{file.path} is missing. Upload or import the model again.")
    if path.stat().st_size != file.size_bytes:
        raise ModelRejectedError(
            f"{file.path} has {path.stat().st_size} bytes instead of {file.size_bytes}. Upload or import it again."
        )
