"""The routing table follows a real Valkey."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from random import Random
from typing import Any

import pytest

from replicas.types import ENDPOINT_IDS_KEY, ReplicaState, endpoint_key
from router.core import LoopClock
from router.dispatcher import Dispatcher
from router.prefix_chain import chain_of
from router.quarantine import Quarantine
from router.store import RouterStore
from router.table import RoutingTable
from router.telemetry import Telemetry
from router.types import CATALOG_KEY, CREDENTIALS_KEY, CatalogEntry, ModelStatus
from tests.conftest import ValkeyProcess
from tests.router_harness import KEY, FakeReplica, StoreWriter, digest, eventually

A_MOMENT_S = 1.0


@asynccontextmanager
async def following(url: str, refresh_s: float = 60.0) -> AsyncIterator[tuple[RoutingTable, StoreWriter]]:
    """A table that reads again by itself so rarely that only events can explain what it knows."""
    reader, telemetry = RouterStore(url), Telemetry()

    def dispatcher(entry: CatalogEntry) -> Dispatcher:
        meter = telemetry.meter(entry.name)
        return Dispatcher(entry, meter, quarantine=Quarantine(), clock=LoopClock(), rng=Random(1))

    table = RoutingTable(reader, telemetry, dispatcher, router_id="me", refresh_s=refresh_s)
    store = StoreWriter(url)
    task = asyncio.create_task(table.follow())
    try:
        await asyncio.wait_for(table.loaded.wait(), 10)
        await eventually_subscribed(store)
        yield table, store
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await reader.close()
        await store.client.aclose()


async def eventually_subscribed(store: StoreWriter) -> None:
    async with asyncio.timeout(10):
        while not (await store.client.pubsub_numsub("roundhouse:changes"))[0][1]:  # noqa: ASYNC110
            await asyncio.sleep(0.002)


async def within_a_moment(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(A_MOMENT_S):
        await eventually(condition)


def replica(replica_id: str = "r1") -> FakeReplica:
    fake = FakeReplica(replica_id)
    fake.port = 7000
    return fake


async def test_changes_are_seen_by_event(valkey_url: str) -> None:
    async with following(valkey_url) as (table, store):
        await store.model()
        await within_a_moment(lambda: "tiny" in table.models)
        await store.endpoint(replica().endpoint())
        await within_a_moment(lambda: table.models["tiny"].ready_replicas == 1)
        await store.endpoint(replica().endpoint(state=ReplicaState.DRAINING))
        await within_a_moment(lambda: table.models["tiny"].ready_replicas == 0)
        await store.withdraw("r1")
        await within_a_moment(lambda: table.models["tiny"].replicas == [])
        await store.model(status=ModelStatus.ASLEEP)
        await within_a_moment(lambda: table.models["tiny"].entry.status is ModelStatus.ASLEEP)


async def test_revoked_key_stops_working_within_a_second(valkey_url: str) -> None:
    async with following(valkey_url) as (table, store):
        await store.key()
        await within_a_moment(lambda: digest(KEY) in (table.credentials or {}))
        await store.revoke(KEY)
        await within_a_moment(lambda: digest(KEY) not in (table.credentials or {}))


async def test_lost_events_cost_one_refresh(valkey_url: str) -> None:
    async with following(valkey_url, refresh_s=0.1) as (table, store):
        await store.key()
        await within_a_moment(lambda: digest(KEY) in (table.credentials or {}))
        await store.client.hdel(CREDENTIALS_KEY, digest(KEY))  # no event
        await within_a_moment(lambda: digest(KEY) not in (table.credentials or {}))


async def test_endpoint_is_dropped_when_its_lease_ends(valkey_url: str) -> None:
    async with following(valkey_url, refresh_s=0.1) as (table, store):
        await store.model()
        await store.endpoint(replica().endpoint())
        await within_a_moment(lambda: "tiny" in table.models and table.models["tiny"].ready_replicas == 1)
        await store.client.pexpire(endpoint_key("r1"), 50)  # its replica has stopped renewing it
        await within_a_moment(lambda: table.models["tiny"].replicas == [])


async def test_own_counts_survive_a_reading_and_a_lost_lease(valkey_url: str) -> None:
    async with following(valkey_url) as (table, store):
        await store.model()
        await store.endpoint(replica().endpoint(in_flight=99))
        await within_a_moment(lambda: "tiny" in table.models and bool(table.models["tiny"].replicas))
        (view,) = table.models["tiny"].replicas
        assert view.in_flight == 0
        view.in_flight = 3
        await store.withdraw("r1")
        await within_a_moment(lambda: table.models["tiny"].replicas == [])
        await store.endpoint(replica().endpoint(revision="new", in_flight=0))
        await within_a_moment(lambda: bool(table.models["tiny"].replicas))
        assert table.models["tiny"].replicas[0] is view
        assert (view.in_flight, view.revision) == (3, "new")


async def test_bad_record_hides_no_other(valkey_url: str) -> None:
    async with following(valkey_url) as (table, store):
        await store.client.hset(CATALOG_KEY, mapping={"bad": b"{", "odd": b'{"name": 5}', "pickle": b"\x80\x04."})
        await store.client.hset(CREDENTIALS_KEY, digest("bad"), b'{"id": "x"}')
        await store.client.set(endpoint_key("bad"), b"[]")
        await store.client.sadd(ENDPOINT_IDS_KEY, "bad", "gone")
        await store.model()
        await store.endpoint(replica().endpoint())
        await within_a_moment(lambda: "tiny" in table.models and table.models["tiny"].ready_replicas == 1)
        assert set(table.models) == {"tiny"}
        assert table.credentials == {}


async def test_replica_that_does_not_listen_is_never_ready(valkey_url: str) -> None:
    async with following(valkey_url) as (table, store):
        await store.model()
        await store.endpoint(replica().endpoint(port=0))
        await within_a_moment(lambda: "tiny" in table.models and bool(table.models["tiny"].replicas))
        assert table.models["tiny"].ready_replicas == 0


async def test_token_cannot_add_a_header(valkey_url: str) -> None:
    async with following(valkey_url) as (table, store):
        await store.model()
        await store.endpoint(replica().endpoint(token="t\r\nx-evil: 1", revision="r\r\nx: 1"))
        await within_a_moment(lambda: "tiny" in table.models and bool(table.models["tiny"].replicas))
        (view,) = table.models["tiny"].replicas
        assert view.head.count(b"\r\n") == 3
        assert view.labels.count(b"\r\n") == 2


async def test_other_routers_requests_count_as_load(valkey_url: str) -> None:
    async with following(valkey_url) as (table, store):
        await store.model()
        await store.endpoint(replica().endpoint(in_flight=9, in_flight_by_router={"me": 4, "other": 3, "third": 2}))
        await within_a_moment(lambda: "tiny" in table.models and bool(table.models["tiny"].replicas))
        (view,) = table.models["tiny"].replicas
        assert (view.in_flight, view.others_in_flight, view.load) == (0, 5, 5)


@pytest.mark.parametrize(
    "entry", [{"cordoned": ("r1",)}, {"revisions": ("sha256:new",)}], ids=["by name", "of a revision not wanted"]
)
async def test_replica_gets_nothing_new_when_cordoned(valkey_url: str, entry: dict[str, Any]) -> None:
    async with following(valkey_url) as (table, store):
        await store.model(**entry)
        await store.endpoint(replica().endpoint())
        await within_a_moment(lambda: "tiny" in table.models and bool(table.models["tiny"].replicas))
        (view,) = table.models["tiny"].replicas
        assert (view.state, view.takes) == (ReplicaState.CORDONED, False)
        await store.model()
        await within_a_moment(lambda: table.models["tiny"].ready_replicas == 1)


async def test_cache_knowledge_is_void_after_a_new_epoch(valkey_url: str) -> None:
    async with following(valkey_url) as (table, store):
        await store.model()
        await store.endpoint(replica().endpoint())
        await within_a_moment(lambda: "tiny" in table.models and bool(table.models["tiny"].replicas))
        (view,) = table.models["tiny"].replicas
        view.cache.insert(chain_of(b"x" * 1000))
        await store.endpoint(replica().endpoint(epoch=1))
        await within_a_moment(lambda: view.cache.held_bytes == 0)
        assert len(view.cache.directory) == 0


@pytest.mark.timeout(60)
async def test_last_snapshot_stands_while_the_store_is_away(own_valkey: ValkeyProcess) -> None:
    async with following(own_valkey.url, refresh_s=0.1) as (table, store):
        telemetry = table._telemetry
        await store.model()
        await store.key()
        await store.endpoint(replica().endpoint())
        await within_a_moment(lambda: "tiny" in table.models and table.models["tiny"].ready_replicas == 1)
        await within_a_moment(lambda: digest(KEY) in (table.credentials or {}))
        own_valkey.stop()
        await eventually(lambda: not telemetry.store_connected)
        assert table.models["tiny"].ready_replicas == 1
        assert digest(KEY) in (table.credentials or {})
        await asyncio.to_thread(own_valkey.start)
        # It came back empty, and it answers: what it says counts again.
        await eventually(lambda: table.models == {})
        assert telemetry.store_connected
        await store.client.connection_pool.disconnect()
        await eventually_subscribed(store)
        await store.model("new")
        await eventually(lambda: "new" in table.models)
