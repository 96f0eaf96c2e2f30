"""The bounded cache of a host that is not the orchestrator's: what is in it, what must go, what may come."""

import logging
import os
import shutil
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from pathlib import Path
from threading import Lock

from msgspec import Struct

from replicas.weights import durable
from replicas.weights.contents import Contents
from replicas.weights.errors import NoRoomError
from replicas.weights.eviction import CachedRevision, Eviction, NoRoom, plan_eviction
from replicas.weights.manifest import Manifest

_log = logging.getLogger("roundhouse.weights")
GIB = 2**30


class Disk(Struct, frozen=True):
    total_bytes: int
    free_bytes: int


def disk_of(path: Path) -> Disk:
    """The disk that holds `path`."""
    usage = shutil.disk_usage(path)
    return Disk(usage.total, usage.free)


class Cache:
    """Owns `root`: the contents and, in `fetching/`, files that have come in part. Methods block, from any thread."""

    def __init__(
        self,
        root: Path,
        limit_bytes: int | None,
        *,
        disk: Callable[[Path], Disk] = disk_of,
        now: Callable[[], float] = time.time,
    ) -> None:
        """`limit_bytes` None: all of the disk but a reserve of a twentieth, at least 1 GiB."""
        self._root = root
        self._limit_bytes = limit_bytes
        self._disk = disk
        self._now = now
        self._fetching = root / "fetching"
        self._making_room = Lock()
        self.contents = Contents(root)
        self._fetching.mkdir(exist_ok=True)
        self.contents.sweep()
        for path in self._fetching.iterdir():
            if self.contents.find(path.name) is not None:
                path.unlink()  # a kill came between keeping the content and this

    def partial(self, sha256: str) -> Path:
        """Where a content is received. What an earlier process left of it is still there."""
        return self._fetching / sha256

    def used_bytes(self) -> int:
        """On disk; a file with several names counts once."""
        return sum({status.st_ino: status.st_size for status in _files_below(self._root)}.values())

    def capacity_bytes(self) -> int:
        """What may be in the cache now: the limit, or less if the disk has less."""
        disk = self._disk(self._root)
        reserve = max(GIB, disk.total_bytes // 20)
        room = max(0, self.used_bytes() + disk.free_bytes - reserve)
        return room if self._limit_bytes is None else min(room, self._limit_bytes)

    def touch(self, revision: str) -> None:
        """Note that the revision is used now, if it is here."""
        with suppress(FileNotFoundError):
            os.utime(f"{self.contents.folder(revision)}.json", times=(self._now(), self._now()))

    def touch_used(self) -> None:
        """Note of all revisions that processes of this host hold that they are used now."""
        with self._making_room:
            for revision in self.contents.names():
                if self.contents.in_use(revision):
                    self.touch(revision)

    def make_room(self, wanted: Manifest, others: Iterable[Manifest]) -> None:
        """Evict until `wanted` fits in beside `others`, which are being fetched too. Raises NoRoomError."""
        coming = {file.sha256: file.size_bytes for manifest in (wanted, *others) for file in manifest.files}
        with self._making_room:
            capacity, cached = self.capacity_bytes(), self._cached()
            remains = self._remains(coming, cached)
            remains_bytes = sum(path.stat().st_size for path in remains)
            if plan_eviction(cached, coming, capacity - remains_bytes) == Eviction(()):
                return
            while True:
                plan = plan_eviction(self._cached(), coming, capacity)
                if isinstance(plan, NoRoom):
                    raise _no_room(wanted, plan)
                for path in remains:
                    durable.remove(path)
                if not plan.revisions:
                    return
                self._evict(plan.revisions, coming)  # fewer than planned, if one came into use meanwhile

    def _evict(self, revisions: tuple[str, ...], coming: Collection[str]) -> None:
        keep = self.contents.names() - set(revisions)
        for revision in self.contents.gc(keep, dry_run=False, keep_contents=coming).revisions:
            _log.info("%s leaves the cache: no other one has gone unused for longer", revision)

    def _remains(self, coming: Collection[str], cached: Iterable[CachedRevision]) -> list[Path]:
        """What earlier fetches left that nobody took up again: it saves a transfer as long as there is room for it."""
        needed = {*coming, *(sha256 for each in cached for sha256 in each.contents)}
        return [path for path in (*self._fetching.iterdir(), *self.contents.blobs()) if path.name not in needed]

    def _cached(self) -> list[CachedRevision]:
        return [
            CachedRevision(
                revision=revision,
                contents={file.sha256: file.size_bytes for file in manifest.files},
                last_used_at=Path(f"{self.contents.folder(revision)}.json").stat().st_mtime,
                in_use=self.contents.in_use(revision),
            )
            for revision, manifest in self.contents.revisions().items()
        ]


def _files_below(root: Path) -> Iterable[os.stat_result]:
    for folder, _, names in os.walk(root):
        for name in names:
            try:
                yield os.lstat(os.path.join(folder, name))
            except FileNotFoundError:
                continue  # it went while we looked


def _no_room(wanted: Manifest, plan: NoRoom) -> NoRoomError:
    others_bytes = plan.wanted_bytes + plan.in_use_bytes - wanted.total_bytes
    return NoRoomError(
        f"The weights need {_gib(wanted.total_bytes)}. The cache of this host may fill {_gib(plan.capacity_bytes)}, of "
        f"which replicas and other fetches need {_gib(others_bytes)}. Free its disk, give `roundhouse join` a larger "
        "--cache-size, or stop a replica there."
    )


def _gib(count: int) -> str:
    return f"{count / GIB:.2f} GiB"
