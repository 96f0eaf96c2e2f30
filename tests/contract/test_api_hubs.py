"""Hubs over the API: real clients against a hub on loopback."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from orchestrator.types import Model, ModelState, Revision
from tests.contract.api_house import ApiHouse, api_house
from tests.integration.hub_server import Hub, Listed, running_hub


@pytest.fixture
async def house(valkey_url: str, tmp_path: Path) -> AsyncIterator[ApiHouse]:
    home = tmp_path / "home"
    home.mkdir()
    async with api_house(valkey_url, home) as opened:
        yield opened


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    catalogue = (Listed("Qwen/Qwen3-0.6B", downloads=2), Listed("Qwen/Qwen3-8B", downloads=1))
    with running_hub({}, catalogue=catalogue) as running:
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield running


async def test_search_tells_what_to_import_and_what_the_library_has(house: ApiHouse, hub: Hub) -> None:
    revision = Revision(
        digest="1", arrival="1", source="hf:Qwen/Qwen3-0.6B@0123", state=ModelState.READY, created_at=1.0
    )
    await house.context.store.put_model(Model(name="small", created_at=1.0, revisions=(revision,)))
    found = await house.client.get("/hubs/hf/models", params={"query": " qwen3 "})
    assert found.status_code == 200, found.text
    assert [(each["source"], each["in_library"]) for each in found.json()] == [
        ("hf:Qwen/Qwen3-0.6B", "small"),
        ("hf:Qwen/Qwen3-8B", ""),
    ]
    assert hub.searched == ["qwen3"]


async def test_search_of_a_hub_that_fails_is_a_sentence(house: ApiHouse, hub: Hub) -> None:
    hub.search_status = 500
    failed = await house.client.get("/hubs/hf/models", params={"query": "qwen3"})
    error = failed.json()["error"]
    assert (failed.status_code, error["code"], "HF_ENDPOINT" in error["message"]) == (502, "source_unavailable", True)


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/hubs/hf/models", {}),
        ("/hubs/hf/models", {"query": "  "}),
        ("/hubs/hf/models", {"query": "a\0b"}),
        ("/hubs/hf/models", {"query": "x" * 201}),
        ("/hubs/other/models", {"query": "qwen3"}),
    ],
)
async def test_search_for_nothing_or_nowhere_is_refused(
    house: ApiHouse, hub: Hub, path: str, query: dict[str, str]
) -> None:
    assert (await house.client.get(path, params=query)).status_code == 422
    assert hub.searched == []


async def test_search_is_for_admins(house: ApiHouse, hub: Hub) -> None:
    stranger = {"authorization": "Bearer rh-nobody"}
    asked = await house.client.get("/hubs/hf/models", params={"query": "qwen3"}, headers=stranger)
    assert (asked.status_code, hub.searched) == (401, [])
