"""The admin API over a real store: what it answers, whom it refuses."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import redis as sync_redis

from orchestrator.accounts import csrf_token_of, digest_of
from orchestrator.api.openapi import document
from orchestrator.reconcile import spec_digest
from orchestrator.types import StartApplication, StopApplication
from replicas.types import ENDPOINT_IDS_KEY, Endpoint, endpoint_key
from router.types import CREDENTIALS_KEY
from tests.contract.api_house import ADMIN_KEY, ApiHouse, api_house
from tests.honest_models import LLAMA, llama_shapes, write_model
from tests.unit.orchestrator.builders import endpoint, node


@pytest.fixture
async def house(valkey_url: str, tmp_path: Path) -> AsyncIterator[ApiHouse]:
    async with api_house(valkey_url, tmp_path) as opened:
        yield opened


async def deploy_simulated(house: ApiHouse, name: str = "chat", **body: object) -> httpx.Response:
    return await house.client.put(f"/deployments/{name}", json={"engine": "simulated", **body})


async def log_in(house: ApiHouse, **body: str) -> httpx.Response:
    return await house.client.post("/session", json=body, headers={"authorization": ""})


async def endpoint_of(house: ApiHouse, name: str, **changes: Any) -> Endpoint:
    """What a replica of the deployment as it is wanted now would register."""
    deployment = await house.context.deployments.get(name)
    return endpoint(name, spec_digest=spec_digest(deployment), **changes)


def error_of(answer: httpx.Response) -> str:
    return str(answer.json()["error"]["message"])


@pytest.mark.parametrize(
    "path", ["/models", "/deployments", "/load", "/replicas", "/nodes", "/keys", "/system", "/events", "/join"]
)
async def test_request_without_a_key_is_refused_everywhere(house: ApiHouse, path: str) -> None:
    for headers in ({"authorization": ""}, {"authorization": "Bearer wrong"}):
        answer = await house.client.get(path, headers=headers)
        assert answer.status_code == 401
        assert answer.json()["type"] == "error"


@pytest.mark.parametrize("path", ["/models", "/deployments", "/replicas", "/nodes", "/keys", "/system", "/join"])
async def test_request_with_a_user_key_is_refused_where_admins_work(house: ApiHouse, path: str) -> None:
    key = (await house.client.post("/keys", json={"name": "bob"})).json()["key"]
    answer = await house.client.get(path, headers={"authorization": f"Bearer {key}"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "admin_only")


async def test_key_when_created_is_stored_as_a_digest_and_shown_by_its_first_characters(
    house: ApiHouse, valkey_url: str
) -> None:
    made = (await house.client.post("/keys", json={"name": "bob"})).json()
    with sync_redis.Redis.from_url(valkey_url) as client:
        stored = client.hgetall(CREDENTIALS_KEY)
    assert digest_of(made["key"]).encode() in stored
    assert not any(made["key"].encode() in field + value for field, value in stored.items())
    listed = (await house.client.get("/keys")).json()
    assert [each["name"] for each in listed] == ["admin", "bob"]
    assert all("key" not in each for each in listed)


async def test_key_when_revoked_is_gone_at_once(house: ApiHouse) -> None:
    made = (await house.client.post("/keys", json={"name": "bob", "role": "admin"})).json()
    bob = {"authorization": f"Bearer {made['key']}"}
    assert (await house.client.get("/keys", headers=bob)).status_code == 200
    assert (await house.client.delete("/keys/bob")).status_code == 204
    assert (await house.client.get("/keys", headers=bob)).status_code == 401
    assert (await house.client.delete("/keys/nobody")).status_code == 404


async def test_admin_key_of_the_home_when_revoked_is_replaced_in_its_file(house: ApiHouse, tmp_path: Path) -> None:
    assert (await house.client.delete("/keys/admin")).status_code == 204
    assert (await house.client.get("/keys")).status_code == 401
    fresh = (tmp_path / "admin.key").read_text()
    assert (await house.client.get("/keys", headers={"authorization": f"Bearer {fresh}"})).status_code == 200
    await house.context.accounts.ensure_admin_key()  # as at the next start
    assert (await house.client.get("/keys")).status_code == 401, "a restart does not bring the revoked key back"


async def test_admin_key_put_back_into_its_file_after_a_revocation_is_replaced_at_the_next_start(
    house: ApiHouse, tmp_path: Path
) -> None:
    await house.client.delete("/keys/admin")
    (tmp_path / "admin.key").write_text(ADMIN_KEY)
    await house.context.accounts.ensure_admin_key()
    assert (tmp_path / "admin.key").read_text() != ADMIN_KEY
    assert (await house.client.get("/keys")).status_code == 401


async def test_replaced_admin_key_of_the_home_leaves_nothing_open_but_the_file(house: ApiHouse) -> None:
    (before,) = await house.context.accounts.keys()
    token = (await house.client.post("/login-links")).json()["token"]
    await house.client.delete("/keys/admin")
    (after,) = await house.context.accounts.keys()
    assert before.id == after.id
    assert (await log_in(house, token=token)).status_code == 401, "its login links open nothing"
    assert not await house.context.accounts.still_holds(before), "its streams end"
    assert await house.context.accounts.still_holds(after)


@pytest.mark.parametrize("way", ["key", "link"])
async def test_session_ends_with_the_key_that_opened_it(house: ApiHouse, way: str) -> None:
    made = (await house.client.post("/keys", json={"name": "bob", "role": "admin"})).json()
    bob = {"authorization": f"Bearer {made['key']}"}
    if way == "key":
        await log_in(house, key=made["key"])
    else:
        await log_in(house, token=(await house.client.post("/login-links", headers=bob)).json()["token"])
    as_page = {"authorization": ""}
    assert (await house.client.get("/keys", headers=as_page)).status_code == 200
    await house.client.delete("/keys/bob")
    assert (await house.client.get("/keys", headers=as_page)).status_code == 401


async def test_login_link_of_a_revoked_key_opens_nothing(house: ApiHouse) -> None:
    made = (await house.client.post("/keys", json={"name": "bob", "role": "admin"})).json()
    bob = {"authorization": f"Bearer {made['key']}"}
    token = (await house.client.post("/login-links", headers=bob)).json()["token"]
    await house.client.delete("/keys/bob")
    assert (await log_in(house, token=token)).status_code == 401


async def test_login_link_works_once_and_its_session_needs_the_csrf_token_to_change_things(house: ApiHouse) -> None:
    token = (await house.client.post("/login-links")).json()["token"]
    first = await log_in(house, token=token)
    assert first.status_code == 200
    cookie = first.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    session = first.cookies["roundhouse_session"]
    assert first.json() == {"name": "admin", "role": "admin", "csrf_token": csrf_token_of(session)}
    assert (await log_in(house, token=token)).status_code == 401

    as_page = {"authorization": ""}
    assert (await house.client.get("/keys", headers=as_page)).status_code == 200
    body = {"name": "x"}
    csrf = {"x-roundhouse-csrf": csrf_token_of(session)}
    assert (await house.client.post("/keys", json=body, headers=as_page)).status_code == 403
    foreign = as_page | csrf | {"origin": "http://evil.example"}
    assert (await house.client.post("/keys", json=body, headers=foreign)).status_code == 403
    own = as_page | csrf | {"origin": "http://localhost"}
    assert (await house.client.post("/keys", json=body, headers=own)).status_code == 201
    assert (await house.client.delete("/session", headers=own)).status_code == 204
    house.client.cookies.set("roundhouse_session", session)
    assert (await house.client.get("/keys", headers=as_page)).status_code == 401


async def test_session_secret_sent_as_a_key_is_refused(house: ApiHouse) -> None:
    session = (await log_in(house, key=ADMIN_KEY)).cookies["roundhouse_session"]
    house.client.cookies.clear()
    answer = await house.client.get("/keys", headers={"authorization": f"Bearer {session}"})
    assert answer.status_code == 401


async def test_no_auth_lets_localhost_in_and_no_other_host_name(valkey_url: str, tmp_path: Path) -> None:
    async with api_house(valkey_url, tmp_path, no_auth=True) as open_house:
        headers = {"authorization": ""}
        assert (await open_house.client.get("/keys", headers=headers)).status_code == 200
        rebound = await open_house.client.get("/keys", headers=headers | {"host": "evil.example"})
        assert rebound.status_code == 403


def model_folder(path: Path) -> Path:
    write_model(path, LLAMA, llama_shapes())
    return path


async def test_model_that_is_deployed_cannot_be_removed(house: ApiHouse, tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "tiny")
    await house.client.post("/models", json={"source": str(folder)})
    await house.wait_for_model("tiny")
    assert (await house.client.put("/deployments/chat", json={"model": "tiny"})).status_code == 200
    refused = await house.client.delete("/models/tiny")
    assert (refused.status_code, "deployed as chat" in error_of(refused)) == (409, True)
    await house.client.delete("/deployments/chat")
    assert (await house.client.delete("/models/tiny")).status_code == 204
    assert folder.is_dir(), "a folder of the user's own is not ours to delete"


async def test_deployment_from_request_to_undeploy_is_started_scaled_and_stopped_once_each(house: ApiHouse) -> None:
    await deploy_simulated(house)
    await house.tick()
    await house.tick()
    await house.client.post("/deployments/chat/scale", json={"replicas": 2})
    await house.tick()
    await house.client.delete("/deployments/chat")
    await house.tick()
    await house.tick()
    assert [type(action) for action in house.cluster.actions] == [StartApplication] * 2 + [StopApplication] * 2
    assert await house.context.store.catalog() == {}


async def test_deployment_whose_replica_reports_is_ready_in_api_and_catalog(house: ApiHouse, valkey_url: str) -> None:
    await deploy_simulated(house)
    await house.tick()
    starting = (await house.client.get("/deployments/chat")).json()
    assert (starting["state"], starting["eta_s"] > 0) == ("starting", True)
    with sync_redis.Redis.from_url(valkey_url) as client:
        client.sadd(ENDPOINT_IDS_KEY, "chat-1")
        client.set(endpoint_key("chat-1"), msgspec.json.encode(await endpoint_of(house, "chat")))
    await house.tick()
    ready = (await house.client.get("/deployments/chat")).json()
    assert (ready["state"], ready["ready_replicas"]) == ("ready", 1)
    assert (await house.context.store.catalog())["chat"].status == "ready"
    assert await house.context.store.start_times() == {"chat": 40.0}
    (replica,) = (await house.client.get("/replicas")).json()
    assert replica["state"] == "ready"
    assert "token" not in replica


async def test_deployment_that_was_just_changed_is_not_described_by_what_was_before(
    house: ApiHouse, valkey_url: str
) -> None:
    await deploy_simulated(house)
    with sync_redis.Redis.from_url(valkey_url) as client:
        client.sadd(ENDPOINT_IDS_KEY, "chat-1")
        client.set(endpoint_key("chat-1"), msgspec.json.encode(await endpoint_of(house, "chat")))
    await house.tick()
    assert (await house.client.get("/deployments/chat")).json()["state"] == "ready"
    await deploy_simulated(house, max_model_len=512)
    assert (await house.client.get("/deployments/chat")).json()["state"] == "starting"
    await house.tick()
    assert (await house.client.get("/deployments/chat")).json()["state"] == "starting", "the old replica is not it"


async def test_action_that_ray_refuses_is_told_and_holds_up_no_other(house: ApiHouse) -> None:
    await deploy_simulated(house, "bad")
    await deploy_simulated(house, "good")
    house.cluster.refuses = "bad"
    await house.tick()
    assert {each.deployment for each in house.cluster.shown.values()} == {"good"}
    (problem,) = (await house.client.get("/system")).json()["problems"]
    assert "bad" in problem
    house.cluster.refuses = ""
    await house.tick()
    assert {each.deployment for each in house.cluster.shown.values()} == {"bad", "good"}
    assert (await house.client.get("/system")).json()["problems"] == []


async def test_catalog_while_ray_is_away_still_follows_the_replicas(house: ApiHouse, valkey_url: str) -> None:
    await deploy_simulated(house)
    house.cluster.fails = True
    with sync_redis.Redis.from_url(valkey_url) as client:
        client.sadd(ENDPOINT_IDS_KEY, "chat-1")
        client.set(endpoint_key("chat-1"), msgspec.json.encode(await endpoint_of(house, "chat")))
    with pytest.raises(ConnectionError):
        await house.tick()
    assert (await house.context.store.catalog())["chat"].status == "ready"
    assert (await house.client.get("/system")).json()["ray_connected"] is False


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("chat", {"engine": "simulated", "replicas": -1}),
        ("chat", {"engine": "other"}),
        ("chat", {"engine": "simulated", "unknown": 1}),
        ("chat", {"engine": "simulated", "engine_args": {"trust-remote-code": True}}),
        ("chat", {"engine": "vllm", "model": "m", "engine_args": {"trust-remote-code": True}}),
        ("chat", {"engine": "vllm", "model": "m", "engine_args": {"worker_extension_cls": "x"}}),
        ("chat", {"engine": "vllm", "model": "m", "gpus_per_replica": 1.5}),
        ("chat", {"engine": "vllm", "model": "m", "gpus_per_replica": 0.00001}),
        ("a b", {"engine": "simulated"}),
        (".hidden", {"engine": "simulated"}),
    ],
)
async def test_deployment_that_cannot_be_is_refused_in_the_common_envelope(
    house: ApiHouse, name: str, body: dict[str, object]
) -> None:
    answer = await house.client.put(f"/deployments/{name}", json=body)
    assert answer.status_code == 422
    assert error_of(answer)


async def test_deployment_on_a_cluster_with_gpus_takes_one_unless_told_otherwise(
    house: ApiHouse, tmp_path: Path
) -> None:
    await house.client.post("/models", json={"source": str(model_folder(tmp_path / "tiny"))})
    await house.wait_for_model("tiny")
    on_cpu = await house.client.put("/deployments/a", json={"model": "tiny"})
    house.cluster.node_list = (node(gpus=4),)
    await house.tick()
    on_gpu = await house.client.put("/deployments/b", json={"model": "tiny"})
    assert (on_cpu.json()["gpus_per_replica"], on_gpu.json()["gpus_per_replica"]) == (0, 1)


async def test_openapi_document_in_the_tree_is_current() -> None:
    path = Path(__file__).parents[2] / "admin_ui" / "openapi.json"
    assert path.read_text() == document(), "run: python -m orchestrator.api.openapi admin_ui/openapi.json"
