"""The past, what is wrong, logs, cordons and the use of keys, as the admin pages read them."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from redis.asyncio import Redis

from orchestrator.api.replicas import follow_replica_log
from orchestrator.history import COARSE, FINE
from orchestrator.recording import Recording
from orchestrator.store import Store
from orchestrator.types import CordonKind, ObservedNode
from replicas.engine import make_engine
from replicas.log_tail import ProcessLog
from replicas.orders import orders_app
from replicas.server import ReplicaServer
from replicas.store import publish_endpoint, record_failure
from replicas.types import (
    ENDPOINT_IDS_KEY,
    Endpoint,
    EngineKind,
    LogLine,
    LogPart,
    ReplicaFailure,
    ReplicaSpec,
    ReplicaState,
    endpoint_key,
)
from router.key_use import Use
from router.store import RouterStore
from router.types import ModelLoad, ModelTotals, Role, RouterReport
from tests.contract.api_house import ApiHouse, RecordingCluster, api_house

NODE = ObservedNode(
    id="n", address="127.0.0.1", hostname="h", alive=True, head=True, cpus=4, gpus=0,
    memory_bytes=1,
)  # fmt: skip
ENDPOINT = Endpoint(
    replica_id="chat-1", deployment="chat", model="chat", revision="r", engine=EngineKind.SIMULATED,
    state=ReplicaState.READY, host="127.0.0.1", token="secret", started_at=1, state_since=2,
)  # fmt: skip


@pytest.fixture
async def house(valkey_url: str, tmp_path: Path) -> AsyncIterator[ApiHouse]:
    async with api_house(valkey_url, tmp_path, cluster=RecordingCluster(node_list=(NODE,))) as opened:
        yield opened


@pytest.fixture
async def store(valkey_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(valkey_url) as opened:
        yield opened


@pytest.fixture
async def replica(store: Redis, tmp_path: Path) -> AsyncIterator["Served"]:
    path = tmp_path / "replica.err"
    path.write_text("starting\n")
    ended = asyncio.Event()

    async def until_ended() -> None:
        await ended.wait()

    engine = make_engine(EngineKind.SIMULATED)
    await engine.start(ReplicaSpec(deployment="chat", model="chat", engine=EngineKind.SIMULATED, revision="r"), print)
    orders = orders_app(
        lambda _: None, lambda _: None, ended.set, lambda: None, until_ended, ProcessLog({"err": path}).part
    )
    server = ReplicaServer(engine, ENDPOINT.token, orders=orders)
    await publish_endpoint(store, replace(ENDPOINT, port=await server.start("127.0.0.1")), announce=True)
    yield Served(path, ended)
    await server.stop()
    await engine.stop()


@dataclass
class Served:
    """A replica's server, its log, and whether it was told to end."""

    log: Path
    ended: asyncio.Event

    def write(self, line: str) -> None:
        with self.log.open("a") as log:
            log.write(line)


async def get(house: ApiHouse, path: str) -> Any:
    answer = await house.client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


class Past:
    """A recording on a clock of its own, with one router that the test speaks for."""

    def __init__(self, url: str, stack: AsyncExitStack) -> None:
        self._url, self._stack = url, stack
        self.now = 1_000_020.0
        self.requests = 500
        self.recording: Recording
        self._routers = RouterStore(url)

    async def start(self) -> None:
        """As after a start of the orchestrator."""
        store = await self._stack.enter_async_context(Store(self._url))
        self.recording = Recording(store, clock=lambda: self.now)
        await self.recording.load()

    async def pass_s(self, seconds: int, *, requests_per_s: int) -> None:
        for _ in range(seconds // 2):
            self.requests += 2 * requests_per_s
            totals = ModelTotals(requests=self.requests, first_token_s=(0, self.requests))
            load = ModelLoad(in_flight=3)
            report = RouterReport(router_id="r", at=self.now, models={"chat": load}, totals={"chat": totals})
            await self._routers.publish(report)
            await self.recording.look()
            self.now += 2


@pytest.fixture
async def past(valkey_url: str) -> AsyncIterator[Past]:
    async with AsyncExitStack() as stack:
        made = Past(valkey_url, stack)
        await made.start()
        yield made


async def test_past_counts_what_came_and_outlives_a_restart(past: Past) -> None:
    await past.pass_s(130, requests_per_s=5)
    # The first look knows nothing of before, the looks of the last ten seconds are not kept yet.
    kept = past.recording.points(FINE)
    assert [point.models["chat"].requests for point in kept[1:12]] == [50] * 11
    (minute, *_) = past.recording.points(COARSE)[1:]
    assert (minute.at, minute.span_s, minute.models["chat"].requests) == (1_000_080, 60, 300)
    await past.start()
    assert past.recording.points(FINE)[:12] == kept[:12]
    await past.pass_s(60, requests_per_s=5)
    assert sum(point.models["chat"].requests for point in past.recording.points(COARSE)) <= 190 * 5
    assert [point.at for point in past.recording.points(COARSE)][:3] == [1_000_020, 1_000_080, 1_000_140]


async def test_minute_in_which_the_orchestrator_was_killed_is_not_lost(past: Past) -> None:
    await past.pass_s(50, requests_per_s=5)
    past.now += 300
    await past.start()
    await past.pass_s(20, requests_per_s=5)
    assert past.recording.points(COARSE)[0].at == 1_000_020


async def test_history_is_columns_of_one_length_with_gaps_where_nothing_was_recorded(house: ApiHouse) -> None:
    for window, step_s in (("1h", 10), ("6h", 60), ("24h", 240)):
        view = await get(house, f"/history?window={window}")
        assert (view["step_s"], len(view["at"])) == (step_s, 360)
        assert view["total"]["requests_per_s"] == [None] * 360
    assert (await house.client.get("/history?window=1y")).status_code == 422


async def test_history_shows_rates_and_quantiles_of_what_was_recorded(house: ApiHouse, valkey_url: str) -> None:
    recording, routers = house.context.recording, RouterStore(valkey_url)
    counts = (0,) * 14 + (100,)
    for totals in (ModelTotals(), ModelTotals(requests=100, errors=50, first_token_s=counts, queue_s=(100,))):
        await routers.publish(RouterReport(router_id="r", at=0, models={}, totals={"chat": totals}))
        await recording.look()
    (chat,) = (view := await get(house, "/history?window=6h"))["models"]
    assert chat["errors_per_s"][-1] == pytest.approx(chat["requests_per_s"][-1] / 2, rel=0.01)
    assert 0.7 < chat["first_token_p50_s"][-1] < chat["first_token_p99_s"][-1] <= 1.0
    assert chat["queue_p99_s"][-1] == 0
    assert view["total"] == chat | {"name": ""}
    assert await get(house, "/history/replicas") == []


async def test_use_of_a_key_adds_up_and_goes_with_the_key(house: ApiHouse, valkey_url: str, store: Redis) -> None:
    key = (await house.client.post("/keys", json={"name": "team"})).json()
    assert (key["requests"], key["last_used_at"]) == (0, None)
    routers = RouterStore(valkey_url)
    await routers.add_key_use({key["id"]: Use(requests=2, prompt_tokens=30, generated_tokens=7)}, 1000.5)
    await routers.add_key_use({key["id"]: Use(requests=1, prompt_tokens=5)}, 1002.5)
    (shown,) = [each for each in await get(house, "/keys") if each["name"] == "team"]
    assert (shown["requests"], shown["prompt_tokens"], shown["generated_tokens"]) == (3, 35, 7)
    assert shown["last_used_at"] == 1002.5
    await house.client.delete(f"/keys/{key['id']}")
    assert await store.keys("roundhouse:key-use:*") == []


async def test_log_of_a_replica_is_read_on_from_where_it_was(house: ApiHouse, replica: Served) -> None:
    first = await get(house, "/replicas/chat-1/log")
    assert first["lines"] == [{"stream": "err", "text": "starting"}]
    replica.write("ready\n")
    more = await get(house, f"/replicas/chat-1/log?after={first['position']}")
    assert [line["text"] for line in more["lines"]] == ["ready"]
    assert not more["ended"]


async def test_log_is_followed_until_the_replica_is_gone(house: ApiHouse, replica: Served, store: Redis) -> None:
    parts = house.context.logs.follow("chat-1")
    assert [line.text for line in (await anext(parts)).lines] == ["starting"]
    replica.write("ready\n")
    assert [line.text for line in (await anext(parts)).lines] == ["ready"]
    await store.delete("roundhouse:endpoint:chat-1")
    assert [part async for part in parts] == []


async def test_log_of_a_replica_that_failed_is_its_last_words(house: ApiHouse, store: Redis) -> None:
    failure = ReplicaFailure(replica_id="chat-9", deployment="chat", revision="r", reason="x", permanent=False, at=1)
    await record_failure(store, failure, LogPart(lines=(LogLine("out", "no memory"),), position="out:10 err:0"))
    assert await get(house, "/replicas/chat-9/log") == {
        "lines": [{"stream": "out", "text": "no memory"}], "position": "out:10 err:0", "ended": True
    }  # fmt: skip
    answer = await house.client.get("/replicas/chat-9/log/stream")
    assert [line for line in answer.text.splitlines() if line.startswith("event")] == ["event: log", "event: ended"]


async def test_log_is_read_whatever_other_replicas_have_written(house: ApiHouse, replica: Served, store: Redis) -> None:
    await store.sadd(ENDPOINT_IDS_KEY, "chat-2")
    await store.set(endpoint_key("chat-2"), b"of another version")
    assert [each["text"] for each in (await get(house, "/replicas/chat-1/log"))["lines"]] == ["starting"]


async def test_log_stream_ends_with_the_key_that_opened_it(house: ApiHouse, replica: Served) -> None:
    who = (await house.context.accounts.create_key("bob", Role.ADMIN))[1]
    response = await follow_replica_log("chat-1", house.context, who)
    async with asyncio.timeout(10):
        stream = aiter(response.body_iterator)
        assert "starting" in str(await anext(stream))
        await house.client.delete("/keys/bob")
        assert [chunk async for chunk in stream] == []


async def test_nodes_that_an_admin_empties_are_not_missed_when_they_go(house: ApiHouse) -> None:
    await house.tick()
    for way in ("cordon", "drain"):
        house.cluster.node_list = (replace(NODE, alive=False),)
        await house.tick()
        await house.context.watch.look()
        assert [each["kind"] for each in await get(house, "/problems") if each["kind"] == "node_lost"] == ["node_lost"]
        await house.client.post(f"/nodes/127.0.0.1/{way}")
        await house.context.watch.look()
        assert [each for each in await get(house, "/problems") if each["kind"] == "node_lost"] == []
        await house.client.post("/nodes/127.0.0.1/uncordon")


async def test_log_of_nobody_is_not_found_and_that_of_an_unreachable_one_says_so(house: ApiHouse, store: Redis) -> None:
    assert (await house.client.get("/replicas/nobody/log")).status_code == 404
    assert (await house.client.get("/replicas/nobody/log/stream")).status_code == 404
    await publish_endpoint(store, replace(ENDPOINT, port=1), announce=True)
    answer = await house.client.get("/replicas/chat-1/log")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "replica_away")


async def test_replica_is_told_to_end_so_that_another_one_starts(house: ApiHouse, replica: Served) -> None:
    assert (await house.client.post("/replicas/chat-1/restart")).status_code == 202
    assert replica.ended.is_set()


async def test_cordon_stays_until_it_is_taken_back(house: ApiHouse, store: Redis) -> None:
    await publish_endpoint(store, ENDPOINT, announce=True)
    assert (await house.client.post("/replicas/chat-1/cordon")).status_code == 204
    assert [each["cordoned"] for each in await get(house, "/replicas")] == [True]
    assert await house.context.store.cordons(CordonKind.REPLICAS) == {"chat-1"}
    assert (await house.client.post("/replicas/chat-1/uncordon")).status_code == 204
    assert [each["cordoned"] for each in await get(house, "/replicas")] == [False]
    assert (await house.client.post("/replicas/nobody/cordon")).status_code == 404
    assert (await house.client.post("/replicas/nobody/restart")).status_code == 404


async def test_cordon_of_a_node_is_by_its_address(house: ApiHouse) -> None:
    await house.tick()
    assert (await house.client.post("/nodes/127.0.0.1/cordon")).status_code == 204
    assert [each["cordoned"] for each in await get(house, "/nodes")] == [True]
    assert (await house.client.post("/nodes/127.0.0.1/uncordon")).status_code == 204
    assert [each["cordoned"] for each in await get(house, "/nodes")] == [False]
    assert (await house.client.post("/nodes/10.0.0.1/cordon")).status_code == 404


async def test_problem_is_shown_and_told_and_gone_once_it_is_mended(house: ApiHouse, store: Redis) -> None:
    await house.client.put("/deployments/chat", json={"engine": "simulated"})
    digest = json.loads(msgspec.json.encode(await house.context.deployments.get("chat")))["revision"]
    await house.tick()
    spec = json.loads(await store.get("roundhouse:spec:chat") or b"")
    failure = ReplicaFailure(
        replica_id="chat-9", deployment="chat", spec_digest=spec["spec_digest"], revision=digest, reason="No weights.",
        permanent=True, at=1,
    )  # fmt: skip
    await record_failure(store, failure, LogPart(lines=(), position=""))
    await house.tick()
    await house.context.watch.look()
    (problem,) = [each for each in await get(house, "/problems") if each["subject"] == "chat"]
    assert problem["message"] == "chat could not start: No weights."
    assert problem["fix"]["remedy"] == "retry"
    assert (await house.client.post("/deployments/chat/retry")).status_code == 204
    await house.tick()
    await house.context.watch.look()
    assert [each for each in await get(house, "/problems") if each["subject"] == "chat"] == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/history"), ("GET", "/problems"), ("GET", "/replicas/chat-1/log"), ("POST", "/replicas/chat-1/cordon"),
        ("POST", "/replicas/chat-1/restart"), ("POST", "/nodes/a/cordon"), ("POST", "/deployments/chat/retry"),
    ],
)  # fmt: skip
async def test_users_see_and_do_none_of_it(house: ApiHouse, method: str, path: str) -> None:
    key = (await house.client.post("/keys", json={"name": "team"})).json()["key"]
    answer = await house.client.request(method, path, headers={"authorization": f"Bearer {key}"})
    assert answer.status_code == 403
