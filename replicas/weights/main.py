"""A host's process: `python -m replicas.weights.main`, configured by `ROUNDHOUSE_WEIGHTS_*` variables.

Keeps the weights of one host, serves them to the other hosts, and tells the cluster what this host has.
"""

import asyncio
import logging
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import uvicorn
from msgspec import Struct

from replicas import store
from replicas.devices import gpus
from replicas.ending import end
from replicas.host_types import Gpu, HostRecord
from replicas.weights.app import HostApp
from replicas.weights.cache import Cache, disk_of
from replicas.weights.contents import Contents
from replicas.weights.fetches import Fetches
from replicas.weights.settings import WeightsSettings

_log = logging.getLogger("roundhouse.weights")
_BEAT_S = 1.0
_LOOK_AT_GPUS_S = 10.0
_TOUCH_USED_S = 60.0
_BACKLOG = 256
_PUBLISHED = "Weights of this host are at %s:%s"
_STANDING_BY = "Another process answers for the weights at %s; this one waits until it leaves (port %s)"


class _OnDisk(Struct, frozen=True, kw_only=True):
    revisions: tuple[str, ...]
    used_bytes: int
    limit_bytes: int | None
    free_bytes: int


class HostProcess:
    """The parts of one host's process, in one event loop."""

    def __init__(self, settings: WeightsSettings) -> None:
        self._settings = settings
        self._store = store.open_store(settings.store_url)
        self._known_hosts: list[HostRecord] = []
        limit_bytes = None if settings.cache_bytes is None else int(settings.cache_bytes)
        self._cache = None if settings.is_library else Cache(settings.folder, limit_bytes)
        self._contents = Contents(settings.folder) if self._cache is None else self._cache.contents
        self._fetches: Fetches | None = None
        if self._cache is not None:
            self._fetches = Fetches(self._cache, self._other_hosts, patience_s=settings.patience_s)
        self._app = HostApp(self._contents, self._fetches, self._used)
        self._token = secrets.token_urlsafe(32)
        self._started_at = time.time()
        self._gpus: tuple[Gpu, ...] = ()
        self._port = 0
        self._is_published: bool | None = None

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT."""
        with socket.create_server((self._settings.address, 0), backlog=_BACKLOG) as listener:
            self._port = listener.getsockname()[1]
            server = _QuietServer(
                uvicorn.Config(
                    self._app.behind(self._token),
                    log_config=None,
                    access_log=False,
                    server_header=False,
                    lifespan="off",
                    ws="none",
                    # Whoever is cut goes on at another host, or here after the start.
                    timeout_graceful_shutdown=1,
                )
            )
            for number in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(number, server.handle_exit, number, None)
            await _first_of(
                server.serve([listener]),
                _every(_BEAT_S, self._publish),
                _every(_LOOK_AT_GPUS_S, self._look_at_gpus),
                _every(_TOUCH_USED_S, self._touch_used),
            )
        if self._is_published:
            with suppress(*store.STORE_ERRORS):
                await store.withdraw_host(self._store, self._settings.address)

    async def _publish(self) -> None:
        try:
            published = await store.publish_host(self._store, self._record(await asyncio.to_thread(self._look_at_disk)))
            if published != self._is_published:
                _log.info(_PUBLISHED if published else _STANDING_BY, self._settings.address, self._port)
            self._is_published = published
        except store.STORE_ERRORS as error:
            _log.warning("The store did not take a heartbeat (%s); trying again.", error)

    def _look_at_disk(self) -> _OnDisk:
        cache = self._cache
        return _OnDisk(
            revisions=tuple(sorted(self._contents.names())),
            used_bytes=cache.used_bytes() if cache else 0,
            limit_bytes=cache.capacity_bytes() if cache else None,
            free_bytes=disk_of(self._settings.folder).free_bytes,
        )

    def _record(self, disk: _OnDisk) -> HostRecord:
        settings, fetches = self._settings, self._fetches
        return HostRecord(
            address=settings.address,
            port=self._port,
            token=self._token,
            hostname=socket.gethostname(),
            folder=str(settings.folder),
            is_library=settings.is_library,
            revisions=disk.revisions,
            fetches=tuple(fetch.progress() for fetch in fetches.running.values()) if fetches else (),
            refusals=fetches.refusals if fetches else (),
            used_bytes=disk.used_bytes,
            limit_bytes=disk.limit_bytes,
            disk_free_bytes=disk.free_bytes,
            sent_bytes=self._app.sent_bytes,
            received_bytes=fetches.received_bytes if fetches else 0,
            gpus=self._gpus,
            started_at=self._started_at,
        )

    async def _other_hosts(self) -> Iterable[HostRecord]:
        """While the store is away, as it knew them last."""
        with suppress(*store.STORE_ERRORS):
            self._known_hosts = await store.fetch_hosts(self._store)
        return [host for host in self._known_hosts if host.address != self._settings.address]

    async def _look_at_gpus(self) -> None:
        self._gpus = tuple(await asyncio.to_thread(gpus))

    async def _touch_used(self) -> None:
        if self._cache is not None:
            await asyncio.to_thread(self._cache.touch_used)

    def _used(self, revision: str) -> None:
        if self._cache is not None:
            self._cache.touch(revision)


class _QuietServer(uvicorn.Server):
    """Leaves signals to us: raised again at its end, they would end the process before the record is withdrawn."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _every(period_s: float, act: Callable[[], Awaitable[None]]) -> None:
    while True:
        await act()
        await asyncio.sleep(period_s)


async def _first_of(*parts: Coroutine[Any, Any, None]) -> None:
    """Until one of them ends; raises what it raised."""
    tasks = [asyncio.create_task(part) for part in parts]
    ended, going_on = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    await end(*going_on)
    for task in ended:
        task.result()


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    # Every value comes from the environment.
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    asyncio.run(HostProcess(WeightsSettings()).run())  # type: ignore[call-arg]
    # A transfer in a thread cannot be called off, and need not be: the next process goes on from what it has written.
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
