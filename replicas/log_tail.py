"""What this process and its children have written to their log since a moment."""

import os
import stat
from pathlib import Path

_MOST_BYTES = 256 * 1024


class LogTail:
    """Remembers where the standard output and error of this process stood when it was made.

    An engine's root cause is printed by a child process, which shares our standard streams; under Ray these are
    files. Where they are not (a terminal, a pipe), there is nothing to read and `lines` is empty.
    """

    def __init__(self) -> None:
        self._starts: dict[Path, int] = {}
        for descriptor in (1, 2):
            try:
                status = os.fstat(descriptor)
                path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
            except OSError:
                continue
            if stat.S_ISREG(status.st_mode):
                self._starts.setdefault(path, status.st_size)

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
