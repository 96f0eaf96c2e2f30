"""Chats and templates over a real store: kept, found, bounded, and nobody else's."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from orchestrator.accounts import csrf_token_of
from orchestrator.chat_types import ChatLimits, ChatText
from orchestrator.chats import Chats
from orchestrator.errors import InvalidRequestError
from tests.contract.api_house import ADMIN_KEY, ApiHouse, api_house

SETTINGS: dict[str, Any] = {
    "system_prompt": "Be brief.",
    "temperature": 0.5,
    "top_p": None,
    "max_tokens": None,
    "context_tokens": None,
    "stop": [],
    "seed": None,
    "stream": True,
}


def message(message_id: str, parent: str | None, role: str, content: str, **changes: Any) -> dict[str, Any]:
    said = {"id": message_id, "parent": parent, "role": role, "content": content, "created_at": 1.0}
    empty = {"reasoning": "", "model": "", "revision": "", "finish": "", "stats": None, "failure": None}
    return {**said, **empty, "images": [], **changes}


ASKED = message("q", None, "user", "Where is the Bodensee?")
FIRST = message("a1", "q", "assistant", "In Central Europe.", model="m", finish="complete")
SECOND = message("a2", "q", "assistant", "Between three countries.", model="m", finish="complete")


def chat_of(*messages: dict[str, Any], version: int = 0, **changes: Any) -> dict[str, Any]:
    leaf = messages[-1]["id"] if messages else None
    text = {"messages": list(messages), "leaf": leaf, "other_model": None, "settings": SETTINGS}
    return {"version": version, "title": "Geography", "model": "m", "text": text | changes}


@pytest.fixture
async def house(valkey_url: str, tmp_path: Path) -> AsyncIterator[ApiHouse]:
    async with api_house(valkey_url, tmp_path) as opened:
        yield opened


async def user_of(house: ApiHouse, name: str) -> dict[str, str]:
    key = (await house.client.post("/keys", json={"name": name})).json()["key"]
    return {"authorization": f"Bearer {key}"}


async def keep(house: ApiHouse, chat_id: str = "c1", *messages: dict[str, Any], **changes: Any) -> httpx.Response:
    return await house.client.put(f"/chats/{chat_id}", json=chat_of(*(messages or (ASKED, FIRST)), **changes))


def code_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


async def test_chat_read_again_is_what_was_put(house: ApiHouse) -> None:
    kept = await keep(house, "c1", ASKED, FIRST, SECOND)
    assert (kept.status_code, kept.json()["version"], kept.json()["snippet"]) == (200, 1, "Between three countries.")
    read = (await house.client.get("/chats/c1")).json()
    assert read["text"] == chat_of(ASKED, FIRST, SECOND)["text"]
    assert [each["id"] for each in (await house.client.get("/chats")).json()] == ["c1"]


async def test_second_writer_of_the_same_version_is_refused_and_nothing_is_lost(house: ApiHouse) -> None:
    await keep(house)
    assert (await keep(house, "c1", ASKED, FIRST, SECOND, version=1)).json()["version"] == 2
    assert code_of(await keep(house, "c1", ASKED, version=1)) == (409, "chat_changed")
    assert len((await house.client.get("/chats/c1")).json()["text"]["messages"]) == 3


async def test_rename_pin_and_folder_do_not_stand_in_a_writers_way(house: ApiHouse) -> None:
    await keep(house)
    changed = await house.client.patch("/chats/c1", json={"title": "Lakes", "pinned": True, "folder": "Maps"})
    assert (changed.json()["title"], changed.json()["pinned"], changed.json()["folder"]) == ("Lakes", True, "Maps")
    kept = await keep(house, "c1", ASKED, version=1)
    assert (kept.json()["title"], kept.json()["folder"], kept.json()["version"]) == ("Lakes", "Maps", 2)


async def test_deleted_chat_is_gone_and_is_not_written_again_by_an_open_page(house: ApiHouse) -> None:
    await keep(house)
    assert (await house.client.delete("/chats/c1")).status_code == 204
    assert code_of(await house.client.get("/chats/c1")) == (404, "chat_gone")
    assert code_of(await keep(house, version=1)) == (404, "chat_gone")
    assert code_of(await house.client.patch("/chats/c1", json={"title": "x"})) == (404, "chat_gone")


async def test_chats_and_templates_of_one_are_not_seen_by_another_nor_by_an_admin(house: ApiHouse) -> None:
    bob, eve = await user_of(house, "bob"), await user_of(house, "eve")
    assert (await house.client.put("/chats/c1", json=chat_of(ASKED), headers=bob)).status_code == 200
    template = [{"title": "Mine", "category": "office", "text": "Hi"}]
    assert (await house.client.post("/templates", json=template, headers=bob)).status_code == 201
    for headers in (eve, {}):
        for path in ("/chats", "/chats?search=Bodensee", "/templates"):
            assert (await house.client.get(path, headers=headers)).json() == []
        for path in ("/chats/c1", "/chats/c1/export"):
            assert (await house.client.get(path, headers=headers)).status_code == 404
        await house.client.delete("/chats/c1", headers=headers)
    assert (await house.client.get("/chats/c1", headers=bob)).status_code == 200


async def test_session_has_the_chats_of_its_key(house: ApiHouse) -> None:
    await keep(house)
    opened = await house.client.post("/session", json={"key": ADMIN_KEY}, headers={"authorization": ""})
    token = opened.cookies["roundhouse_session"]
    page = {"authorization": "", "cookie": f"roundhouse_session={token}"}
    assert len((await house.client.get("/chats", headers=page)).json()) == 1
    change = {"pinned": True}
    assert code_of(await house.client.patch("/chats/c1", headers=page, json=change)) == (403, "csrf")
    signed = page | {"x-roundhouse-csrf": csrf_token_of(token)}
    assert (await house.client.patch("/chats/c1", headers=signed, json=change)).status_code == 200


@pytest.mark.parametrize("path", ["/chats", "/chats/c1", "/chats/c1/export", "/templates"])
async def test_request_without_a_key_is_refused(house: ApiHouse, path: str) -> None:
    assert (await house.client.get(path, headers={"authorization": ""})).status_code == 401


@pytest.mark.parametrize("words", ["bodensee", "BETWEEN  three", "geogr"])
async def test_search_finds_titles_and_every_branch(house: ApiHouse, words: str) -> None:
    await keep(house, "c1", ASKED, SECOND, FIRST)
    other = chat_of(message("q", None, "user", "Salt?")) | {"title": "Cooking"}
    await house.client.put("/chats/c2", json=other)
    found = (await house.client.get("/chats", params={"search": words})).json()
    assert [each["id"] for each in found] == ["c1"]


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ((ASKED, ASKED), "Two messages"),
        ((FIRST, ASKED), "before its parent"),
        ((message("q", None, "user", "x", images=["data:text/html;base64,PHA+"]),), "images"),
        ((message("q", None, "system", "x"),), "role"),
    ],
)
async def test_messages_that_are_no_tree_of_turns_are_refused(
    house: ApiHouse, messages: tuple[dict[str, Any], ...], words: str
) -> None:
    answer = await keep(house, "c1", *messages)
    assert answer.status_code == 422
    assert words in answer.json()["error"]["message"]


async def test_chat_that_is_too_long_is_refused(house: ApiHouse) -> None:
    long = message("q", None, "user", "x" * 950_000)
    assert code_of(await keep(house, "c1", long)) == (422, "chat_too_long")


async def test_name_of_a_chats_model_is_bounded_like_that_of_any_model(house: ApiHouse) -> None:
    for name, expected in (("m" * 129, 422), ("m" * 128, 200)):
        assert (await house.client.put("/chats/c1", json=chat_of(ASKED) | {"model": name})).status_code == expected
        said = message("q", None, "user", "x", model=name)
        assert (await house.client.put("/chats/c2", json=chat_of(said))).status_code == expected
    imported = {"model": "m" * 129, "messages": [{"role": "user", "content": "Hi"}]}
    assert (await house.client.post("/chats", json=imported)).status_code == 422


async def test_chats_and_templates_go_with_their_key(house: ApiHouse, valkey_url: str) -> None:
    made = (await house.client.post("/keys", json={"name": "bob"})).json()
    bob = {"authorization": f"Bearer {made['key']}"}
    await house.client.put("/chats/c1", json=chat_of(ASKED), headers=bob)
    await house.client.post("/templates", json=[{"title": "a", "category": "office", "text": "b"}], headers=bob)
    async with Redis.from_url(valkey_url) as store:
        assert len(await store.keys(f"*{made['id']}*")) == 3
        await house.client.delete("/keys/bob")
        assert await store.keys(f"*{made['id']}*") == []


async def test_chats_of_the_homes_admin_stay_when_its_key_is_replaced(house: ApiHouse, tmp_path: Path) -> None:
    await keep(house)
    await house.client.delete("/keys/admin")
    fresh = {"authorization": f"Bearer {(tmp_path / 'admin.key').read_text()}"}
    assert [each["id"] for each in (await house.client.get("/chats", headers=fresh)).json()] == ["c1"]


@pytest.mark.parametrize("limits", [ChatLimits(chats=1), ChatLimits(total_bytes=300)])
async def test_one_chat_too_many_is_refused_but_what_is_there_can_be_written(
    house: ApiHouse, limits: ChatLimits
) -> None:
    chats = Chats(house.context.store, limits)
    empty = ChatText()
    await chats.put("bob", "c1", empty, version=0, title="", model=None)
    with pytest.raises(InvalidRequestError) as refused:
        await chats.put("bob", "c2", empty, version=0, title="", model=None)
    assert refused.value.code == "chats_full"
    assert (await chats.put("bob", "c1", empty, version=1, title="", model=None)).version == 2
    await chats.put("eve", "c2", empty, version=0, title="", model=None)


async def test_writers_at_the_same_moment_are_told_apart(house: ApiHouse) -> None:
    answers = await asyncio.gather(*(keep(house, "c1") for _ in range(8)))
    assert sorted(each.status_code for each in answers) == [200, *[409] * 7]


async def test_export_is_a_file_and_import_reads_it_back(house: ApiHouse) -> None:
    await keep(house, "c1", ASKED, SECOND, FIRST)
    await house.client.patch("/chats/c1", json={"title": "../ 湖 & <b>"})
    exported = await house.client.get("/chats/c1/export")
    assert exported.headers["content-disposition"] == "attachment; filename*=UTF-8''%E6%B9%96-b.json"
    body = exported.json()
    assert [each["content"] for each in body["messages"]] == ["Be brief.", ASKED["content"], FIRST["content"]]
    copy = (await house.client.post("/chats", json=body)).json()
    read = (await house.client.get(f"/chats/{copy['id']}")).json()
    assert copy["title"] == "../ 湖 & <b>"
    assert [each["content"] for each in read["text"]["messages"]] == [ASKED["content"], FIRST["content"]]
    assert read["text"]["settings"]["system_prompt"] == "Be brief."
    markdown = await house.client.get("/chats/c1/export", params={"format": "markdown"})
    assert markdown.text.startswith("# ../ 湖 & <b>\n\n> Be brief.\n\n## User\n\nWhere")


async def test_templates_are_kept_changed_and_deleted(house: ApiHouse) -> None:
    wanted = [{"title": title, "category": "study", "text": "Explain {{topic}}."} for title in ("B", "a")]
    await house.client.post("/templates", json=wanted)
    listed = (await house.client.get("/templates")).json()
    assert [each["title"] for each in listed] == ["a", "B"]
    path = f"/templates/{listed[0]['id']}"
    changed = await house.client.put(path, json={"title": "z", "category": "office", "text": "t"})
    assert (changed.json()["title"], changed.json()["category"]) == ("z", "office")
    assert (await house.client.delete(path)).status_code == 204
    assert (await house.client.put(path, json=wanted[0])).status_code == 404
    assert [each["title"] for each in (await house.client.get("/templates")).json()] == ["B"]
