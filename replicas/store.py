"""What replicas and hosts read from the store and write to it. The only file of this package that imports redis.

Store errors come as redis raises them: `STORE_ERRORS`.
"""

from typing import cast

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from replicas.errors import SpecMissingError
from replicas.host_types import HOST_ADDRESSES_KEY, HostRecord, host_key
from replicas.types import (
    CHANGES_CHANNEL,
    ENDPOINT_IDS_KEY,
    Endpoint,
    LogPart,
    ReplicaFailure,
    ReplicaSpec,
    endpoint_key,
    failure_key,
    last_log_key,
    spec_key,
)

LEASE_S = 10.0
FAILURE_KEPT_S = 3600
STORE_ERRORS = (RedisError, OSError, TimeoutError)
_TIMEOUT_S = 3.0
Store = Redis
"""A client of the store. Others name it so, and need not know redis."""


def open_store(url: str) -> Store:
    """A client of the store; connects at its first command. `url`: redis://, rediss:// or unix://."""
    return Store.from_url(url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S)


async def fetch_spec(store: Store, deployment: str) -> ReplicaSpec:
    """What `deployment` must serve now. Raises `SpecMissingError`."""
    record = await store.get(spec_key(deployment))
    if record is None:
        raise SpecMissingError(deployment)
    return msgspec.json.decode(record, type=ReplicaSpec)


async def publish_endpoint(store: Store, endpoint: Endpoint, *, announce: bool) -> None:
    """Write `endpoint` and renew its lease. Routers are told if `announce`, or if the store had forgotten it."""
    async with store.pipeline(transaction=True) as pipe:
        pipe.set(endpoint_key(endpoint.replica_id), msgspec.json.encode(endpoint), px=int(LEASE_S * 1000), get=True)
        pipe.sadd(ENDPOINT_IDS_KEY, endpoint.replica_id)
        before, newly_listed = await pipe.execute()
    if announce or before is None or newly_listed:
        await store.publish(CHANGES_CHANNEL, "endpoints")


async def withdraw_endpoint(store: Store, replica_id: str) -> None:
    """Take the endpoint out of the store and tell the routers. Withdrawing twice is no error."""
    async with store.pipeline(transaction=True) as pipe:
        pipe.delete(endpoint_key(replica_id))
        pipe.srem(ENDPOINT_IDS_KEY, replica_id)
        pipe.publish(CHANGES_CHANNEL, "endpoints")
        await pipe.execute()


async def record_failure(store: Store, failure: ReplicaFailure, log: LogPart) -> None:
    """Keep `failure` as the deployment's newest, and the replica's last words, for an hour, and tell the readers."""
    async with store.pipeline(transaction=True) as pipe:
        pipe.set(last_log_key(failure.replica_id), msgspec.json.encode(log), ex=FAILURE_KEPT_S)
        pipe.set(failure_key(failure.deployment), msgspec.json.encode(failure), ex=FAILURE_KEPT_S)
        pipe.publish(CHANGES_CHANNEL, "endpoints")
        await pipe.execute()


async def fetch_hosts(store: Store) -> list[HostRecord]:
    """Hosts whose lease holds."""
    addresses = cast("set[bytes]", await store.smembers(HOST_ADDRESSES_KEY))
    records = await store.mget([host_key(address.decode()) for address in sorted(addresses)]) if addresses else []
    return [msgspec.json.decode(record, type=HostRecord) for record in records if record is not None]


async def fetch_host(store: Store, address: str) -> HostRecord | None:
    """The host at `address`, if its lease holds."""
    record = await store.get(host_key(address))
    return None if record is None else msgspec.json.decode(record, type=HostRecord)


async def publish_host(store: Store, host: HostRecord) -> bool:
    """Write `host` and renew its lease. False, and nothing is written: another folder is published at its address."""
    before = await fetch_host(store, host.address)
    if before is not None and before.folder != host.folder:
        return False
    async with store.pipeline(transaction=True) as pipe:
        pipe.set(host_key(host.address), msgspec.json.encode(host), px=int(LEASE_S * 1000))
        pipe.sadd(HOST_ADDRESSES_KEY, host.address)
        await pipe.execute()
    return True


async def withdraw_host(store: Store, address: str) -> None:
    """Take the host out of the store. Withdrawing twice is no error."""
    async with store.pipeline(transaction=True) as pipe:
        pipe.delete(host_key(address))
        pipe.srem(HOST_ADDRESSES_KEY, address)
        await pipe.execute()
