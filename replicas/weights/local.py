"""Where a replica finds its weights on its own host."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from replicas.doing import Doing
from replicas.host_types import Fetched, FetchProgress, FetchRefused, HostRecord
from replicas.weights.client import follow_fetch
from replicas.weights.errors import HostAwayError, refusal
from replicas.weights.holding import Hold, hold
from replicas.weights.manifest import DIGEST_PREFIX

GIB = 2**30
_PATIENCE_S = 60.0
"""With a host whose process does not answer: `up` and `join` start a fallen one again within seconds."""
_PAUSE_S = 0.5

FindHost = Callable[[], Awaitable[HostRecord | None]]
"""Looks up this host's own record; None while its process is not there."""


class LocalWeights:
    """The weights that one replica uses, each revision held from before its engine reads it until it is released.

    Methods belong to one event loop.
    """

    def __init__(self, find_host: FindHost, patience_s: float = _PATIENCE_S) -> None:
        self._find_host = find_host
        self._patience_s = patience_s
        self._holds: dict[str, Hold] = {}
        """By revision; those of folders that nobody would remove are not in it."""

    async def bring(self, weights_path: str, revision: str, tell: Callable[[str], None]) -> Path:
        """The folder of `revision` on this host. Raises WeightsError.

        `weights_path` is where it is on the orchestrator's host. If that folder is here too (the same host, or a shared
        file system) it is used as it is. Otherwise the host's process fetches what the host lacks.
        """
        folder = Path(weights_path)
        if await asyncio.to_thread(folder.is_dir) or not revision.startswith(DIGEST_PREFIX):
            await self._hold(folder, revision)
            return folder
        while True:
            folder = await self._fetched(revision, tell)
            if await self._hold(folder, revision):
                return folder
            # It left the cache between the answer and the hold. Asked for again, it is what was used last.

    def release(self, *, but: str = "") -> None:
        """Give back every revision, except `but`."""
        for revision in [each for each in self._holds if each != but]:
            self._holds.pop(revision).release()

    async def _hold(self, folder: Path, revision: str) -> bool:
        held = await asyncio.to_thread(hold, folder)
        if held is None:
            return False
        if revision in self._holds:
            self._holds[revision].release()
        self._holds[revision] = held
        return True

    async def _fetched(self, revision: str, tell: Callable[[str], None]) -> Path:
        give_up_at = time.monotonic() + self._patience_s
        while True:
            try:
                return await _fetch(await self._find_host(), revision, tell)
            except HostAwayError:
                if time.monotonic() > give_up_at:
                    raise
            await asyncio.sleep(_PAUSE_S)


async def _fetch(host: HostRecord | None, revision: str, tell: Callable[[str], None]) -> Path:
    if host is None:
        raise HostAwayError(
            "This host lacks the weights, and its process that would fetch them is not there. Start the host with "
            "`roundhouse up` or `roundhouse join`; the log of that process is weights.log."
        )
    async for line in follow_fetch(host, revision):
        match line:
            case FetchProgress():
                tell(_in_words(line))
            case Fetched(path=path):
                return Path(path)
            case FetchRefused(code=code, message=message):
                raise refusal(code, message)
    raise HostAwayError(f"The process of the host {host.address} ended in the middle of a fetch.")


def _in_words(progress: FetchProgress) -> str:
    if not progress.total_bytes:
        return Doing.FETCHING_WEIGHTS
    # An amount has no words, so that it reads alike in every language.
    text = f"{Doing.FETCHING_WEIGHTS}: {progress.done_bytes / GIB:.1f} / {progress.total_bytes / GIB:.1f} GiB"
    return f"{text} ({', '.join(progress.sources)})" if progress.sources else text
