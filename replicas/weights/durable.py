"""Steps on disk that survive a power cut: synced files and folders, one rename to make a thing visible."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

NO_LINK_ERRNOS = frozenset({errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.ENOSYS})
"""What `os.link` fails with where no hard link can be made: another file system, or one that knows none."""
FULL_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT})
"""What a write fails with on a full disk or at the end of a quota."""


def link_or_copy(source: Path, target: Path, link: Callable[[Path, Path], None] = os.link) -> bool:
    """Make `target` the same file as `source`; False: no link was possible, so it is a synced copy. Raises OSError."""
    try:
        link(source, target)
    except OSError as error:
        if error.errno not in NO_LINK_ERRNOS:
            raise
        shutil.copyfile(source, target)
        sync_file(target)
        return False
    return True


def sync_file(path: Path) -> None:
    """Returns once content and size of the file are on disk."""
    _sync(path, os.O_RDONLY)


def sync_folder(path: Path) -> None:
    """Returns once the names in the folder are on disk."""
    _sync(path, os.O_RDONLY | os.O_DIRECTORY)


def sync_folders_below(root: Path) -> None:
    """`root` and every folder in it, innermost first."""
    for folder, _, _ in os.walk(root, topdown=False):
        sync_folder(Path(folder))


def write(path: Path, data: bytes, partial: Path) -> None:
    """Put `data` at `path` in one step; `partial` is a free name on the same file system."""
    with partial.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.rename(path)
    sync_folder(path.parent)


def remove(path: Path) -> None:
    """A file, or a folder with all in it; nothing happens if it is not there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def bytes_below(path: Path) -> int:
    """Bytes that go when `path` is removed: files that have another name elsewhere do not count."""
    files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    return sum(status.st_size for status in (file.lstat() for file in files) if status.st_nlink == 1)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
