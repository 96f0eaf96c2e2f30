"""What a replica writes to a real store, and what its readers may rely on."""

from collections.abc import AsyncIterator

import msgspec
import pytest
from redis.asyncio import Redis
from redis.asyncio.client import PubSub

from replicas.errors import SpecMissingError, StoreUnavailableError
from replicas.lease import Lease, LeaseKeeper
from replicas.store import (
    LEASE_S,
    fetch_spec,
    open_store,
    publish_endpoint,
    record_failure,
    withdraw_endpoint,
)
from replicas.types import (
    CHANGES_CHANNEL,
    ENDPOINT_IDS_KEY,
    Endpoint,
    EngineKind,
    EngineLoad,
    LogLine,
    LogPart,
    ReplicaFailure,
    ReplicaSpec,
    ReplicaState,
    endpoint_key,
    failure_key,
    last_log_key,
    spec_key,
)
from tests.conftest import ValkeyProcess

ENDPOINT = Endpoint(
    replica_id="tiny-1",
    deployment="tiny",
    model="tiny",
    revision="r",
    engine=EngineKind.SIMULATED,
    state=ReplicaState.STARTING,
    host="127.0.0.1",
    started_at=1.0,
    state_since=1.0,
)
SPEC = ReplicaSpec(deployment="tiny", model="tiny", engine=EngineKind.SIMULATED, revision="r")
LOAD = EngineLoad(running=2, kv_usage=0.5)


@pytest.fixture
async def store(valkey_url: str) -> AsyncIterator[Redis]:
    client = open_store(valkey_url)
    yield client
    await client.aclose()


@pytest.fixture
async def changes(store: Redis) -> AsyncIterator[PubSub]:
    async with store.pubsub() as subscription:
        await subscription.subscribe(CHANGES_CHANNEL)
        await subscription.get_message(timeout=5)
        yield subscription


async def _change(changes: PubSub) -> bytes | None:
    message = await changes.get_message(ignore_subscribe_messages=True, timeout=5)
    return message["data"] if message else None


async def _stored(store: Redis, replica_id: str = "tiny-1") -> Endpoint | None:
    record = await store.get(endpoint_key(replica_id))
    return None if record is None else msgspec.json.decode(record, type=Endpoint)


async def test_a_published_endpoint_is_listed_under_a_lease_and_announced(store: Redis, changes: PubSub) -> None:
    await publish_endpoint(store, ENDPOINT, announce=False)
    assert await _stored(store) == ENDPOINT
    assert await store.smembers(ENDPOINT_IDS_KEY) == {b"tiny-1"}
    assert 0 < await store.pttl(endpoint_key("tiny-1")) <= LEASE_S * 1000
    assert await _change(changes) == b"endpoints"


async def test_a_heartbeat_renews_and_says_nothing(store: Redis, changes: PubSub) -> None:
    await publish_endpoint(store, ENDPOINT, announce=True)
    await _change(changes)
    await store.pexpire(endpoint_key("tiny-1"), 500)
    await publish_endpoint(store, ENDPOINT, announce=False)
    assert await store.pttl(endpoint_key("tiny-1")) > 500
    await store.publish(CHANGES_CHANNEL, "marker")
    assert await _change(changes) == b"marker"


async def test_an_endpoint_that_the_store_forgot_is_announced_again(store: Redis, changes: PubSub) -> None:
    await publish_endpoint(store, ENDPOINT, announce=True)
    await _change(changes)
    await store.srem(ENDPOINT_IDS_KEY, "tiny-1")
    await publish_endpoint(store, ENDPOINT, announce=False)
    assert await _change(changes) == b"endpoints"
    assert await store.smembers(ENDPOINT_IDS_KEY) == {b"tiny-1"}


async def test_withdrawing_leaves_nothing(store: Redis, changes: PubSub) -> None:
    await publish_endpoint(store, ENDPOINT, announce=True)
    await _change(changes)
    await withdraw_endpoint(store, "tiny-1")
    await withdraw_endpoint(store, "tiny-1")
    assert await _stored(store) is None
    assert await store.smembers(ENDPOINT_IDS_KEY) == set()
    assert await _change(changes) == b"endpoints"


async def test_the_spec_is_read_as_written(store: Redis) -> None:
    with pytest.raises(SpecMissingError, match="tiny"):
        await fetch_spec(store, "tiny")
    await store.set(spec_key("tiny"), msgspec.json.encode(SPEC))
    assert await fetch_spec(store, "tiny") == SPEC


async def test_a_failure_is_kept_for_an_hour(store: Redis) -> None:
    failure = ReplicaFailure(
        replica_id="tiny-1", deployment="tiny", revision="r", reason="No weights.", permanent=True, at=1.0
    )
    await record_failure(store, failure, LogPart(lines=(LogLine("err", "no such file"),), position="out:0 err:12"))
    assert msgspec.json.decode(await store.get(failure_key("tiny")) or b"", type=ReplicaFailure) == failure
    assert 3500 < await store.ttl(failure_key("tiny")) <= 3600
    last = msgspec.json.decode(await store.get(last_log_key("tiny-1")) or b"", type=LogPart)
    assert last.lines == (LogLine("err", "no such file"),)
    assert 3500 < await store.ttl(last_log_key("tiny-1")) <= 3600


async def test_a_beat_carries_the_vitals_of_the_moment(store: Redis) -> None:
    lease = Lease(store, ENDPOINT, lambda: ({"router-a": 1, "router-b": 2}, LOAD))
    assert await lease.beat()
    stored = await _stored(store)
    assert stored is not None
    assert (stored.in_flight, stored.load) == (3, LOAD)


async def test_a_change_of_state_is_announced_once(store: Redis, changes: PubSub) -> None:
    lease = Lease(store, ENDPOINT, lambda: ({}, LOAD))
    await lease.beat()
    lease.update(state=ReplicaState.READY, port=1234)
    await lease.beat()
    await lease.beat()
    await store.publish(CHANGES_CHANNEL, "marker")
    assert [await _change(changes) for _ in range(3)] == [b"endpoints", b"endpoints", b"marker"]
    stored = await _stored(store)
    assert stored is not None
    assert (stored.state, stored.port) == (ReplicaState.READY, 1234)


async def test_an_outage_of_the_store_is_survived(own_valkey: ValkeyProcess) -> None:
    store = open_store(own_valkey.url)
    lease = Lease(store, ENDPOINT, lambda: ({}, LOAD))
    assert await lease.beat()
    own_valkey.stop()
    assert not await lease.beat()
    lease.update(state=ReplicaState.READY)
    own_valkey.start()
    async with store.pubsub() as changes:
        await changes.subscribe(CHANGES_CHANNEL)
        await changes.get_message(timeout=5)
        assert await lease.beat()
        assert await _change(changes) == b"endpoints"
    stored = await _stored(store)
    assert stored is not None
    assert stored.state is ReplicaState.READY
    await store.aclose()


async def test_the_keeper_holds_updates_and_releases(valkey_url: str, store: Redis, changes: PubSub) -> None:
    keeper = LeaseKeeper(valkey_url)
    await store.set(spec_key("tiny"), msgspec.json.encode(SPEC))
    assert await keeper.fetch_spec("tiny", patience_s=5) == SPEC
    await keeper.hold(ENDPOINT, lambda: ({"router-a": 1}, LOAD))
    assert await _change(changes) == b"endpoints"
    keeper.update(state=ReplicaState.READY)
    assert await _change(changes) == b"endpoints"
    stored = await _stored(store)
    assert stored is not None
    assert (stored.state, stored.in_flight) == (ReplicaState.READY, 1)
    await keeper.release()
    assert await _stored(store) is None
    assert await store.smembers(ENDPOINT_IDS_KEY) == set()
    keeper.update(state=ReplicaState.DRAINING)  # too late: nothing happens
    await keeper.close()
    assert await _stored(store) is None


async def test_the_keeper_gives_up_on_a_store_that_never_answers(own_valkey: ValkeyProcess) -> None:
    own_valkey.stop()
    keeper = LeaseKeeper(own_valkey.url)
    with pytest.raises(StoreUnavailableError, match="Check that it runs"):
        await keeper.fetch_spec("tiny", patience_s=0)
    await keeper.close()
