"""The files of a model folder: only plain files of known kinds, with sound names and with bytes that fit the name."""

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from msgspec import Struct

from orchestrator.library.verification.kinds import (
    HEAD_BYTES,
    MAX_BYTES,
    MAX_BYTES_TOGETHER,
    Kind,
    check_magic,
    kind_of,
)
from orchestrator.library.verification.paths import duplicate, path_fault
from orchestrator.library.verification.refusal import Code, Refusal

MAX_FILES = 4096
IGNORED_FOLDERS = frozenset([".git", ".cache", ".huggingface"])
"""What downloading leaves behind; no part of a revision, never looked into."""
IGNORED_FILES = frozenset([".gitattributes", ".gitignore", ".mdl", ".msc", ".mv"])
_REMOVE = "Remove it from the folder."


class ModelFile(Struct, frozen=True):
    path: str
    """Relative to the folder, with "/"."""
    kind: Kind
    size_bytes: int

    @property
    def name(self) -> str:
        return self.path.rsplit("/", 1)[-1]


def take_stock(folder: Path, at: Callable[[str], None]) -> tuple[ModelFile, ...]:
    """The model's files, sorted by path. `at` is told each file before it is opened. Raises Refusal, OSError."""
    if not folder.is_dir():
        raise Refusal(Code.NO_FOLDER, folder.name or str(folder), "is not a folder", "Check the path.")
    entries = []
    for path, status in _walk(folder, ""):
        entries.append((path, status))
        if len(entries) > MAX_FILES:
            raise Refusal(Code.TOO_MANY, path, f"is one of more than {MAX_FILES:,} files", "Give the model's own only.")
    twice = duplicate(path for path, _ in entries)
    if twice is not None:
        raise Refusal(Code.PATH, twice[1], f"differs from {twice[0]} only in upper and lower case", "Rename one.")
    # All names and kinds first: they cost nothing, whatever the folder holds.
    files = [_plain_file(path, status) for path, status in sorted(entries)]
    _check_sizes(files)
    for file in files:
        at(file.path)
        check_magic(file.path, read_head(folder / file.path), file.size_bytes)
    return tuple(files)


def _walk(folder: Path, prefix: str) -> Iterator[tuple[str, os.stat_result]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            path = prefix + entry.name
            status = entry.stat(follow_symlinks=False)
            directory = stat.S_ISDIR(status.st_mode)
            if directory and entry.name in IGNORED_FOLDERS:
                continue
            if not directory and entry.name in IGNORED_FILES and stat.S_ISREG(status.st_mode):
                continue
            fault = path_fault(path)
            if fault is not None:
                raise Refusal(Code.PATH, path, fault, "Rename it.")
            if entry.name.startswith("."):
                raise Refusal(Code.KIND, path, "is hidden", _REMOVE)
            if directory:
                yield from _walk(folder / entry.name, f"{path}/")
            else:
                yield path, status


def _plain_file(path: str, status: os.stat_result) -> ModelFile:
    mode = status.st_mode
    if stat.S_ISLNK(mode):
        remedy = "Copy the file itself there (cp -rL copies a folder with its links followed)."
        raise Refusal(Code.LINK, path, "is a symbolic link", remedy)
    if not stat.S_ISREG(mode):
        raise Refusal(Code.SPECIAL_FILE, path, "is not a plain file (a device, socket or pipe)", _REMOVE)
    return ModelFile(path, kind_of(path), status.st_size)


def _check_sizes(files: Sequence[ModelFile]) -> None:
    together: dict[Kind, int] = {}
    for file in files:
        limit = MAX_BYTES.get(file.kind, file.size_bytes)
        if file.size_bytes > limit:
            what = f"has {file.size_bytes:,} bytes, and a file of its kind may have {limit:,}"
            raise Refusal(Code.TOO_LARGE, file.path, what, "Take the file that was published with the model.")
        total = together[file.kind] = together.get(file.kind, 0) + file.size_bytes
        if total > MAX_BYTES_TOGETHER.get(file.kind, total):
            what = f"brings the files of its kind to {total:,} bytes, more than any model has"
            raise Refusal(Code.TOO_LARGE, file.path, what, "Give the model's own files only.")


def read_head(path: Path) -> bytes:
    with open_plain(path) as descriptor:
        return os.pread(descriptor.number, HEAD_BYTES, 0)


class open_plain:  # noqa: N801 - reads as the function that it is
    """A descriptor of a plain file, for reading. Raises OSError for a link that has been put there since."""

    def __init__(self, path: Path) -> None:
        self.number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)

    def __enter__(self) -> "open_plain":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.number)


def read_whole(folder: Path, file: ModelFile) -> bytes:
    """All bytes of a file whose size was found to be fine; never more than it had then."""
    with open(folder / file.path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW)) as stream:
        return stream.read(file.size_bytes)
