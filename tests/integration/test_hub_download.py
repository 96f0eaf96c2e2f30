"""Real hub clients against a hub-shaped server: what is fetched, resumed, refused."""

from pathlib import Path

import pytest

from orchestrator.errors import ModelRejectedError, SourceUnavailableError
from orchestrator.library import download
from orchestrator.library.listing import Listing, RemoteFile
from orchestrator.library.sources import parse_source
from tests.integration.hub_server import COMMIT, Hub, running_hub

WEIGHTS = bytes(range(256)) * 4096
FILES = {
    "config.json": b'{"architectures": ["LlamaForCausalLM"]}',
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


async def ignore(_: int) -> None:
    return


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


@pytest.mark.parametrize("kind", ["hf", "modelscope"])
@pytest.mark.parametrize("revision", ["", "@v1", f"@{COMMIT}"])
async def test_download_is_pinned_to_the_commit_that_the_revision_stood_for(
    kind: str, revision: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with running_hub(FILES) as hub:
        point_at(hub, monkeypatch, tmp_path)
        source, listing = await download.find(parse_source(f"{kind}:owner/tiny{revision}"))
        assert source.pinned(listing.commit) == f"{kind}:owner/tiny@{COMMIT}"
        hub.asked.clear()
        await download.fetch(source, listing, tmp_path / "model", ignore)
    assert hub.asked <= {COMMIT, ""}, "nothing is fetched at a revision that may move"
    assert names_in(tmp_path / "model") == WANTED


@pytest.mark.parametrize("kind", ["hf", "modelscope"])
async def test_download_of_a_revision_that_does_not_exist_is_refused(
    kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with running_hub(FILES) as hub:
        point_at(hub, monkeypatch, tmp_path)
        with pytest.raises(ModelRejectedError, match="does not give out owner/tiny at nowhere"):
            await download.find(parse_source(f"{kind}:owner/tiny@nowhere"))


async def test_download_from_a_hub_that_names_no_commit_is_pinned_to_its_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with running_hub(FILES) as hub:
        hub.names_commits = False
        point_at(hub, monkeypatch, tmp_path)
        source, listing = await download.find(parse_source("modelscope:owner/tiny"))
        pinned = parse_source(source.pinned(listing.commit))
        assert pinned.revision.startswith("sha256:")
        await download.fetch(*await download.find(pinned), tmp_path / "model", ignore)
        assert names_in(tmp_path / "model") == WANTED
        hub.files = FILES | {"tokenizer.json": b"[]"}
        with pytest.raises(ModelRejectedError, match="has changed since"):
            await download.find(pinned)


async def test_download_of_gguf_files_brings_the_one_that_was_picked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    packed = {f"tiny.{kind}.gguf": kind.encode() for kind in ("Q4_0", "Q8_0")} | {"README.md": b"which to take"}
    with running_hub(packed) as hub:
        point_at(hub, monkeypatch, tmp_path)
        with pytest.raises(ModelRejectedError, match=r"as in hf:owner/tiny#tiny\.Q8_0\.gguf"):
            await download.find(parse_source("hf:owner/tiny"))
        source, listing = await download.find(parse_source("hf:owner/tiny#tiny.Q4_0.gguf"))
        await download.fetch(source, listing, tmp_path / "model", ignore)
    assert names_in(tmp_path / "model") == {"tiny.Q4_0.gguf"}
    assert source.pinned(listing.commit) == f"hf:owner/tiny@{COMMIT}#tiny.Q4_0.gguf"


async def test_download_into_the_folder_of_an_earlier_commit_leaves_nothing_of_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "model" / "old").mkdir(parents=True)
    (tmp_path / "model" / "old" / "gone.safetensors").write_bytes(b"x")
    with running_hub(FILES) as hub:
        point_at(hub, monkeypatch, tmp_path)
        await download.fetch(*await download.find(parse_source("hf:owner/tiny")), tmp_path / "model", ignore)
    assert {str(path.relative_to(tmp_path / "model")) for path in (tmp_path / "model").rglob("*")} == WANTED


async def test_download_cut_off_in_the_middle_goes_on_from_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    large = WEIGHTS * 32  # the client writes in pieces of 10 MiB; less than one would be lost with the connection
    with running_hub(FILES | {"model.safetensors": large}, cut_file="model.safetensors") as hub:
        point_at(hub, monkeypatch, tmp_path)
        source, listing = await download.find(parse_source("hf:owner/tiny"))
        try:
            await download.fetch(source, listing, tmp_path / "model", ignore)
        except SourceUnavailableError:  # the client may go on by itself or leave it to the next try
            await download.fetch(source, listing, tmp_path / "model", ignore)
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

    listing = Listing(commit="", files=(RemoteFile("model.safetensors", 2**60),))
    with pytest.raises(ModelRejectedError, match="GiB more on disk"):
        await download.fetch(parse_source("hf:owner/tiny"), listing, tmp_path / "model", tell)


async def test_download_of_a_model_of_pickles_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with running_hub({"config.json": b"{}", "pytorch_model.bin": b"x"}) as hub:
        point_at(hub, monkeypatch, tmp_path)
        with pytest.raises(ModelRejectedError, match="no safetensors"):
            await download.find(parse_source("hf:owner/tiny"))
