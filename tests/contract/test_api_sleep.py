"""Sleep mode over the API and through the loop: real store, Ray and replicas that only remember what they were told."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import structs
from redis.asyncio import Redis

from orchestrator.deployments import Deployments
from orchestrator.errors import InvalidRequestError
from orchestrator.loop import ReconcileLoop
from orchestrator.reconcile import spec_digest
from orchestrator.types import DeploymentWish, StartApplication, StopApplication
from replicas.store import open_store
from replicas.types import ENDPOINT_IDS_KEY, Endpoint, EngineKind, ReplicaState, endpoint_key
from tests.contract.api_house import ApiHouse, api_house
from tests.unit.orchestrator.builders import endpoint, node

BODY = {"engine": "simulated", "gpus_per_replica": 1, "sleep_mode": True}


@dataclass
class RecordingOrders:
    told: list[tuple[str, str]] = field(default_factory=list)
    deaf: bool = False

    async def sleep(self, replica: Endpoint) -> bool:
        self.told.append(("sleep", replica.replica_id))
        return not self.deaf

    async def wake(self, replica: Endpoint) -> bool:
        self.told.append(("wake", replica.replica_id))
        return not self.deaf


@dataclass
class SleepingHouse:
    api: ApiHouse
    redis: Redis
    loop: ReconcileLoop
    orders: RecordingOrders
    now: list[float]

    async def deploy(self, **more: Any) -> dict[str, Any]:
        answer = await self.api.client.put("/deployments/chat", json=BODY | more)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def replica_is(self, state: ReplicaState, **changes: Any) -> None:
        """What the one replica tells of itself now."""
        deployment = await self.api.context.deployments.get("chat")
        (name,) = self.api.cluster.shown
        told = endpoint(
            spec_digest=spec_digest(deployment), application=name, engine=EngineKind.SIMULATED, revision="simulated",
            state=state, sleep_bytes=7, started_at=self.now[0], state_since=self.now[0],
        )  # fmt: skip
        told = structs.replace(told, **changes)
        await self.redis.sadd(ENDPOINT_IDS_KEY, told.replica_id)
        await self.redis.set(endpoint_key(told.replica_id), msgspec.json.encode(told))

    async def scale(self, replicas: int) -> None:
        assert (await self.api.client.post("/deployments/chat/scale", json={"replicas": replicas})).is_success


@pytest.fixture
async def house(valkey_url: str, tmp_path: Path) -> AsyncIterator[SleepingHouse]:
    now, orders = [1000.0], RecordingOrders()
    async with api_house(valkey_url, tmp_path) as api, open_store(valkey_url) as redis:
        api.cluster.node_list = (node(gpus=1.0),)
        context = api.context
        loop = ReconcileLoop(context.store, api.cluster, orders, context.changes, 1.0, clock=lambda: now[0])
        yield SleepingHouse(api, redis, loop, orders, now)


async def test_replica_that_is_not_wanted_is_told_to_sleep_and_woken_when_it_is(house: SleepingHouse) -> None:
    assert (await house.deploy())["sleep_mode"] is True
    await house.loop.tick()
    (start,) = house.api.cluster.actions
    assert isinstance(start, StartApplication)
    assert start.gpus == (0,)
    house.now[0] += 60.0
    await house.replica_is(ReplicaState.READY)
    await house.loop.tick()
    await house.scale(0)
    await house.loop.tick()
    await house.replica_is(ReplicaState.ASLEEP, epoch=1)
    await house.loop.tick()
    await house.scale(1)
    await house.loop.tick()
    assert house.orders.told == [("sleep", "chat-1"), ("wake", "chat-1")]
    house.now[0] += 2.5
    await house.replica_is(ReplicaState.READY, epoch=1)
    await house.loop.tick()
    store = house.api.context.store
    assert (await store.start_times(), await store.wake_times()) == ({"chat": 60.0}, {"chat": 2.5})
    assert house.api.cluster.actions == [start]


@pytest.mark.parametrize("state", [ReplicaState.READY, ReplicaState.ASLEEP])
async def test_replica_that_does_not_hear_is_ended_by_serve(house: SleepingHouse, state: ReplicaState) -> None:
    await house.deploy()
    await house.loop.tick()
    await house.replica_is(state)
    await house.scale(0 if state is ReplicaState.READY else 1)
    house.orders.deaf = True
    await house.loop.tick()
    assert isinstance(house.api.cluster.actions[-1], StopApplication)
    assert house.api.cluster.shown == {}


async def test_restart_of_a_replica_that_sleeps_is_refused(house: SleepingHouse) -> None:
    await house.deploy()
    await house.loop.tick()
    await house.replica_is(ReplicaState.ASLEEP)
    refused = await house.api.client.post("/replicas/chat-1/restart")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "replica_asleep")


@pytest.mark.parametrize(
    ("wish", "can_grow", "why"),
    [
        (DeploymentWish(engine=EngineKind.VLLM, sleep_mode=True), False, "its GPUs"),
        (DeploymentWish(engine=EngineKind.SIMULATED, sleep_mode=True), False, "its GPUs"),
        (DeploymentWish(engine=EngineKind.SIMULATED, gpus_per_replica=1.0, sleep_mode=True), True, "grows by itself"),
    ],
)
async def test_sleep_mode_where_no_replica_could_sleep_is_refused(
    house: SleepingHouse, wish: DeploymentWish, can_grow: bool, why: str
) -> None:
    with pytest.raises(InvalidRequestError, match=why):
        await Deployments(house.api.context.store, can_grow=can_grow).put("chat", wish)


async def test_sleep_mode_of_engines_outside_alone_is_refused(house: SleepingHouse) -> None:
    body = {"engine": "external", "sleep_mode": True, "external": [{"name": "far", "url": "https://far.example/v1"}]}
    refused = await house.api.client.put("/deployments/far", json=body)
    assert (refused.status_code, "engines outside" in refused.json()["error"]["message"]) == (422, True)
