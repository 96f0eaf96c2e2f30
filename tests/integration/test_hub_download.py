"""Real hub clients against a hub-shaped server: what is fetched, resumed, refused."""

import json
from pathlib import Path

import pytest

from orchestrator.errors import ModelRejectedError, SourceUnavailableError
from orchestrator.library import download
from orchestrator.library.sources import parse_source
from tests.integration.hub_server import COMMIT, Hub, running_hub
from tests.unit.orchestrator.test_library import CONFIG

WEIGHTS = bytes(range(256)) * 4096
FILES = {
    "config.json": json.dumps(CONFIG).encode(),
    "tokenizer.json": b"{}",
    "model.safetensors": WEIGHTS,
    "pytorch_model.bin": b"a pickle",
    "modeling_tiny.py": b"print('code')",
}
WANTED = {"config.json", "tokenizer.json", "model.safetensors"}


def point_at(hub: Hub | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    url = hub.url if hub else "http://127.0.0.1:9"
    for name in ("HF_ENDPOINT", "MODELSCOPE_ENDPOINT", "MODELSCOPE_DOMAIN"):
        monkeypatch.setenv(name, url)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("MODELSCOPE_CACHE", str(tmp_path / "ms"))
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.startswith(".")}


@pytest.mark.parametrize("kind", ["hf", "modelscope"])
async def test_download_from_a_hub_brings_what_an_engine_needs_and_tells_how_far_it_is(
    kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told: list[int] = []

    async def tell(done: int) -> None:
        told.append(done)

    with running_hub(FILES) as hub:
        point_at(hub, monkeypatch, tmp_path)
        source, listing = await download.find(parse_source(f"{kind}:owner/tiny"))
        assert listing.weights_bytes == len(WEIGHTS)
        assert listing.total_bytes == sum(len(FILES[name]) for name in WANTED)
        await download.fetch(source, listing, tmp_path / "model", tell)
    assert names_in(tmp_path / "model") == WANTED
    assert (tmp_path / "model" / "model.safetensors").read_bytes() == WEIGHTS
    assert told == sorted(told)
    assert told[-1] == listing.total_bytes


async def test_download_pins_the_commit_that_was_listed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with running_hub(FILES) as hub:
        point_at(hub, monkeypatch, tmp_path)
        _, listing = await download.find(parse_source("hf:owner/tiny"))
    assert listing.commit == COMMIT


async def test_download_cut_off_in_the_middle_goes_on_from_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def tell(_: int) -> None:
        return

    large = WEIGHTS * 32  # the client writes in pieces of 10 MiB; less than one would be lost with the connection
    with running_hub(FILES | {"model.safetensors": large}, cut_file="model.safetensors") as hub:
        point_at(hub, monkeypatch, tmp_path)
        source, listing = await download.find(parse_source("hf:owner/tiny"))
        try:
            await download.fetch(source, listing, tmp_path / "model", tell)
        except SourceUnavailableError:  # the client may go on by itself or leave it to the next try
            await download.fetch(source, listing, tmp_path / "model", tell)
        transfers = [first for name, first in hub.served if name == "model.safetensors"]
    assert (tmp_path / "model" / "model.safetensors").read_bytes() == large
    assert transfers[0] == 0
    assert 0 < transfers[-1] <= len(large) // 2, "the second transfer began where the first was cut"


async def test_download_of_a_model_that_no_hub_has_says_which_hub_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with running_hub(FILES) as hub:
        point_at(hub, monkeypatch, tmp_path)
        with pytest.raises(ModelRejectedError, match="does not give out owner/other"):
            await download.find(parse_source("owner/other"))


async def test_download_without_a_network_names_the_ways_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    point_at(None, monkeypatch, tmp_path)
    with pytest.raises(SourceUnavailableError, match=r"HF_ENDPOINT.*--model"):
        await download.find(parse_source("owner/tiny"))


async def test_download_onto_a_full_disk_is_refused_before_it_begins(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def tell(_: int) -> None:
        raise AssertionError("nothing must be fetched")

    listing = download.Listing(total_bytes=2**60, weights_bytes=2**60, commit="")
    with pytest.raises(ModelRejectedError, match="GiB more on disk"):
        await download.fetch(parse_source("hf:owner/tiny"), listing, tmp_path / "model", tell)


async def test_download_of_a_model_of_pickles_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with running_hub({"config.json": b"{}", "pytorch_model.bin": b"x"}) as hub:
        point_at(hub, monkeypatch, tmp_path)
        with pytest.raises(ModelRejectedError, match="no safetensors"):
            await download.find(parse_source("hf:owner/tiny"))
