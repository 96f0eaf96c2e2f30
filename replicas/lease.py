"""What a replica tells the store: its endpoint under a lease, and why it failed.

Lease: the record lives `LEASE_S` seconds and is renewed each `HEARTBEAT_S`. A replica that dies without a word is
gone from the store after at most `LEASE_S`.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from msgspec.structs import replace

from replicas.errors import StoreUnavailableError
from replicas.host_types import HostRecord
from replicas.store import (
    STORE_ERRORS,
    Store,
    fetch_host,
    fetch_spec,
    open_store,
    publish_endpoint,
    record_failure,
    withdraw_endpoint,
)
from replicas.types import Endpoint, EngineLoad, LogPart, ReplicaFailure, ReplicaSpec

HEARTBEAT_S = 1.0
_RETRY_S = 0.5
_log = logging.getLogger(__name__)
T = TypeVar("T")

Vitals = Callable[[], tuple[dict[str, int], EngineLoad]]
"""Requests in flight by the id of their router and the engine's load, now. Called from the lease's thread."""


class Lease:
    """Keeps one endpoint published until it is withdrawn, whatever the store does meanwhile.

    All methods belong to one event loop. While the store is away the replica goes on serving; routers live from
    their last snapshot, and the first heartbeat that gets through announces the endpoint again.
    """

    def __init__(self, store: Store, endpoint: Endpoint, vitals: Vitals) -> None:
        self._store = store
        self._endpoint = endpoint
        self._vitals = vitals
        self._changed = asyncio.Event()
        self._beating = asyncio.Lock()
        """Held while a record is written: an older one must not come after a newer one."""
        self._announced: Endpoint | None = None
        self._ended = False

    @property
    def endpoint(self) -> Endpoint:
        return self._endpoint

    def update(self, **fields: Any) -> None:
        """Change fields of the endpoint. The store hears of it at once, not at the next heartbeat."""
        self._endpoint = replace(self._endpoint, **fields)
        self._changed.set()

    async def run(self) -> None:
        """Heartbeat until `end`."""
        while not self._ended:
            self._changed.clear()
            try:
                await self.beat()
            except Exception:  # noqa: BLE001  # the top of the loop: a replica without heartbeat is lost
                _log.exception("A heartbeat failed; trying again.")
            try:
                async with asyncio.timeout(HEARTBEAT_S):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def beat(self) -> bool:
        """Publish once, with the vitals of now. False if the store did not take it."""
        async with self._beating:
            return await self._publish()

    async def _publish(self) -> bool:
        by_router, load = self._vitals()
        in_flight = sum(by_router.values())
        state = self._endpoint
        try:
            await publish_endpoint(
                self._store,
                replace(state, in_flight=in_flight, in_flight_by_router=by_router, load=load),
                announce=state is not self._announced,
            )
        except STORE_ERRORS as error:
            if self._announced is not None:
                _log.warning("The store did not take a heartbeat (%s); trying again each second.", error)
            self._announced = None
            return False
        self._announced = state
        return True

    def end(self) -> None:
        """Have `run` return after the heartbeat that is on its way. The endpoint is still in the store then."""
        self._ended = True
        self._changed.set()


class LeaseKeeper:
    """The lease of one replica in a thread with its own event loop.

    A thread, because an engine's start holds the replica's event loop for half a minute (vLLM's constructor is
    synchronous), three times the length of the lease. All methods may be called from any thread.
    """

    def __init__(self, store_url: str) -> None:
        self._store_url = store_url
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="lease", daemon=True)
        self._thread.start()
        self._store: Store | None = None
        self._lease: Lease | None = None
        self._heartbeat: asyncio.Task[None] | None = None

    async def _on_thread(self, work: Coroutine[Any, Any, T]) -> T:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    def _open(self) -> Store:
        if self._store is None:
            self._store = open_store(self._store_url)
        return self._store

    async def fetch_spec(self, deployment: str, patience_s: float) -> ReplicaSpec:
        """As `fetch_spec`, waiting for the store. Raises `StoreUnavailableError` after `patience_s` seconds."""
        return await self._on_thread(self._fetch_spec(deployment, patience_s))

    async def _fetch_spec(self, deployment: str, patience_s: float) -> ReplicaSpec:
        give_up_at = time.monotonic() + patience_s
        while True:
            try:
                return await fetch_spec(self._open(), deployment)
            except STORE_ERRORS as error:
                if time.monotonic() >= give_up_at:
                    raise StoreUnavailableError(
                        f"The store has not answered for {patience_s:.0f} s ({error}). Check that it runs and that "
                        "this node reaches it."
                    ) from error
            await asyncio.sleep(_RETRY_S)

    async def fetch_host(self, address: str) -> HostRecord | None:
        """The host at `address`; None if it is not known, or the store is away."""
        return await self._on_thread(self._fetch_host(address))

    async def _fetch_host(self, address: str) -> HostRecord | None:
        try:
            return await fetch_host(self._open(), address)
        except STORE_ERRORS as error:
            _log.warning("The store cannot be asked for the host %s: %s", address, error)
            return None

    async def hold(self, endpoint: Endpoint, vitals: Vitals) -> None:
        """Publish `endpoint` and keep it published."""
        await self._on_thread(self._hold(endpoint, vitals))

    async def _hold(self, endpoint: Endpoint, vitals: Vitals) -> None:
        self._lease = Lease(self._open(), endpoint, vitals)
        self._heartbeat = asyncio.create_task(self._lease.run())

    def update(self, **fields: Any) -> None:
        """Change fields of the endpoint; nothing before `hold` or after `release`. Does not wait."""
        lease = self._lease
        if lease is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(lambda: lease.update(**fields))

    async def flush(self) -> bool:
        """Have the store know what was told by `update` so far. False if it does not take it."""
        lease = self._lease
        return lease is not None and await self._on_thread(lease.beat())

    async def record_failure(self, failure: ReplicaFailure, log: LogPart) -> None:
        """Record `failure`; if the store is away it is only logged."""
        await self._on_thread(self._quietly(record_failure(self._open(), failure, log), "record a failure"))

    async def release(self) -> None:
        """Withdraw the endpoint. If the store is away, the lease ends by itself."""
        lease, self._lease = self._lease, None
        if lease is not None:
            await self._on_thread(self._release(lease))

    async def _release(self, lease: Lease) -> None:
        lease.end()
        if self._heartbeat is not None:
            await self._heartbeat  # or its last write would bring the endpoint back
        withdrawal = withdraw_endpoint(self._open(), lease.endpoint.replica_id)
        await self._quietly(withdrawal, "withdraw the endpoint")

    async def _quietly(self, work: Coroutine[Any, Any, None], purpose: str) -> None:
        try:
            await work
        except STORE_ERRORS as error:
            _log.warning("Could not %s in the store: %s", purpose, error)

    async def close(self) -> None:
        """Release the lease, then end the thread."""
        await self.release()
        if self._store is not None:
            await self._on_thread(self._store.aclose())
            self._store = None
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)
