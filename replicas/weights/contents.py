"""Weights on disk: each content once, and revisions as folders of hard links to them.

    blobs/ab/abcdef…        one file for each content, named by its SHA-256, read-only
    revisions/HEX/          what engines read: hard links to blobs
    revisions/HEX.json      its manifest; whoever uses the revision holds a shared lock on it
    partial/                what is being built; nothing in it counts

The library on the orchestrator's host and the caches of the others are laid out like this. Whatever is outside
`partial/` is whole: it came there by one rename or link after it had been synced. Where the file system knows no hard
links, files are copied and a line in the log says so.
"""

import logging
import os
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from fcntl import LOCK_EX, flock
from pathlib import Path, PurePosixPath
from secrets import token_hex

from msgspec import Struct

from replicas.weights import durable
from replicas.weights.errors import InvalidRevisionError, RevisionMissingError, WrongFilesError
from replicas.weights.holding import alone
from replicas.weights.manifest import DIGEST_PREFIX, Manifest, ManifestFile, decode, digest, encode

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
        """Where a revision's files are, or would be. Raises InvalidRevisionError for what is no digest."""
        return self._revisions / _hex(revision)

    def manifest(self, revision: str) -> Manifest:
        """Raises RevisionMissingError."""
        try:
            return decode(self._manifest_path(_hex(revision)).read_bytes())
        except FileNotFoundError:
            raise RevisionMissingError(f"The library has no revision {revision}.") from None

    def revisions(self) -> dict[str, Manifest]:
        """Every whole revision by its digest."""
        return {name: self.manifest(name) for name in sorted(self.names())}

    def blob(self, sha256: str, size_bytes: int) -> Path | None:
        """The file with this content, if it is here."""
        path = self._blob_path(sha256)
        try:
            return path if path.stat().st_size == size_bytes else None
        except FileNotFoundError:
            return None

    def find(self, sha256: str) -> Path | None:
        """The file with this content, whatever its size is."""
        path = self._blob_path(sha256)
        return path if _is_hex(sha256) and path.is_file() else None

    def names(self) -> frozenset[str]:
        """Digests of every whole revision, without reading any."""
        found = {entry.name for entry in self._revisions.iterdir()}
        return frozenset(DIGEST_PREFIX + name for name in found if _is_hex(name) and f"{name}.json" in found)

    def in_use(self, revision: str) -> bool:
        """Whether a process of this host holds the revision."""
        try:
            with alone(self._manifest_path(_hex(revision))) as nobody_else:
                return not nobody_else
        except FileNotFoundError:
            return False

    def blobs(self) -> Iterator[Path]:
        """Every content; the name is its SHA-256."""
        for folder in self._blobs.iterdir():
            yield from folder.iterdir()

    def sizes(self) -> frozenset[int]:
        """Sizes in bytes of all contents: one of another size need not be looked for."""
        return frozenset(entry.stat().st_size for entry in self.blobs())

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
        point, it can be called again. Raises WrongFilesError naming a file that is missing or of another size.
        """
        name = _hex(digest(manifest))
        target = self._revisions / name
        for file in manifest.files:
            _check(staging, file)
            durable.sync_file(staging / file.path)  # before the lock: it may take minutes
        with self._locked():
            if self._is_whole(name):
                return target
            for file in manifest.files:
                self._keep(staging / file.path, file)
            self._assemble(name, manifest)
        return target

    def keep(self, source: Path, file: ManifestFile) -> None:
        """Make a file, which must be synced and what `file` says, a content. It may be deleted, not written to."""
        with self._locked():
            self._keep(source, file)

    def assemble(self, manifest: Manifest) -> Path:
        """As `publish`, of contents that are here. Raises WrongFilesError naming a file whose content is not."""
        name = _hex(digest(manifest))
        with self._locked():
            if not self._is_whole(name):
                for file in manifest.files:
                    _check_path(file)
                    if self.blob(file.sha256, file.size_bytes) is None:
                        raise WrongFilesError(f"The content of {file.path} is missing. Fetch the revision again.")
                self._assemble(name, manifest)
        return self._revisions / name

    def remove(self, revision: str) -> None:
        """Forget a revision; `gc` frees what no other one shares. Raises RevisionMissingError."""
        name = _hex(revision)
        if not self._manifest_path(name).is_file():
            raise RevisionMissingError(f"The library has no revision {revision}.")
        with self._locked():
            self._forget(name)

    def gc(self, keep: Iterable[str], *, dry_run: bool, keep_contents: Collection[str] = ()) -> GcReport:
        """Remove every revision but `keep`, the contents that none of those needs, and what was left half-built.

        What a process of this host holds stays too. `keep_contents`: SHA-256 of contents that stay in any case.
        """
        with self._locked(), ExitStack() as removing:
            known = self.revisions()
            unwanted = sorted(set(known) - set(keep))
            # Nobody can begin to use one of these until the block ends.
            dropped = tuple(each for each in unwanted if removing.enter_context(alone(self._manifest_path(_hex(each)))))
            needed = {file.sha256 for name in set(known) - set(dropped) for file in known[name].files}
            needed |= set(keep_contents)
            blobs = [path for path in self.blobs() if path.name not in needed]
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

    def _is_whole(self, name: str) -> bool:
        return (self._revisions / name).is_dir() and self._manifest_path(name).is_file()

    def _assemble(self, name: str, manifest: Manifest) -> None:
        target = self._revisions / name
        durable.write(self._manifest_path(name), encode(manifest), self._new_partial())
        self._reached("manifest-written")
        building = self._build(manifest)
        self._reached("folder-built")
        if target.exists():
            durable.remove(target)  # without a manifest it never was a revision
        building.rename(target)
        self._reached("folder-renamed")
        durable.sync_folder(self._revisions)

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
        self._manifest_path(name).unlink(missing_ok=True)
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

    def _blob_path(self, sha256: str) -> Path:
        return self._blobs / sha256[:2] / sha256

    def _manifest_path(self, name: str) -> Path:
        return self._revisions / f"{name}.json"

    def _new_partial(self) -> Path:
        return self._partial / token_hex(8)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        # A lock of the file system, because `gc` may be run by another process than the one that publishes.
        with (self._root / "lock").open("w") as file:
            flock(file, LOCK_EX)
            yield


def is_revision(folder: Path, revision: str) -> bool:
    """Whether `folder` holds this revision, whoever's contents it belongs to."""
    return folder.name == _hex(revision) and folder.is_dir() and Path(f"{folder}.json").is_file()


def _hex(revision: str) -> str:
    name = revision.removeprefix(DIGEST_PREFIX)
    if not _is_hex(name):
        raise InvalidRevisionError(f"{revision!r} is no revision: a revision is `sha256:` and 64 hexadecimal digits.")
    return name


def _is_hex(name: str) -> bool:
    return len(name) == _HEX_DIGITS and not name.strip("0123456789abcdef")


def _check_path(file: ManifestFile) -> None:
    parts = PurePosixPath(file.path).parts
    if not parts or file.path.startswith("/") or ".." in parts:
        raise WrongFilesError(f"{file.path!r} is no path inside a model folder.")


def _check(staging: Path, file: ManifestFile) -> None:
    _check_path(file)
    path = staging / file.path
    if path.is_symlink() or not path.is_file():
        raise WrongFilesError(f"{file.path} is missing. Upload or import the model again.")
    if path.stat().st_size != file.size_bytes:
        raise WrongFilesError(
            f"{file.path} has {path.stat().st_size} bytes instead of {file.size_bytes}. Upload or import it again."
        )
