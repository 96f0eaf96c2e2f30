"""What the API says in English it says in parts too, so that pages can say it in their own language."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.views import catalog_view
from tests.contract.api_house import ApiHouse, api_house


@pytest.fixture
async def house(valkey_url: str, tmp_path: Path) -> AsyncIterator[ApiHouse]:
    """A deployment without replicas, and one for which the host has no GPUs."""
    async with api_house(valkey_url, tmp_path) as made:
        for name, wish in (("idle", {"replicas": 0}), ("big", {"gpus_per_replica": 2})):
            assert (await made.client.put(f"/deployments/{name}", json={"engine": "simulated"} | wish)).is_success
        await made.tick()
        yield made


async def test_state_of_a_deployment_has_its_reason_in_parts(house: ApiHouse) -> None:
    shown = {each["name"]: each for each in (await house.client.get("/deployments")).json()}
    assert shown["idle"]["reason"] == "scaled to zero; scale it up to serve it"
    assert shown["idle"]["sentences"] == {"reason": {"code": "stopped", "values": {}}}
    assert shown["big"]["reason"] == "a replica needs 2 GPUs on one node; free: 0"
    assert shown["big"]["sentences"]["reason"] == {"code": "needs_gpus", "values": {"needed": 2.0, "free": "0"}}


async def test_problem_has_the_reason_within_it_in_parts(house: ApiHouse) -> None:
    await house.context.watch.look()
    (problem,) = [each for each in (await house.client.get("/problems")).json() if each["subject"] == "big"]
    assert (problem["kind"], problem["values"]["reason"]["code"]) == ("no_room", "needs_gpus")
    assert "a replica needs 2 GPUs on one node; free: 0." in problem["message"]


async def test_chat_page_is_told_in_parts_why_a_model_does_not_answer(house: ApiHouse) -> None:
    (entry,) = [each for name, each in (await house.context.store.catalog()).items() if name == "idle"]
    status = house.context.loop.statuses["idle"]
    assert catalog_view(entry, status).sentences["detail"].code == "stopped"
    # Of another state than routers were told, or of none, it says nothing.
    assert catalog_view(entry, house.context.loop.statuses["big"]).sentences == {}
    assert catalog_view(entry, None).sentences == {}


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code", "sentence"),
    [
        ("GET", "/deployments/nobody", None, 404, "not_found", {"code": "not_deployed", "values": {"name": "nobody"}}),
        ("POST", "/deployments/idle/scale", {"auto": True}, 422, "invalid_request",
         {"code": "number_is_fixed", "values": {"name": "idle"}}),
        ("PUT", "/deployments/new", {"engine": "simulated", "sleep_mode": True}, 422, "invalid_request",
         {"code": "no_sleep_mode", "values": {"why": {"code": "sleep_without_gpu", "values": {}}}}),
        ("POST", "/models", {"source": "/nowhere"}, 422, "invalid_request",
         {"code": "source_missing", "values": {"source": "/nowhere"}}),
        ("POST", "/deployments/idle/rollback", None, 409, "conflict",
         {"code": "never_swapped", "values": {"name": "idle"}}),
    ],
)  # fmt: skip
async def test_refusal_has_its_message_in_parts(
    house: ApiHouse, method: str, path: str, body: Any, status: int, code: str, sentence: dict[str, Any]
) -> None:
    answer = await house.client.request(method, path, json=body)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["sentence"]) == (status, code, sentence)
    assert "{" not in error["message"]


async def test_field_that_is_invalid_is_named_beside_what_is_wrong_with_it(house: ApiHouse) -> None:
    error = (await house.client.put("/deployments/new", json={"replicas": -1})).json()["error"]
    assert (error["sentence"]["code"], error["sentence"]["values"]["field"]) == ("field_invalid", "replicas")
    assert error["message"].startswith("replicas: ")
