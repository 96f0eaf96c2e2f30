"""Who uses a revision on this host: a shared lock on its manifest, which the system gives back when its holder dies."""

import errno
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, flock
from pathlib import Path

_log = logging.getLogger("roundhouse.weights")
_NO_LOCK_ERRNOS = frozenset({errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EBADF, errno.EINVAL})
"""What `flock` fails with where the file system knows no locks, as some shared ones."""


class Hold:
    """Keeps a revision where it is until `release`, or until this process ends."""

    def __init__(self, folder: Path, descriptor: int) -> None:
        self.folder = folder
        self._descriptor: int | None = descriptor

    def release(self) -> None:
        """Safe to call twice."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def hold(folder: Path) -> Hold | None:
    """Hold the revision in `folder`. None: there is none, or not any more. Waits while it is being removed."""
    manifest = Path(f"{folder}.json")
    try:
        descriptor = os.open(manifest, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        _lock(descriptor, LOCK_SH, manifest)
        # Whoever removes a revision does it under an exclusive lock: what is here now stays.
        if folder.is_dir() and os.path.samestat(os.fstat(descriptor), manifest.stat()):
            return Hold(folder, descriptor)
    except FileNotFoundError:
        pass
    os.close(descriptor)
    return None


@contextmanager
def alone(manifest: Path) -> Iterator[bool]:
    """Whether nobody holds the revision of this manifest; then nobody can until the block ends."""
    with manifest.open("r+b") as file:  # some shared file systems want a writer for an exclusive lock
        try:
            _lock(file.fileno(), LOCK_EX | LOCK_NB, manifest)
        except BlockingIOError:
            yield False
        else:
            yield True


def _lock(descriptor: int, kind: int, manifest: Path) -> None:
    try:
        flock(descriptor, kind)
    except OSError as error:
        if error.errno not in _NO_LOCK_ERRNOS:
            raise
        _log.warning("%s is used without a lock, which its file system does not know", manifest)
