"""One revision on its way to this host, shared by everyone who wants it."""

import asyncio
import time
from collections import Counter
from pathlib import Path
from threading import Lock

from replicas.host_types import FetchProgress
from replicas.weights.errors import FetchError
from replicas.weights.manifest import Manifest, ManifestFile

_PAUSE_S = 0.5


class AbandonedError(FetchError):
    """A file need not come any more, because another one of its revision cannot be had."""


class Fetch:
    """What is known of a fetch. Its threads count bytes here, the event loop reads."""

    def __init__(self, revision: str) -> None:
        self.revision = revision
        self.manifest: Manifest | None = None
        """Once there is room for it."""
        self.task: asyncio.Task[Path]
        """Ends with the revision's folder. Raises WeightsError."""
        self.sources: Counter[str] = Counter()
        """Files that come from each address now."""
        self.abandoned = False
        """One file could not be had: the others need not come."""
        self.received_bytes = 0
        self._offsets: dict[str, int] = {}
        self._total_bytes = 0
        self._began = time.monotonic()
        self._counting = Lock()

    def expect(self, files: list[ManifestFile]) -> None:
        """The files that the host lacks."""
        self._offsets = {file.sha256: 0 for file in files}
        self._total_bytes = sum(file.size_bytes for file in files)
        self._began = time.monotonic()

    def stands_at(self, sha256: str, offset: int, received_bytes: int = 0) -> None:
        """So much of a file is here, and so much of it came just now. Raises AbandonedError."""
        with self._counting:
            self._offsets[sha256] = offset
            self.received_bytes += received_bytes
        if self.abandoned:
            raise AbandonedError("Another file of the revision could not be fetched.")

    def progress(self) -> FetchProgress:
        return FetchProgress(
            revision=self.revision,
            done_bytes=sum(self._offsets.values()),
            total_bytes=self._total_bytes,
            bytes_per_s=self.received_bytes / max(0.001, time.monotonic() - self._began),
            sources=tuple(sorted(+self.sources)),
        )


class Patience:
    """Ends with what went wrong last, once nothing has come for `seconds`."""

    def __init__(self, seconds: float, nobody: str) -> None:
        self.why = nobody
        """A sentence; `nobody` until somebody was asked."""
        self._seconds = seconds
        self._until = time.monotonic() + seconds

    def renew(self) -> None:
        self._until = time.monotonic() + self._seconds

    async def pause(self) -> None:
        """Wait a moment before the next round. Raises FetchError."""
        if time.monotonic() >= self._until:
            raise FetchError(f"{self.why} Nothing came for {self._seconds:.0f} s.")
        await asyncio.sleep(_PAUSE_S)
