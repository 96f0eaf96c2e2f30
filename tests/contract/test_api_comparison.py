"""What differs between two revisions, over the API: real folders, imported and published."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from orchestrator.types import ModelState, Revision
from tests.contract.api_house import ApiHouse, api_house
from tests.honest_models import LLAMA, llama_shapes, write_model

TEMPLATE = "{% for message in messages %}<{{ message['role'] }}>{{ message['content'] }}\n{% endfor %}"


@pytest.fixture
async def house(valkey_url: str, tmp_path: Path) -> AsyncIterator[ApiHouse]:
    home = tmp_path / "home"
    home.mkdir()
    async with api_house(valkey_url, home) as opened:
        yield opened


async def bring(house: ApiHouse, folder: Path) -> str:
    """Digest of the revision of `tiny` that the folder became."""
    answer = await house.client.post("/models", json={"source": str(folder), "name": "tiny"})
    assert answer.status_code == 202, answer.text
    shown = await house.wait_for_model("tiny")
    assert shown["reason"] == ""
    return str(shown["revision"])


async def changes(house: ApiHouse, digest: str, **query: str) -> dict[str, Any]:
    answer = await house.client.get(f"/models/tiny/revisions/{digest}/changes", params=query)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def edit(file: Path, **settings: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | settings))


async def test_changes_of_a_revision_are_those_since_the_one_before_it(house: ApiHouse, tmp_path: Path) -> None:
    folder = write_model(tmp_path / "tiny")
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    first = await bring(house, folder)
    edit(folder / "config.json", rope_theta=50000.0)
    (folder / "chat_template.jinja").write_text(TEMPLATE.replace("<{{", "[{{").replace("}}>", "}}]"))
    (folder / "NOTICE").write_text("Changed.\n")
    second = await bring(house, folder)
    write_model(folder, LLAMA | {"num_hidden_layers": 3, "rope_theta": 50000.0}, llama_shapes(3))
    third = await bring(house, folder)

    found = await changes(house, second)
    assert (found["before"], found["after"], found["equal"]) == (first, second, False)
    change = {"key": "rope_theta", "before": "10000.0", "after": "50000.0"}
    assert found["settings"] == [{"path": "config.json", "changes": [change], "more": 0}]
    (text,) = found["texts"]
    assert text["path"] == "chat_template.jinja"
    assert [line[0] for line in text["lines"]] == ["@", "-", "+", " "]
    assert found["files"] == [{"path": "NOTICE", "before_bytes": None, "after_bytes": 9}]
    assert (found["weights"]["same_files"], found["weights"]["after_files"]) == (1, 0)

    found = await changes(house, third, since=first)
    assert {each["key"] for file in found["settings"] for each in file["changes"]} == {
        "rope_theta",
        "num_hidden_layers",
    }
    weights = found["weights"]
    assert (weights["same_files"], weights["before_files"], weights["after_files"]) == (0, 1, 1)
    assert weights["before_bytes"] < weights["after_bytes"]
    back = await changes(house, first, since=third)
    assert (back["weights"]["before_bytes"], back["before"]) == (weights["after_bytes"], third)


async def test_revision_is_equal_to_itself(house: ApiHouse, tmp_path: Path) -> None:
    digest = await bring(house, write_model(tmp_path / "tiny"))
    found = await changes(house, digest, since=digest)
    assert (found["equal"], found["settings"], found["texts"], found["files"]) == (True, [], [], [])


async def test_changes_that_cannot_be_told_are_refused_with_the_reason(house: ApiHouse, tmp_path: Path) -> None:
    digest = await bring(house, write_model(tmp_path / "tiny"))
    rejected, unknown = "sha256:" + "1" * 64, "sha256:" + "2" * 64
    model = await house.context.records.get("tiny")
    broken = Revision(digest=rejected, arrival="1", source="upload", state=ModelState.REJECTED, created_at=1.0)
    both = structs.replace(model, revisions=(broken, *model.revisions))
    await house.context.records.change("tiny", lambda _: both)
    for path, status, words in (
        (f"/models/tiny/revisions/{digest}/changes", 404, "came before"),
        (f"/models/tiny/revisions/{unknown}/changes", 404, "has no revision"),
        (f"/models/tiny/revisions/{digest}/changes?since={unknown}", 404, "has no revision"),
        (f"/models/tiny/revisions/{digest}/changes?since={rejected}", 409, "does not have its files"),
        (f"/models/none/revisions/{digest}/changes", 404, "no model"),
    ):
        answer = await house.client.get(path)
        assert (answer.status_code, words in answer.json()["error"]["message"]) == (status, True), answer.text
    stranger = {"authorization": "Bearer rh-nobody"}
    assert (await house.client.get(f"/models/tiny/revisions/{digest}/changes", headers=stranger)).status_code == 401


async def test_changes_since_a_revision_whose_files_were_taken_away_say_so(house: ApiHouse, tmp_path: Path) -> None:
    folder = write_model(tmp_path / "tiny")
    await bring(house, folder)
    edit(folder / "config.json", rope_theta=50000.0)
    second = await bring(house, folder)
    standing = (await house.context.records.get("tiny")).standing
    assert standing is not None
    (Path(standing.path) / "config.json").unlink()
    answer = await house.client.get(f"/models/tiny/revisions/{second}/changes")
    assert (answer.status_code, "config.json is gone" in answer.text) == (404, True)
