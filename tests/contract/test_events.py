"""Server-sent events: whole lists, only when they differ, only for those who may see them."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any, cast

import pytest

from orchestrator.api.events import stream_events
from router.types import Role
from tests.contract.api_house import ApiHouse, api_house


@pytest.fixture
async def house(valkey_url: str, tmp_path: Path) -> AsyncIterator[ApiHouse]:
    async with api_house(valkey_url, tmp_path) as opened:
        yield opened


async def listen(house: ApiHouse, role: Role) -> AsyncIterator[tuple[str, Any]]:
    """Events as a browser reads them."""
    who = (await house.context.accounts.create_key("listener", role))[1]
    response = await stream_events(cast(Any, house.context), who)
    async for chunk in response.body_iterator:
        text = chunk.decode() if isinstance(chunk, bytes) else str(chunk)
        if text.startswith("event: "):
            head, data = text.strip().split("\n", 1)
            yield head.removeprefix("event: "), json.loads(data.removeprefix("data: "))


async def test_events_to_an_admin_begin_with_every_list_and_then_tell_only_what_changed(house: ApiHouse) -> None:
    async with asyncio.timeout(10), aclosing(cast(Any, listen(house, Role.ADMIN))) as events:
        first = {name for name, _ in [await anext(events) for _ in range(9)]}
        assert first == {
            "catalog", "models", "uploads", "deployments", "swaps", "aliases", "replicas", "nodes", "problems"
        }  # fmt: skip
        await house.client.put("/deployments/chat", json={"engine": "simulated"})
        await house.tick()
        told = dict([await anext(events), await anext(events)])
        assert set(told) == {"catalog", "deployments"}
        assert [each["name"] for each in told["catalog"]] == ["chat"]
        assert told["catalog"][0]["status"] == "starting"


async def test_events_end_when_the_session_that_listens_is_revoked(house: ApiHouse) -> None:
    who = (await house.context.accounts.create_key("bob", Role.ADMIN))[1]
    response = await stream_events(cast(Any, house.context), who)
    async with asyncio.timeout(10):
        stream = aiter(response.body_iterator)
        for _ in range(9):
            await anext(stream)
        await house.client.delete("/keys/bob")
        assert [chunk async for chunk in stream] == []


async def test_events_to_a_user_hold_the_catalog_and_nothing_else(house: ApiHouse) -> None:
    async with asyncio.timeout(10), aclosing(cast(Any, listen(house, Role.USER))) as events:
        assert await anext(events) == ("catalog", [])
        await house.client.put("/deployments/chat", json={"engine": "simulated"})
        await house.tick()
        name, data = await anext(events)
        assert (name, data[0]["simulated"]) == ("catalog", True)


async def test_events_never_hold_the_key_of_an_engine_outside(house: ApiHouse) -> None:
    outside = {"name": "far", "url": "https://far.example/v1", "key": "sk-of-the-engine"}
    async with asyncio.timeout(10):
        for role, lists in ((Role.ADMIN, 5), (Role.USER, 1)):
            await house.client.put("/deployments/chat", json={"engine": "external", "external": [outside]})
            await house.tick()
            async with aclosing(cast(Any, listen(house, role))) as events:
                told = dict([await anext(events) for _ in range(lists)])
            assert told["catalog"][0]["status"] == "ready"
            assert "sk-of-the-engine" not in json.dumps(told)
            assert "far.example" not in json.dumps(told["catalog"]), "where it runs is not for users"
