"""Uploaded revisions over the API: pushed, verified, deployed, removed; and the process killed on the way."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.events import Changes
from orchestrator.library.records import ModelRecords
from orchestrator.library.revisions import Revisions
from orchestrator.store import Store
from orchestrator.types import ModelState
from tests.contract.api_house import ApiHouse, api_house
from tests.honest_models import LLAMA, llama_shapes, write_model

_TUS = {"tus-resumable": "1.0.0", "content-type": "application/offset+octet-stream"}


@pytest.fixture
async def house(valkey_url: str, tmp_path: Path) -> AsyncIterator[ApiHouse]:
    home = tmp_path / "home"
    home.mkdir()
    async with api_house(valkey_url, home) as opened:
        yield opened


def model(folder: Path, layers: int = 2) -> Path:
    write_model(folder, LLAMA | {"num_hidden_layers": layers}, llama_shapes(layers))
    return folder


def files_of(folder: Path) -> dict[str, bytes]:
    return {each.relative_to(folder).as_posix(): each.read_bytes() for each in folder.rglob("*") if each.is_file()}


async def begin(house: ApiHouse, folder: Path, name: str = "tiny", **fields: str) -> dict[str, Any]:
    """Everything sent; not complete yet."""
    files = files_of(folder)
    declared = [{"path": path, "size_bytes": len(data)} for path, data in files.items()]
    answer = await house.client.post("/uploads", json={"name": name, "files": declared, **fields})
    assert answer.status_code == 201, answer.text
    session: dict[str, Any] = answer.json()
    for file in session["files"]:
        headers = _TUS | {"upload-offset": "0"}
        sent = await house.client.patch(
            f"http://localhost{file['upload_url']}", content=files[file["path"]], headers=headers
        )
        assert sent.status_code == 204, sent.text
    return session


async def push(house: ApiHouse, folder: Path, name: str = "tiny", **fields: str) -> dict[str, Any]:
    """The revision, once it is ready or rejected."""
    session = await begin(house, folder, name, **fields)
    done = await house.client.post(f"/uploads/{session['id']}/complete")
    assert done.status_code == 200, done.text
    return await settled(house, name, done.json()["revision"])


async def settled(house: ApiHouse, name: str, digest: str) -> dict[str, Any]:
    async with asyncio.timeout(30):
        async for _ in house.context.changes():
            found = (await house.client.get(f"/models/{name}")).json()["revisions"]
            for each in found:
                if each["digest"] == digest and each["state"] in ("ready", "rejected"):
                    return dict(each)
    raise AssertionError("the changes ended")


async def test_pushed_weights_are_a_ready_revision_that_can_be_deployed(house: ApiHouse, tmp_path: Path) -> None:
    first = await push(house, model(tmp_path / "a"), description="a small one", notes="the first")
    assert (first["state"], first["architecture"], first["max_model_len"]) == ("ready", "LlamaForCausalLM", 128)
    second = await push(house, model(tmp_path / "b", layers=3), notes="one layer more")
    shown = (await house.client.get("/models/tiny")).json()
    assert (shown["state"], shown["source"], shown["description"]) == ("ready", "upload", "a small one")
    assert shown["revision"] == second["digest"] != first["digest"]
    assert [each["notes"] for each in shown["revisions"]] == ["the first", "one layer more"]
    for wanted, revision in ((None, second), (first["digest"], first), (second["digest"], second)):
        answer = await house.client.put("/deployments/tiny", json={"model": "tiny", "revision": wanted})
        assert (answer.status_code, answer.json()["revision"]) == (200, revision["digest"])
    deployment = await house.context.deployments.get("tiny")
    assert files_of(Path(deployment.weights_path)) == files_of(tmp_path / "b")
    missing = await house.client.put("/deployments/tiny", json={"model": "tiny", "revision": "sha256:" + "0" * 64})
    assert missing.status_code == 404


async def test_rejected_push_names_the_file_and_leaves_what_is_served(house: ApiHouse, tmp_path: Path) -> None:
    good = await push(house, model(tmp_path / "good"))
    bad = model(tmp_path / "bad", layers=3)
    (bad / "modeling_tiny.py").write_text("print('hello')")
    rejected = await push(house, bad)
    assert rejected["state"] == "rejected"
    assert "modeling_tiny.py" in rejected["reason"]
    shown = (await house.client.get("/models/tiny")).json()
    assert (shown["state"], shown["revision"]) == ("ready", good["digest"])
    refused = await house.client.put("/deployments/tiny", json={"model": "tiny", "revision": rejected["digest"]})
    assert refused.status_code == 404
    async with asyncio.timeout(10):
        while list((house.context.settings.home / "library" / "uploads").rglob("*.safetensors")):  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # the data of a rejected upload goes right after the verdict
    alone = await push(house, bad, name="other")
    assert (await house.client.get("/models/other")).json()["state"] == alone["state"] == "rejected"


async def test_same_weights_pushed_again_are_the_same_revision(house: ApiHouse, tmp_path: Path) -> None:
    folder = model(tmp_path / "a")
    first = await push(house, folder)
    assert (await push(house, folder))["digest"] == first["digest"]
    assert len((await house.client.get("/models/tiny")).json()["revisions"]) == 1


async def test_removed_revision_is_freed_but_not_while_it_is_deployed(house: ApiHouse, tmp_path: Path) -> None:
    first = await push(house, model(tmp_path / "a"))
    second = await push(house, model(tmp_path / "b", layers=3))
    await house.client.put("/deployments/tiny", json={"model": "tiny", "revision": first["digest"]})
    refused = await house.client.delete(f"/models/tiny/revisions/{first['digest']}")
    assert (refused.status_code, "deployed" in refused.json()["error"]["message"]) == (409, True)
    assert (await house.client.post("/library/gc")).json()["freed_bytes"] == 0
    assert (await house.client.delete(f"/models/tiny/revisions/{second['digest']}")).status_code == 204
    assert (await house.client.get("/models/tiny")).json()["revision"] == first["digest"]
    would = (await house.client.post("/library/gc", params={"dry_run": True})).json()
    assert would["revisions"] == [second["digest"]]
    freed = (await house.client.post("/library/gc")).json()
    assert freed | {"dry_run": True} == would
    # What the two have in common (tokenizer, template) stays.
    assert 0 < freed["contents"] < len(files_of(tmp_path / "b"))
    deployment = await house.context.deployments.get("tiny")
    assert files_of(Path(deployment.weights_path)) == files_of(tmp_path / "a")


async def test_uploads_are_for_admins(house: ApiHouse) -> None:
    for method, path in (("POST", "/uploads"), ("GET", "/uploads"), ("POST", "/library/gc")):
        answer = await house.client.request(method, path, headers={"authorization": "Bearer rh-nobody"}, json={})
        assert answer.status_code == 401, path


class KilledError(BaseException):
    """The process ends here, as far as the library is concerned."""


@pytest.mark.parametrize("step", ["revision-noted", "revision-verified", "revision-published", "revision-settled"])
async def test_orchestrator_killed_as_it_takes_a_revision_over_ends_with_it_ready(
    house: ApiHouse, valkey_url: str, tmp_path: Path, step: str
) -> None:
    killed = asyncio.Event()

    def reached(at: str) -> None:
        if at == step:
            killed.set()
            raise KilledError(at)

    await house.context.revisions.stop()
    async with Store(valkey_url) as store:
        folder = house.context.settings.home / "library"
        records = ModelRecords(store, Changes())
        dying = Revisions(folder, records, reached=reached)
        object.__setattr__(house.context, "revisions", dying)
        await dying.start()
        session = await begin(house, model(tmp_path / "a"))
        asking = asyncio.gather(house.client.post(f"/uploads/{session['id']}/complete"), return_exceptions=True)
        async with asyncio.timeout(30):
            await killed.wait()
        asking.cancel()
        after = Revisions(folder, records)
        await after.start()
        async with asyncio.timeout(30):
            while (await records.all())["tiny"].state is not ModelState.READY:  # noqa: ASYNC110
                await asyncio.sleep(0.01)  # two writers of one store: the dead one tells nobody
        (revision,) = (await records.get("tiny")).revisions
        assert revision.state is ModelState.READY
        assert files_of(Path(revision.path)) == files_of(tmp_path / "a")
        await after.stop()
