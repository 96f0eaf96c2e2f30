"""The access log: one JSON line for each request that has ended. No prompts, no answers, no keys (only their ids).

The event loop only puts the record on a list; encoding and writing happen in a thread, so that no disk, however slow
or full, is ever waited for. What the thread cannot keep up with is counted and dropped.
"""

import logging
import os
import select
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from logging.handlers import RotatingFileHandler
from pathlib import Path
from queue import SimpleQueue
from random import Random
from typing import Protocol

import msgspec

from router.finished import Finished

log = logging.getLogger(__name__)

STDOUT = "-"
FILE_BYTES = 50 * 1024 * 1024
OLD_FILES = 3
_MOST_WAITING = 20_000
"""Records that may wait for the thread, some 10 MB."""
_CLOSES_WITHIN_S = 2.0
_TOO_MANY_REQUESTS = 429
_STDOUT_FILE_NUMBER = 1


class Sink(Protocol):
    """Where lines go."""

    def write(self, lines: bytes) -> None:
        """Writes whole lines. Raises OSError; nobody knows then how much of them was written."""

    def close(self) -> None:
        """Lets go of the file."""


class RotatingFile(RotatingFileHandler):
    """A file that is renamed to `NAME.1` once it is full, and `.1` to `.2`, up to `OLD_FILES`."""

    def __init__(self, path: Path, *, max_bytes: int = FILE_BYTES, old_files: int = OLD_FILES) -> None:
        super().__init__(path, maxBytes=max_bytes, backupCount=old_files, encoding="utf-8", delay=True)
        self.terminator = ""
        self._error: BaseException | None = None
        self._torn = False

    def write(self, lines: bytes) -> None:
        text = lines.decode()
        # After a failure half a line may stand at the end of the file.
        self.handle(logging.makeLogRecord({"msg": f"\n{text}" if self._torn else text}))
        error, self._error = self._error, None
        self._torn = error is not None
        if error is not None:
            # Opened again by the next lines: the folder may have been away, or the disk full.
            with suppress(OSError, ValueError):
                self.close()
            raise error

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's name
        """Called by `emit` in the place of raising."""
        self._error = sys.exception()


class StandardOutput:
    """Standard output, which other processes may write to as well."""

    def __init__(self, file_number: int = _STDOUT_FILE_NUMBER) -> None:
        self._file_number = file_number

    def write(self, lines: bytes) -> None:
        for piece in _atomic_pieces(lines):
            rest = memoryview(piece)
            while rest:
                rest = rest[self._write_some(rest) :]

    def _write_some(self, data: memoryview) -> int:
        try:
            return os.write(self._file_number, data)
        except BlockingIOError:
            select.select([], [self._file_number], [])
            return 0

    def close(self) -> None:
        """It is not ours to close."""


def _atomic_pieces(lines: bytes) -> Iterator[bytes]:
    """Whole lines, as many at once as a pipe takes in one piece. A longer line is a piece by itself."""
    start = 0
    while start < len(lines):
        end = lines.rfind(b"\n", start, start + select.PIPE_BUF) + 1 or lines.index(b"\n", start) + 1
        yield lines[start:end]
        start = end


class AccessLog:
    """An observer of finished requests (`Core.observers`)."""

    def __init__(self, sink: Sink, *, sample: float = 1.0, rng: Random | None = None) -> None:
        """`sample`: share of the requests that is written; refusals for overload (429) and failures always are."""
        self._sink = sink
        self._sample = sample
        self._rng = rng or Random()  # noqa: S311  # it thins out a log
        self._records: list[Finished] = []
        self._batches: SimpleQueue[list[Finished] | None] = SimpleQueue()
        self._taken = 0
        self._done = 0
        """Each of the two counts has one writer: this one the thread."""
        self._refused = 0
        self._failed = 0
        self._thread = threading.Thread(target=self._write_for_ever, name="router-access-log", daemon=True)
        self._thread.start()

    @property
    def lost(self) -> int:
        """Records that should have been written and were not."""
        return self._refused + self._failed

    def __call__(self, finished: Finished) -> None:
        code = finished.code
        if self._sample < 1 and code < 500 and code != _TOO_MANY_REQUESTS and self._rng.random() >= self._sample:
            return
        if self._taken - self._done >= _MOST_WAITING:
            self._refused += 1
            return
        self._taken += 1
        self._records.append(finished)

    def flush(self) -> None:
        """Hands what has come to the thread. Does not wait."""
        if self._records:
            self._batches.put(self._records)
            self._records = []

    def close(self) -> None:
        """Writes the rest; waits two seconds at most."""
        self.flush()
        self._batches.put(None)
        self._thread.join(_CLOSES_WITHIN_S)

    def _write_for_ever(self) -> None:
        encoder = msgspec.json.Encoder()
        complained = False
        while (batch := self._batches.get()) is not None:
            try:
                self._sink.write(encoder.encode_lines(batch))
            except (OSError, ValueError) as exc:
                self._failed += len(batch)
                if not complained:
                    complained = True
                    log.warning("The access log cannot be written (%s). Requests are served without it.", exc)
            self._done += len(batch)
        self._sink.close()


def access_log_sink(target: str) -> Sink:
    """`-` for standard output, anything else is a path, whose folder is made. Raises nothing: writing tells."""
    if target == STDOUT:
        return StandardOutput()
    path = Path(target).expanduser()
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
    return RotatingFile(path)
