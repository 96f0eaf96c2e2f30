"""What this process and its children write to their log.

An engine's root cause is printed by a child process, which shares our standard streams; under Ray these are files.
Where they are not (a terminal, a pipe), there is nothing to read.
"""

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from replicas.types import LogLine, LogPart

_MOST_BYTES = 256 * 1024
_FIRST_BYTES = 64 * 1024
"""Of each stream, for those who begin to read."""
_LAST_BYTES = 16 * 1024
"""Of each stream, of a replica that has failed: the store keeps it for each that fails."""
_STREAMS = {1: "out", 2: "err"}
_POSITION = re.compile(r"out:(\d{1,15}) err:(\d{1,15})")
_RAYS_OWN = re.compile(r":(job_id|actor_name|task_name):")
"""By which Ray marks whose log it is; they are no lines of ours."""
_COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def _files() -> dict[str, Path]:
    """The files behind our standard streams; one that is both is `out`."""
    found: dict[str, Path] = {}
    for descriptor, stream in _STREAMS.items():
        try:
            status = os.fstat(descriptor)
            path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        except OSError:
            continue
        if stat.S_ISREG(status.st_mode) and path not in found.values():
            found[stream] = path
    return found


class LogTail:
    """Remembers where the log stood when it was made."""

    def __init__(self) -> None:
        self._starts = {path: _size(path) for path in _files().values()}

    def lines(self) -> list[str]:
        """The lines written since, oldest first within each stream; at most the last 256 KiB of each."""
        found: list[str] = []
        for path, start in self._starts.items():
            try:
                with path.open("rb") as log:
                    log.seek(max(start, path.stat().st_size - _MOST_BYTES))
                    found += log.read().decode("utf-8", "replace").splitlines()
            except OSError:
                continue
        return found


class ProcessLog:
    """The log from its beginning, part by part, for those who ask over and over. Keeps nothing of them."""

    def __init__(self, files: dict[str, Path] | None = None) -> None:
        self._files = _files() if files is None else files

    def last(self) -> LogPart:
        """The newest whole lines, at most 16 KiB of each stream."""
        return self._part({}, _LAST_BYTES)

    def part(self, after: str = "") -> LogPart:
        """Whole lines behind the position `after`, at most 256 KiB of each stream; without one, the newest."""
        known = _POSITION.fullmatch(after)
        starts = dict(zip(_STREAMS.values(), map(int, known.groups()), strict=True)) if known else {}
        return self._part(starts, _FIRST_BYTES)

    def _part(self, starts: Mapping[str, int], newest_bytes: int) -> LogPart:
        """Behind the places in `starts`; of a stream that is not in it, so many of the newest bytes."""
        lines: list[LogLine] = []
        ends = dict.fromkeys(_STREAMS.values(), 0)
        for stream, path in self._files.items():
            size = _size(path)
            start = starts.get(stream, max(0, size - newest_bytes))
            if start > size:
                start = 0  # it was emptied
            data = _read(path, start)
            whole = data[: data.rfind(b"\n") + 1] or (data if len(data) == _MOST_BYTES else b"")
            ends[stream] = start + len(whole)
            texts = whole.decode("utf-8", "replace").removesuffix("\n").split("\n") if whole else []
            cut = start > 0 and stream not in starts
            lines += [LogLine(stream, _plain(text)) for text in texts[cut:] if not _RAYS_OWN.match(text)]
        return LogPart(lines=tuple(lines), position=f"out:{ends['out']} err:{ends['err']}")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _read(path: Path, start: int) -> bytes:
    try:
        with path.open("rb") as log:
            log.seek(start)
            return log.read(_MOST_BYTES)
    except OSError:
        return b""


def _plain(line: str) -> str:
    """Without colours; of a line that was written over, as bars of progress are, what it said last."""
    return _COLOURS.sub("", line.rstrip("\r").rpartition("\r")[2])
