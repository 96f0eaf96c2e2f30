"""Imports over the API: from a folder to an immutable revision, again, refused, cut off, cancelled."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.sentences import Saying, say
from orchestrator.types import Import, Model, ModelState, Progress, Revision
from tests.contract.api_house import ApiHouse, api_house
from tests.honest_models import LLAMA, llama_shapes, write_model


@pytest.fixture
async def house(valkey_url: str, tmp_path: Path) -> AsyncIterator[ApiHouse]:
    home = tmp_path / "home"
    home.mkdir()
    async with api_house(valkey_url, home) as opened:
        yield opened


def model(folder: Path, layers: int = 2) -> Path:
    write_model(folder, LLAMA | {"num_hidden_layers": layers}, llama_shapes(layers))
    return folder


async def bring(house: ApiHouse, folder: Path, **fields: object) -> dict[str, Any]:
    """The model, once the import has ended."""
    answer = await house.client.post("/models", json={"source": str(folder), **fields})
    assert answer.status_code == 202, answer.text
    return await house.wait_for_model(answer.json()["name"])


async def test_imported_folder_is_a_revision_that_later_changes_of_the_folder_do_not_reach(
    house: ApiHouse, tmp_path: Path
) -> None:
    folder = model(tmp_path / "tiny")
    shown = await bring(house, folder, notes="the first", description="a small one")
    assert (shown["state"], shown["architecture"], shown["task"]) == ("ready", "LlamaForCausalLM", "generate")
    (revision,) = shown["revisions"]
    assert (revision["digest"], revision["notes"], revision["source"]) == (shown["revision"], "the first", str(folder))
    await house.client.put("/deployments/chat", json={"model": "tiny"})
    weights = Path((await house.context.deployments.get("chat")).weights_path)
    before = (weights / "config.json").read_bytes()
    (folder / "config.json").write_text("{}")
    assert (weights / "config.json").read_bytes() == before != b"{}"


async def test_folder_imported_with_link_shares_its_files(house: ApiHouse, tmp_path: Path) -> None:
    folder = model(tmp_path / "tiny")
    await bring(house, folder, link=True)
    standing = (await house.context.records.get("tiny")).standing
    assert standing is not None
    assert (Path(standing.path) / "model.safetensors").samefile(folder / "model.safetensors")


async def test_folder_imported_again_is_looked_at_again_unless_only_what_is_missing_is_wanted(
    house: ApiHouse, tmp_path: Path
) -> None:
    folder = model(tmp_path / "tiny")
    first = await bring(house, folder)
    model(folder, layers=3)
    left = await bring(house, folder, only_if_missing=True)
    assert (left["revision"], len(left["revisions"])) == (first["revision"], 1)
    second = await bring(house, folder)
    assert (second["revision"] != first["revision"], len(second["revisions"])) == (True, 2)
    model(folder)
    back = await bring(house, folder)
    assert (back["revision"], len(back["revisions"])) == (first["revision"], 2), "what came last is stood for"


async def test_other_source_under_a_name_that_is_taken_is_refused_unless_the_name_is_given(
    house: ApiHouse, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    first = await bring(house, model(tmp_path / "tiny"))
    other = model(tmp_path / "other" / "tiny", layers=3)
    refused = await house.client.post("/models", json={"source": str(other)})
    assert (refused.status_code, "--name tiny" in refused.text) == (409, True)
    second = await bring(house, other, name="tiny")
    assert [each["digest"] for each in second["revisions"]] == [first["revision"], second["revision"]]


async def test_folder_that_cannot_be_served_is_rejected_and_leaves_nothing(house: ApiHouse, tmp_path: Path) -> None:
    folder = model(tmp_path / "bad")
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04x")
    shown = await bring(house, folder)
    assert (shown["state"], "pytorch_model.bin" in shown["reason"]) == ("rejected", True)
    deployed = await house.client.put("/deployments/bad", json={"model": "bad"})
    assert (deployed.status_code, "pytorch_model.bin" in deployed.text) == (409, True)
    imports = house.context.settings.home / "library" / "imports"
    await house.context.imports.stop()
    assert list(imports.iterdir()) == []


async def test_import_that_fails_leaves_a_ready_model_as_it_was_and_says_why(house: ApiHouse, tmp_path: Path) -> None:
    folder = model(tmp_path / "tiny")
    first = await bring(house, folder)
    (folder / "config.json").write_text("{}")
    shown = await bring(house, folder)
    assert (shown["state"], shown["revision"]) == ("ready", first["revision"])
    assert "config.json" in shown["reason"]


async def test_folder_of_links_as_hub_caches_have_is_taken_with_what_they_lead_to(
    house: ApiHouse, tmp_path: Path
) -> None:
    real, folder = model(tmp_path / "hub" / "blobs"), tmp_path / "hub" / "snapshots" / "snapshot"
    folder.mkdir(parents=True)
    for path in real.iterdir():
        (folder / path.name).symlink_to(path)
    assert (await bring(house, folder))["state"] == "ready"
    straight = await bring(house, real)
    assert straight["revision"] == (await house.context.records.get("snapshot")).revision


async def test_folder_with_a_link_that_leads_out_of_it_is_refused_by_name(house: ApiHouse, tmp_path: Path) -> None:
    folder, secret = model(tmp_path / "tiny"), tmp_path / "id_rsa"
    secret.write_text("secret")
    (folder / "LICENSE").unlink()
    (folder / "LICENSE").symlink_to(secret)
    for link in (False, True):
        shown = await bring(house, folder, link=link)
        assert (shown["state"], "LICENSE is a link" in shown["reason"]) == ("rejected", True)


async def test_revision_whose_files_are_lost_is_mended_by_the_next_import(house: ApiHouse, tmp_path: Path) -> None:
    folder = model(tmp_path / "tiny")
    first = await bring(house, folder)
    shutil.rmtree(house.context.settings.home / "library" / "contents" / "revisions")
    (house.context.settings.home / "library" / "contents" / "revisions").mkdir()
    again = await bring(house, folder, only_if_missing=True)
    assert (again["state"], again["revision"], len(again["revisions"])) == ("ready", first["revision"], 1)
    standing = (await house.context.records.get("tiny")).standing
    assert standing is not None
    assert _holds_a_config(standing.path)


def _holds_a_config(folder: str) -> bool:
    return Path(folder, "config.json").is_file()


async def test_two_imports_of_one_name_at_once_are_one(house: ApiHouse, tmp_path: Path) -> None:
    folder = model(tmp_path / "tiny")
    both = await asyncio.gather(*(house.client.post("/models", json={"source": str(folder)}) for _ in range(2)))
    assert [answer.status_code for answer in both] == [202, 202]
    assert (await house.wait_for_model("tiny"))["state"] == "ready"


async def test_import_cancelled_and_begun_again_at_once_is_ready(house: ApiHouse, tmp_path: Path) -> None:
    folder = model(tmp_path / "tiny")
    for _ in range(3):
        await house.client.post("/models", json={"source": str(folder)})
        await house.client.delete("/models/tiny/import")
    assert (await bring(house, folder))["state"] == "ready"


def cut_off(source: str, name: str) -> Model:
    wanted = Import(id="1", source=source, progress=Progress(phase=say(Saying.COPYING), started_at=1.0))
    return Model(name=name, created_at=1.0, importing=wanted)


async def test_import_cut_off_by_a_stop_is_taken_up_at_the_next_start(house: ApiHouse, tmp_path: Path) -> None:
    await house.context.store.put_model(cut_off(str(model(tmp_path / "tiny")), "tiny"))
    await house.context.imports.resume()
    assert (await house.wait_for_model("tiny"))["state"] == "ready"


async def test_import_cut_off_with_its_folder_gone_is_rejected_at_the_next_start(house: ApiHouse) -> None:
    await house.context.store.put_model(cut_off("/no/such/folder", "gone"))
    await house.context.imports.resume()
    assert (await house.wait_for_model("gone"))["state"] == "rejected"


async def test_import_cut_off_while_it_was_verified_is_one_ready_revision(house: ApiHouse, tmp_path: Path) -> None:
    folder = model(tmp_path / "tiny")
    digest = (await bring(house, folder, name="before"))["revision"]
    noted = Revision(
        digest=digest, arrival="1", source=str(folder), state=ModelState.VERIFYING, created_at=1.0, size_bytes=1
    )
    half = cut_off(str(folder), "tiny")
    await house.context.store.put_model(
        Model(name="tiny", created_at=1.0, importing=half.importing, revisions=(noted,))
    )
    await house.context.imports.resume()
    shown = await house.wait_for_model("tiny")
    assert [(each["digest"], each["state"]) for each in shown["revisions"]] == [(digest, "ready")]


async def test_cancelled_import_ends_and_the_model_says_so(house: ApiHouse, tmp_path: Path) -> None:
    await house.client.post("/models", json={"source": str(model(tmp_path / "tiny"))})
    assert (await house.client.delete("/models/tiny/import")).status_code == 204
    shown = (await house.client.get("/models/tiny")).json()
    assert (shown["state"], shown["reason"]) == ("rejected", "The import was cancelled.")
    assert all(each["state"] != "verifying" for each in shown["revisions"])
    assert (await house.client.delete("/models/none/import")).status_code == 404


async def test_described_model_keeps_what_is_not_said_anew(house: ApiHouse, tmp_path: Path) -> None:
    await bring(house, model(tmp_path / "tiny"), description="a small one")
    said = await house.client.patch("/models/tiny", json={"tags": ["law", "law", "german"], "licence": "Apache-2.0"})
    assert said.status_code == 200, said.text
    assert (said.json()["description"], said.json()["tags"]) == ("a small one", ["law", "german"])
    back = await house.client.patch("/models/tiny", json={"task": "embed", "description": ""})
    assert (back.json()["task"], back.json()["description"], back.json()["licence"]) == ("embed", "", "Apache-2.0")
    assert (await house.client.patch("/models/none", json={"task": "embed"})).status_code == 404
    assert (await house.client.patch("/models/tiny", json={"tags": ["a,b"]})).status_code == 422
