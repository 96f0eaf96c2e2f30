"""Aliases over the API: names mean one thing, and what routers read is what was asked for."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from router.store import RouterStore
from tests.contract.api_house import ApiHouse, api_house


@pytest.fixture
async def house(valkey_url: str, tmp_path: Path) -> AsyncIterator[ApiHouse]:
    """Deployments a and b."""
    async with api_house(valkey_url, tmp_path) as made:
        for name in ("a", "b"):
            assert (await made.client.put(f"/deployments/{name}", json={"engine": "simulated"})).status_code == 200
        await made.tick()
        yield made


async def put(house: ApiHouse, name: str = "gpt", **weights: float) -> httpx.Response:
    targets = [{"model": model, "weight": weight} for model, weight in weights.items()]
    return await house.client.put(f"/aliases/{name}", json={"targets": targets})


async def test_alias_is_shown_listed_and_told_to_routers(house: ApiHouse, valkey_url: str) -> None:
    made = (await put(house, a=90, b=10)).json()
    assert [(each["model"], each["share"], each["status"]) for each in made["targets"]] == [
        ("a", 0.9, "starting"),
        ("b", 0.1, "starting"),
    ]
    assert (await house.client.get("/aliases")).json() == [made] == [(await house.client.get("/aliases/gpt")).json()]
    store = RouterStore(valkey_url)
    alias = (await store.snapshot()).aliases["gpt"]
    await store.close()
    assert [(each.model, each.weight) for each in alias.targets] == [("a", 90), ("b", 10)]


async def test_alias_that_is_changed_keeps_the_time_of_its_making(house: ApiHouse) -> None:
    first, second = (await put(house, a=1)).json(), (await put(house, b=1)).json()
    assert (first["created_at"], [each["model"] for each in second["targets"]]) == (second["created_at"], ["b"])
    assert second["updated_at"] > first["updated_at"]


async def test_alias_and_deployment_never_share_a_name(house: ApiHouse) -> None:
    taken = await put(house, "a", b=1)
    assert (taken.status_code, taken.json()["error"]["code"]) == (409, "name_in_use")
    await put(house, a=1)
    refused = await house.client.put("/deployments/gpt", json={"engine": "simulated"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "name_in_use")
    assert "roundhouse alias rm gpt" in refused.json()["error"]["message"]


async def test_deployment_that_an_alias_names_is_not_undeployed(house: ApiHouse) -> None:
    await put(house, a=1, b=1)
    refused = await house.client.delete("/deployments/b")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "named_by_alias")
    await put(house, a=1)
    assert (await house.client.delete("/deployments/b")).status_code == 204
    assert (await house.client.delete("/aliases/gpt")).status_code == 204
    assert (await house.client.delete("/deployments/a")).status_code == 204


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"targets": [{"model": "none", "weight": 1}]}, 404),
        ({"targets": [{"model": "other", "weight": 1}]}, 404),  # an alias names deployments alone
        ({"targets": []}, 422),
        ({"targets": [{"model": "a", "weight": 0}]}, 422),
        ({"targets": [{"model": "a", "weight": 1}, {"model": "a", "weight": 2}]}, 422),
    ],
)
async def test_alias_that_cannot_be_is_refused(house: ApiHouse, body: dict[str, Any], status: int) -> None:
    await put(house, "other", a=1)
    assert (await house.client.put("/aliases/gpt", json=body)).status_code == status
    assert [each["name"] for each in (await house.client.get("/aliases")).json()] == ["other"]


async def test_alias_that_is_not_there_is_not_found(house: ApiHouse) -> None:
    assert (await house.client.get("/aliases/gpt")).status_code == 404
    assert (await house.client.delete("/aliases/gpt")).status_code == 404
