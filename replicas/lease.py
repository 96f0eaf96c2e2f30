"""What a replica tells the store: its endpoint under a lease, and why it failed. The only file that imports redis.

Lease: the record lives `LEASE_S` seconds and is renewed each `HEARTBEAT_S`. A replica that dies without a word is
gone from the store after at most `LEASE_S`.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace
from redis.asyncio import Redis
from redis.exceptions import RedisError

from replicas.errors import SpecMissingError, StoreUnavailableError
from replicas.types import (
    CHANGES_CHANNEL,
    ENDPOINT_IDS_KEY,
    Endpoint,
    EngineLoad,
    ReplicaFailure,
    ReplicaSpec,
    endpoint_key,
    failure_key,
    spec_key,
)

LEASE_S = 10.0
HEARTBEAT_S = 1.0
FAILURE_KEPT_S = 3600
_STORE_TIMEOUT_S = 3.0
_RETRY_S = 0.5
_log = logging.getLogger(__name__)
_STORE_ERRORS = (RedisError, OSError, TimeoutError)
T = TypeVar("T")

Vitals = Callable[[], tuple[dict[str, int], EngineLoad]]
"""Requests in flight by the id of their router and the engine's load, now. Called from the lease's thread."""


def open_store(url: str) -> "Redis":
    """A client of the store; connects at its first command. `url`: redis://, rediss:// or unix://."""
    return Redis.from_url(url, socket_timeout=_STORE_TIMEOUT_S, socket_connect_timeout=_STORE_TIMEOUT_S)


async def fetch_spec(store: "Redis", deployment: str) -> ReplicaSpec:
    """What `deployment` must serve now. Raises `SpecMissingError`; store errors come as redis raises them."""
    record = await store.get(spec_key(deployment))
    if record is None:
        raise SpecMissingError(deployment)
    return msgspec.json.decode(record, type=ReplicaSpec)


async def publish_endpoint(store: "Redis", endpoint: Endpoint, *, announce: bool) -> None:
    """Write `endpoint` and renew its lease. Routers are told if `announce`, or if the store had forgotten it."""
    async with store.pipeline(transaction=True) as pipe:
        pipe.set(endpoint_key(endpoint.replica_id), msgspec.json.encode(endpoint), px=int(LEASE_S * 1000), get=True)
        pipe.sadd(ENDPOINT_IDS_KEY, endpoint.replica_id)
        before, newly_listed = await pipe.execute()
    if announce or before is None or newly_listed:
        await store.publish(CHANGES_CHANNEL, "endpoints")


async def withdraw_endpoint(store: "Redis", replica_id: str) -> None:
    """Take the endpoint out of the store and tell the routers. Withdrawing twice is no error."""
    async with store.pipeline(transaction=True) as pipe:
        pipe.delete(endpoint_key(replica_id))
        pipe.srem(ENDPOINT_IDS_KEY, replica_id)
        pipe.publish(CHANGES_CHANNEL, "endpoints")
        await pipe.execute()


async def record_failure(store: "Redis", failure: ReplicaFailure) -> None:
    """Keep `failure` as the deployment's newest, for an hour, and tell the readers."""
    async with store.pipeline(transaction=True) as pipe:
        pipe.set(failure_key(failure.deployment), msgspec.json.encode(failure), ex=FAILURE_KEPT_S)
        pipe.publish(CHANGES_CHANNEL, "endpoints")
        await pipe.execute()


class Lease:
    """Keeps one endpoint published until it is withdrawn, whatever the store does meanwhile.

    All methods belong to one event loop. While the store is away the replica goes on serving; routers live from
    their last snapshot, and the first heartbeat that gets through announces the endpoint again.
    """

    def __init__(self, store: "Redis", endpoint: Endpoint, vitals: Vitals) -> None:
        self._store = store
        self._endpoint = endpoint
        self._vitals = vitals
        self._changed = asyncio.Event()
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
        by_router, load = self._vitals()
        in_flight = sum(by_router.values())
        state = self._endpoint
        try:
            await publish_endpoint(
                self._store,
                replace(state, in_flight=in_flight, in_flight_by_router=by_router, load=load),
                announce=state is not self._announced,
            )
        except _STORE_ERRORS as error:
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
        self._store: Redis | None = None
        self._lease: Lease | None = None
        self._heartbeat: asyncio.Task[None] | None = None

    async def _on_thread(self, work: Coroutine[Any, Any, T]) -> T:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    def _open(self) -> "Redis":
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
            except _STORE_ERRORS as error:
                if time.monotonic() >= give_up_at:
                    raise StoreUnavailableError(
                        f"The store has not answered for {patience_s:.0f} s ({error}). Check that it runs and that "
                        "this node reaches it."
                    ) from error
            await asyncio.sleep(_RETRY_S)

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

    async def record_failure(self, failure: ReplicaFailure) -> None:
        """Record `failure`; if the store is away it is only logged."""
        await self._on_thread(self._quietly(record_failure(self._open(), failure), "record a failure"))

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
        except _STORE_ERRORS as error:
            _log.warning("Could not %s in the store: %s", purpose, error)

    async def close(self) -> None:
        """Release the lease, then end the thread."""
        await self.release()
        if self._store is not None:
            await self._on_thread(self._store.aclose())
            self._store = None
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)
