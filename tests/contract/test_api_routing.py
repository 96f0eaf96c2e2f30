"""What admins may set of routing, engines outside and shares of the queue, and what they see of the load."""

import asyncio
import json
import logging
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import redis as sync_redis

from orchestrator.types import ObservedApplication, StartApplication, StopApplication
from replicas.types import ENDPOINT_IDS_KEY, endpoint_key
from router.types import (
    ROUTER_IDS_KEY,
    CatalogEntry,
    ExternalEngine,
    ModelLoad,
    ModelStatus,
    PolicyName,
    Priority,
    RouterReport,
    RoutingSettings,
    router_report_key,
)
from tests.contract.api_house import ADMIN_KEY, ApiHouse, RecordingCluster, api_house
from tests.contract.test_api import deploy_simulated, endpoint_of, error_of, log_in

FAR = {"name": "far", "url": "https://far.example/v1"}
SECRET = "sk-of-the-engine-outside"
ROUTING = {
    "policy": "session-affinity",
    "target_ttft_s": 0.5,
    "max_in_flight": 7,
    "queue_requests": 11,
    "queue_tokens": 1000,
    "queue_bytes": 4096,
    "queue_timeout_s": 3.0,
    "cold_start_timeout_s": 9.0,
    "continue_streams": False,
}


@pytest.fixture
async def house(valkey_url: str, tmp_path: Path) -> AsyncIterator[ApiHouse]:
    async with api_house(valkey_url, tmp_path) as opened:
        yield opened


async def deploy_outside(house: ApiHouse, *engines: Mapping[str, Any], **body: Any) -> httpx.Response:
    return await house.client.put("/deployments/chat", json={"engine": "external", "external": list(engines), **body})


async def catalog_entry(house: ApiHouse) -> CatalogEntry:
    return (await house.context.store.catalog())["chat"]


# Routing


async def test_routing_settings_from_request_to_catalog(house: ApiHouse) -> None:
    put = await deploy_simulated(house, routing=ROUTING)
    assert put.json()["routing"] == ROUTING
    assert (await house.client.get("/deployments/chat")).json()["routing"] == ROUTING
    await house.tick()
    assert (await catalog_entry(house)).routing == RoutingSettings(
        **{**ROUTING, "policy": PolicyName.SESSION_AFFINITY}  # type: ignore[arg-type]
    )


async def test_routing_when_changed_touches_no_replica_and_when_left_out_is_the_default_again(house: ApiHouse) -> None:
    await deploy_simulated(house)
    await house.tick()
    await deploy_simulated(house, routing={"policy": "least-loaded", "max_in_flight": 3})
    await house.tick()
    changed = await catalog_entry(house)
    assert (changed.routing.policy, changed.routing.max_in_flight) == (PolicyName.LEAST_LOADED, 3)
    await deploy_simulated(house)
    await house.tick()
    assert (await catalog_entry(house)).routing == RoutingSettings()
    assert [type(action) for action in house.cluster.actions] == [StartApplication]


async def test_routing_when_a_deployment_is_scaled_stays(house: ApiHouse) -> None:
    await deploy_simulated(house, routing=ROUTING, external=[FAR])
    await house.client.post("/deployments/chat/scale", json={"replicas": 2})
    shown = (await house.client.get("/deployments/chat")).json()
    assert (shown["routing"], len(shown["external"])) == (ROUTING, 1)


@pytest.mark.parametrize(
    "routing",
    [
        {"policy": "round-robin"},
        {"target_ttft_s": 0},
        {"target_ttft_s": 601},
        {"max_in_flight": 0},
        {"queue_requests": -1},
        {"queue_tokens": -1},
        {"queue_bytes": -1},
        {"queue_timeout_s": -0.1},
        {"cold_start_timeout_s": 3601},
        {"continue_streams": "perhaps"},
        {"policies": "prefix-aware"},
        {"queue_requests": None},
    ],
)
async def test_routing_settings_that_cannot_be_are_refused_by_name(house: ApiHouse, routing: dict[str, Any]) -> None:
    answer = await deploy_simulated(house, routing=routing)
    (field,) = routing
    assert (answer.status_code, error_of(answer).startswith(f"routing.{field}: ")) == (422, True)


class _HangingCluster(RecordingCluster):
    """A Ray that answers nobody until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = threading.Event()
        self.answers = threading.Event()

    def applications(self) -> Mapping[str, ObservedApplication]:
        self.asked.set()
        self.answers.wait(30)
        return super().applications()


@asynccontextmanager
async def running(house: ApiHouse) -> AsyncIterator[None]:
    loop = asyncio.create_task(house.context.loop.run())
    try:
        yield
    finally:
        loop.cancel()
        with suppress(asyncio.CancelledError):
            await loop


async def test_routing_is_told_to_routers_within_a_second_even_while_ray_does_not_answer(
    valkey_url: str, tmp_path: Path
) -> None:
    cluster = _HangingCluster()
    async with api_house(valkey_url, tmp_path, cluster=cluster) as house, running(house):
        try:
            assert await asyncio.to_thread(cluster.asked.wait, 10)
            with sync_redis.Redis.from_url(valkey_url) as client, client.pubsub() as pubsub:
                pubsub.subscribe("roundhouse:changes")
                assert await asyncio.to_thread(pubsub.get_message, timeout=5)  # the subscription itself
                await deploy_simulated(house, routing=ROUTING)
                assert await asyncio.to_thread(pubsub.get_message, timeout=1.0)
            assert (await catalog_entry(house)).routing.max_in_flight == 7
            assert cluster.actions == []
        finally:
            cluster.answers.set()


# Engines outside


async def test_deployment_served_outside_alone_is_ready_and_asks_ray_for_nothing(house: ApiHouse) -> None:
    put = await deploy_outside(house, {**FAR, "model": "big", "max_in_flight": 5, "health_path": "/health"})
    assert put.status_code == 200
    await house.tick()
    shown = (await house.client.get("/deployments/chat")).json()
    assert (shown["state"], shown["reason"]) == ("ready", "served outside by https://far.example/v1")
    assert (shown["engine"], shown["replicas"], shown["model"]) == ("external", 0, "")
    entry = await catalog_entry(house)
    assert (entry.status, entry.detail) == (ModelStatus.READY, "")
    assert entry.external == (
        ExternalEngine(name="far", url=FAR["url"], model="big", max_in_flight=5, health_path="/health"),
    )
    assert house.cluster.actions == []
    refused = await house.client.post("/deployments/chat/scale", json={"replicas": 1})
    assert (refused.status_code, "Deploy a model" in error_of(refused)) == (422, True)
    assert (await house.client.post("/deployments/chat/scale", json={"replicas": 0})).status_code == 200


async def test_deployment_with_a_fallback_stays_ready_when_scaled_to_zero(house: ApiHouse) -> None:
    await deploy_simulated(house, external=[FAR])
    await house.tick()
    starting = (await house.client.get("/deployments/chat")).json()
    assert (starting["state"], starting["reason"].endswith(f"Meanwhile requests go to {FAR['url']}")) == (
        "starting",
        True,
    )
    assert (await catalog_entry(house)).status is ModelStatus.READY
    await house.client.post("/deployments/chat/scale", json={"replicas": 0})
    await house.tick()
    assert (await house.client.get("/deployments/chat")).json()["state"] == "ready"
    assert (await catalog_entry(house)).status is ModelStatus.READY
    assert [type(action) for action in house.cluster.actions] == [StartApplication, StopApplication]


async def test_deployment_that_gives_up_its_replicas_for_an_engine_outside_stops_them(
    house: ApiHouse, valkey_url: str
) -> None:
    await deploy_simulated(house)
    with sync_redis.Redis.from_url(valkey_url) as client:
        client.sadd(ENDPOINT_IDS_KEY, "chat-1")
        client.set(endpoint_key("chat-1"), msgspec.json.encode(await endpoint_of(house, "chat")))
    await house.tick()
    await deploy_outside(house, FAR)
    await house.tick()
    await deploy_simulated(house)
    await house.tick()
    assert [type(action) for action in house.cluster.actions] == [StartApplication, StopApplication, StartApplication]


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ({"external": []}, "at least one"),
        ({"external": [FAR], "replicas": 1}, "no replicas"),
        ({"external": [FAR], "model": "m"}, "no model"),
        ({"external": [FAR], "engine_args": {"seed": 1}}, "seed"),
        ({"external": [FAR, FAR]}, "same name"),
        ({"external": [{"name": f"e{number}", "url": FAR["url"]} for number in range(17)]}, "external: "),
        ({"external": [{"name": "far"}]}, "external.0.url"),
        ({"external": [{"url": FAR["url"]}]}, "external.0.name"),
        ({"external": [{**FAR, "name": "a b"}]}, "external.0.name"),
        ({"external": [{**FAR, "weight": -1}]}, "external.0.weight"),
        ({"external": [{**FAR, "max_in_flight": 0}]}, "external.0.max_in_flight"),
        ({"external": [{**FAR, "health_path": "models"}]}, "external.0.health_path"),
        ({"external": [{**FAR, "health_path": "/a\r\nx: y"}]}, "external.0.health_path"),
        ({"external": [{**FAR, "url": "http://169.254.169.254/"}]}, "external.0.url: link-local"),
        ({"external": [{**FAR, "url": f"https://{SECRET}@far/v1"}]}, "external.0.url: leave out the user"),
        ({"external": [{**FAR, "key": f"{SECRET}\r\nx-evil: 1"}]}, "external.0.key"),
    ],
)
async def test_engine_outside_that_cannot_be_is_refused_and_no_secret_repeated(
    house: ApiHouse, body: dict[str, Any], what: str
) -> None:
    answer = await house.client.put("/deployments/chat", json={"engine": "external", **body})
    assert (answer.status_code, what in error_of(answer)) == (422, True), error_of(answer)
    assert SECRET not in answer.text
    assert await house.context.store.deployments() == {}


@contextmanager
def everything_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.DEBUG):
        yield
    assert SECRET not in caplog.text


async def test_key_of_an_engine_outside_reaches_routers_and_is_shown_to_nobody(
    house: ApiHouse, caplog: pytest.LogCaptureFixture
) -> None:
    with everything_logged(caplog):
        answers = [await deploy_outside(house, {**FAR, "key": SECRET})]
        await house.tick()
        paths = ("/deployments", "/deployments/chat", "/system", "/replicas", "/models", "/load", "/keys")
        answers += [await house.client.get(path) for path in paths]
        answers.append(await house.client.post("/deployments/chat/scale", json={"replicas": 0}))
        async with house.client.stream("GET", "/openapi.json") as response:
            await response.aread()
            answers.append(response)
    assert all(answer.is_success for answer in answers)
    assert not any(SECRET in answer.text for answer in answers)
    assert answers[0].json()["external"][0]["has_key"] is True
    assert "key" not in answers[0].json()["external"][0]
    assert (await catalog_entry(house)).external[0].key == SECRET


@pytest.mark.parametrize(
    ("again", "key"),
    [
        (FAR, SECRET),
        ({**FAR, "url": "https://FAR.example/v1/", "weight": 2}, SECRET),
        ({**FAR, "key": None}, SECRET),
        ({**FAR, "key": "sk-other"}, "sk-other"),
        ({**FAR, "key": ""}, ""),
        ({**FAR, "url": "https://evil.example/v1"}, ""),
        ({**FAR, "name": "other"}, ""),
    ],
)
async def test_key_of_an_engine_outside_is_kept_for_its_name_and_url_alone(
    house: ApiHouse, again: dict[str, Any], key: str
) -> None:
    await deploy_outside(house, {**FAR, "key": SECRET})
    shown = (await deploy_outside(house, again)).json()
    assert shown["external"][0]["has_key"] is bool(key)
    await house.tick()
    assert (await catalog_entry(house)).external[0].key == key


# Shares of the queue


async def test_key_with_a_share_is_stored_and_listed_with_it(house: ApiHouse) -> None:
    body = {"name": "bob", "tenant": "acme", "weight": 2.5, "max_priority": "high"}
    made = (await house.client.post("/keys", json=body)).json()
    assert {name: made[name] for name in body} == body
    admin, bob = (await house.client.get("/keys")).json()
    assert (admin["tenant"], admin["weight"], admin["max_priority"]) == ("", 1.0, "normal")
    assert {name: bob[name] for name in body} == body


@pytest.mark.parametrize(
    "body", [{"weight": 0}, {"weight": -1}, {"weight": 1001}, {"max_priority": "top"}, {"tenant": "a\nb"}]
)
async def test_key_with_a_share_that_cannot_be_is_refused(house: ApiHouse, body: dict[str, Any]) -> None:
    assert (await house.client.post("/keys", json={"name": "bob", **body})).status_code == 422


@pytest.mark.parametrize("way", ["key", "link"])
async def test_session_waits_in_the_queue_as_the_key_that_opened_it(house: ApiHouse, way: str) -> None:
    body = {"name": "bob", "role": "admin", "tenant": "acme", "weight": 3, "max_priority": "low"}
    key = (await house.client.post("/keys", json=body)).json()["key"]
    if way == "key":
        answer = await log_in(house, key=key)
    else:
        bob = {"authorization": f"Bearer {key}"}
        answer = await log_in(house, token=(await house.client.post("/login-links", headers=bob)).json()["token"])
    session = await house.context.accounts.authenticate(answer.cookies["roundhouse_session"])
    assert session is not None
    assert (session.tenant, session.tenant_weight, session.max_priority) == ("acme", 3.0, Priority.LOW)


# Load


async def test_load_is_the_sum_of_what_living_routers_report_of_what_is_deployed(
    house: ApiHouse, valkey_url: str
) -> None:
    await deploy_simulated(house)
    await deploy_simulated(house, "quiet")
    assert (await house.client.get("/load")).json()["routers"] == 0
    loads = {
        "a": ModelLoad(queued=2, queued_tokens=20, oldest_wait_s=0.25, in_flight=3, arrivals_per_s=1.5),
        "b": ModelLoad(queued=1, queued_tokens=10, oldest_wait_s=4.5, in_flight=4, generated_tokens_per_s=100.0),
    }
    with sync_redis.Redis.from_url(valkey_url) as client:
        client.sadd(ROUTER_IDS_KEY, "gone", *loads)
        for name, load in loads.items():
            report = RouterReport(router_id=name, at=1.0, models={"chat": load, "undeployed": load})
            client.set(router_report_key(name), json.dumps(msgspec.to_builtins(report)))
        found = (await house.client.get("/load")).json()
        assert client.smembers(ROUTER_IDS_KEY) == {b"a", b"b"}
    none = dict.fromkeys(("arrivals_per_s", "prompt_tokens_per_s", "generated_tokens_per_s", "oldest_wait_s"), 0.0)
    assert found == {
        "routers": 2,
        "models": [
            {
                "model": "chat",
                "queued": 3,
                "queued_tokens": 30,
                "oldest_wait_s": 4.5,
                "in_flight": 7,
                "arrivals_per_s": 1.5,
                "prompt_tokens_per_s": 0.0,
                "generated_tokens_per_s": 100.0,
            },
            {"model": "quiet", "queued": 0, "queued_tokens": 0, "in_flight": 0, **none},
        ],
    }


async def test_load_is_for_admins(house: ApiHouse) -> None:
    key = (await house.client.post("/keys", json={"name": "bob"})).json()["key"]
    for secret, status in ((key, 403), ("wrong", 401), (ADMIN_KEY, 200)):
        answer = await house.client.get("/load", headers={"authorization": f"Bearer {secret}"})
        assert answer.status_code == status
