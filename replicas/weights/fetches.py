"""Brings revisions to this host: each once however many want it, only the files it lacks, from whoever has them."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from random import Random
from weakref import WeakValueDictionary

from replicas.host_types import FetchRefused, HostRecord
from replicas.weights import durable
from replicas.weights.cache import Cache
from replicas.weights.errors import FetchError, NoRoomError, WeightsError
from replicas.weights.fetch import AbandonedError, Fetch, Patience
from replicas.weights.intake import Intake
from replicas.weights.manifest import Manifest, ManifestFile, decode, digest
from replicas.weights.transfer import read_manifest, receive
from replicas.weights.trust import Trust

_log = logging.getLogger("roundhouse.weights")
_REFUSALS_KEPT = 8
_REFUSAL_KEPT_S = 3600.0

Hosts = Callable[[], Awaitable[Iterable[HostRecord]]]
"""Every other host, as the store knows them now."""


class Fetches:
    """Owns the fetches of this host. Methods belong to one event loop."""

    def __init__(
        self, cache: Cache, hosts: Hosts, *, rng: Random | None = None, files_at_once: int = 4, patience_s: float = 30.0
    ) -> None:
        self._cache = cache
        self._hosts = hosts
        self._rng = rng or Random()  # noqa: S311 - spreads load, keeps no secret
        self._patience_s = patience_s
        self._slots = asyncio.Semaphore(files_at_once)
        self._admission = asyncio.Lock()
        self._content_locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._refusals: deque[FetchRefused] = deque(maxlen=_REFUSALS_KEPT)
        self.running: dict[str, Fetch] = {}
        """By revision."""
        self._received_bytes = 0

    @property
    def received_bytes(self) -> int:
        """Of contents, since the start."""
        return self._received_bytes + sum(fetch.received_bytes for fetch in self.running.values())

    @property
    def refusals(self) -> tuple[FetchRefused, ...]:
        """Of the last hour."""
        return tuple(each for each in self._refusals if time.time() - each.at < _REFUSAL_KEPT_S)

    def start(self, revision: str) -> Fetch:
        """The fetch of a revision: the running one, or a new one."""
        fetch = self.running.get(revision)
        if fetch is None:
            fetch = self.running[revision] = Fetch(revision)
            fetch.task = asyncio.create_task(self._run(fetch))
            # Whoever asked may be gone when it fails; the refusals say it then.
            fetch.task.add_done_callback(lambda task: task.cancelled() or task.exception())
        return fetch

    async def _run(self, fetch: Fetch) -> Path:
        try:
            return await self._bring(fetch)
        except OSError as error:
            full = error.errno in durable.FULL_ERRNOS
            raise self._refused(fetch, (NoRoomError if full else FetchError)(_disk_trouble(error))) from error
        except WeightsError as error:
            raise self._refused(fetch, error) from error.__cause__
        finally:
            del self.running[fetch.revision]
            self._received_bytes += fetch.received_bytes

    def _refused(self, fetch: Fetch, error: WeightsError) -> WeightsError:
        _log.warning("%s could not be fetched: %s", fetch.revision, error.message)
        self._refusals.append(
            FetchRefused(revision=fetch.revision, code=error.code, message=error.message, at=time.time())
        )
        return error

    async def _bring(self, fetch: Fetch) -> Path:
        contents = self._cache.contents
        manifest = await self._fetch_manifest(fetch)
        async with self._admission:
            others = [each.manifest for each in self.running.values() if each.manifest is not None]
            await asyncio.to_thread(self._cache.make_room, manifest, others)
            fetch.manifest = manifest
        files = {file.sha256: file for file in manifest.files if contents.blob(file.sha256, file.size_bytes) is None}
        fetch.expect(list(files.values()))
        largest_first = sorted(files.values(), key=lambda file: -file.size_bytes)
        ended = await asyncio.gather(*(self._fetch(fetch, file) for file in largest_first), return_exceptions=True)
        causes = [each for each in ended if isinstance(each, BaseException)]
        if causes:
            raise next(each for each in causes if not isinstance(each, AbandonedError))
        folder = await asyncio.to_thread(contents.assemble, manifest)
        self._cache.touch(fetch.revision)
        return folder

    async def _peers(self, fetch: Fetch) -> list[HostRecord]:
        """Who has the revision, or is fetching it and may have some of it, in random order."""
        has = [each for each in await self._hosts() if fetch.revision in each.revisions or _is_fetching(each, fetch)]
        self._rng.shuffle(has)
        return has

    async def _fetch_manifest(self, fetch: Fetch) -> Manifest:
        patience = Patience(self._patience_s, f"No host has {fetch.revision}. Push or import the model again.")
        while True:
            for peer in await self._peers(fetch):
                try:
                    manifest = decode(await asyncio.to_thread(read_manifest, peer, fetch.revision))
                except WeightsError as error:
                    patience.why = error.message
                    continue
                if digest(manifest) == fetch.revision:
                    return manifest
                patience.why = f"{peer.address} has a wrong manifest of {fetch.revision}."
            await patience.pause()

    async def _fetch(self, fetch: Fetch, file: ManifestFile) -> None:
        """Make the file's content one of this host's."""
        contents, sha256 = self._cache.contents, file.sha256
        lock = self._content_locks.setdefault(sha256, asyncio.Lock())
        try:
            async with self._slots, lock:
                if contents.blob(sha256, file.size_bytes) is None:  # another revision's fetch may have brought it
                    partial = self._cache.partial(sha256)
                    intake = await asyncio.to_thread(Intake, partial, file.size_bytes)
                    try:
                        await self._receive(fetch, file, intake)
                    finally:
                        intake.close()
                    await asyncio.to_thread(contents.keep, partial, file)
                    partial.unlink()
                fetch.stands_at(sha256, file.size_bytes)
        except BaseException:
            fetch.abandoned = True
            raise

    async def _receive(self, fetch: Fetch, file: ManifestFile, intake: Intake) -> None:
        """Until `intake` has the file whole and right: a host that fails is followed by the next one."""
        trust = Trust(begun_before=intake.offset > 0)
        patience = Patience(self._patience_s, f"No host has {file.path}.")
        if await self._is_right(file, intake, trust, patience):
            return
        while True:
            for peer in [each for each in await self._peers(fetch) if trust.allows(each.address)]:
                if trust.alone and intake.offset:
                    intake.cut(0)
                    trust.began_again()
                before = intake.offset
                await self._receive_from(peer, fetch, file, intake, patience)
                if intake.offset > before:
                    trust.gave(peer.address)
                    patience.renew()
                if await self._is_right(file, intake, trust, patience):
                    return
            await patience.pause()

    async def _is_right(self, file: ManifestFile, intake: Intake, trust: Trust, patience: Patience) -> bool:
        """Whether the file is whole and what it should be. One that is whole and wrong is begun again."""
        if intake.offset < file.size_bytes:
            return False
        if await asyncio.to_thread(intake.finish) == file.sha256:
            return True
        patience.why = f"{file.path} came with another content than it should have{trust.was_wrong()}."
        _log.warning("%s", patience.why)
        intake.cut(0)
        return False

    async def _receive_from(
        self, peer: HostRecord, fetch: Fetch, file: ManifestFile, intake: Intake, patience: Patience
    ) -> None:
        def came(count: int) -> None:
            fetch.stands_at(file.sha256, intake.offset, count)

        fetch.stands_at(file.sha256, intake.offset)
        fetch.sources[peer.address] += 1
        try:
            await asyncio.to_thread(receive, peer, file.sha256, intake, came)
        except FetchError as error:
            if fetch.abandoned:
                raise
            patience.why = error.message
        finally:
            fetch.sources[peer.address] -= 1


def _is_fetching(host: HostRecord, fetch: Fetch) -> bool:
    return any(each.revision == fetch.revision for each in host.fetches)


def _disk_trouble(error: OSError) -> str:
    return f"The disk of this host does not take the weights: {error}. Free it, or check its permissions."
