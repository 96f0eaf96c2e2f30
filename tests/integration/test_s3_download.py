"""The real S3 client against a real S3 server: what is fetched, resumed, refused."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.errors import ModelRejectedError, SourceUnavailableError
from orchestrator.library import download
from orchestrator.library.listing import Listing
from orchestrator.library.sources import parse_source
from tests.integration.s3_server import BUCKET, Storage, asking_for_rights, running_storage, way_to

WEIGHTS = bytes(range(256)) * 2**15  # 8 MiB
FILES = {
    "config.json": b'{"architectures": ["LlamaForCausalLM"]}',
    "tokenizer.json": b"{}",
    "empty.txt": b"",
    "model-00001-of-00002.safetensors": WEIGHTS,
    "model-00002-of-00002.safetensors": WEIGHTS[::-1],
    "pytorch_model.bin": b"a pickle",
    "modeling_tiny.py": b"print('code')",
    "model.gguf": b"GGUF",
}
WANTED = {name: content for name, content in FILES.items() if name.endswith((".json", ".txt", ".safetensors"))}
LARGE = "model-00001-of-00002.safetensors"
SOURCE = f"s3://{BUCKET}/teams/tiny"


@pytest.fixture(scope="module")
def server() -> Iterator[Storage]:
    with running_storage() as storage:
        yield storage


@pytest.fixture
def storage(server: Storage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Storage:
    server.empty()
    for name, content in FILES.items():
        server.put(f"teams/tiny/{name}", content)
    server.put("teams/tiny-other/model.safetensors", b"of another model")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    return server


def content_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def ignore(_: int) -> None:
    return


async def test_download_from_a_bucket_brings_what_an_engine_needs_and_tells_how_far_it_is(
    storage: Storage, tmp_path: Path
) -> None:
    told: list[int] = []

    async def tell(done: int) -> None:
        told.append(done)

    source, listing = await download.find(parse_source(SOURCE))
    assert listing.weights_bytes == 2 * len(WEIGHTS)
    await download.fetch(source, listing, tmp_path / "model", tell)
    assert content_of(tmp_path / "model") == WANTED
    assert not list((tmp_path / "model").glob(".*")), "no partial file stays behind"
    assert told == sorted(told)


async def test_download_from_a_bucket_is_pinned_to_its_keys_etags_and_sizes(storage: Storage) -> None:
    source, listing = await download.find(parse_source(SOURCE))
    storage.put("teams/tiny/unrelated.bin", b"is not fetched, so it changes nothing")
    _, again = await download.find(parse_source(SOURCE))
    assert listing.commit == again.commit
    pinned = parse_source(source.pinned(listing.commit))
    assert (await download.find(pinned))[1] == again
    storage.put("teams/tiny/tokenizer.json", b"[]")
    with pytest.raises(ModelRejectedError, match="has changed since"):
        await download.find(pinned)


async def test_download_from_a_bucket_whose_connection_is_cut_goes_on_at_the_byte_where_it_was(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with way_to(storage, f"teams/tiny/{LARGE}", stop_after=3 * 2**20) as way:
        monkeypatch.setenv("AWS_ENDPOINT_URL", way.url)
        source, listing = await download.find(parse_source(SOURCE))
        await download.fetch(source, listing, tmp_path / "model", ignore)
    assert content_of(tmp_path / "model") == WANTED
    firsts = [first for key, first in way.asked if key.endswith(LARGE)]
    assert firsts[0] == 0
    assert 2**20 < firsts[1] < 4 * 2**20


async def test_download_from_a_bucket_goes_on_where_a_killed_process_was(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    all_but_one_came = asyncio.Event()

    async def look(done: int) -> None:
        if done >= listing.total_bytes - len(WEIGHTS) + 4 * 2**20:
            all_but_one_came.set()

    async with way_to(storage, f"teams/tiny/{LARGE}", stop_after=5 * 2**20, held=True) as way:
        monkeypatch.setenv("AWS_ENDPOINT_URL", way.url)
        source, listing = await download.find(parse_source(SOURCE))
        first = asyncio.create_task(download.fetch(source, listing, folder, look))
        await way.stopped.wait()
        await all_but_one_came.wait()
        first.cancel()  # kills the process
        await asyncio.gather(first, return_exceptions=True)
        kept = max(path.stat().st_size for path in partial_files(folder) if path.stat().st_size < len(WEIGHTS))
        await download.fetch(source, listing, folder, ignore)
    assert content_of(folder) == WANTED
    assert [first for key, first in way.asked if key.endswith(LARGE)] == [0, kept]
    whole = [key for key, _ in way.asked if key.endswith("00002-of-00002.safetensors")]
    assert len(whole) == 1, "what was there whole is not fetched again"


def partial_files(folder: Path) -> list[Path]:
    return list((folder / ".cache" / "s3").glob("*"))


async def test_download_of_an_object_that_is_replaced_meanwhile_is_refused_and_mixes_nothing(
    storage: Storage, tmp_path: Path
) -> None:
    source, listing = await download.find(parse_source(SOURCE))
    storage.put(f"teams/tiny/{LARGE}", WEIGHTS[::-1])
    with pytest.raises(ModelRejectedError, match=f"{LARGE} was replaced or removed"):
        await download.fetch(source, listing, tmp_path / "model", ignore)
    assert not (tmp_path / "model" / LARGE).exists()


async def test_download_of_a_new_state_into_the_folder_of_an_old_one_holds_the_new_one_only(
    storage: Storage, tmp_path: Path
) -> None:
    source, old = await download.find(parse_source(SOURCE))
    await download.fetch(source, old, tmp_path / "model", ignore)
    new = Listing(commit="new", files=tuple(each for each in old.files if each.path != "tokenizer.json"))
    await download.fetch(source, new, tmp_path / "model", ignore)
    assert content_of(tmp_path / "model") == {name: WANTED[name] for name in WANTED if name != "tokenizer.json"}


async def test_key_that_leads_out_of_the_folder_is_refused(storage: Storage) -> None:
    storage.put("teams/tiny/../evil.json", b"x")
    with pytest.raises(ModelRejectedError, match=r"\.\./evil\.json.*contains a part '\.\.'"):
        await download.find(parse_source(SOURCE))


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("s3://no-such-bucket/tiny", "no bucket 'no-such-bucket'"),
        (f"s3://{BUCKET}/nothing/here", "no safetensors weights, and no GGUF file"),
        (f"{SOURCE}#other.gguf", r"has no file other\.gguf\. It has model\.gguf"),
    ],
)
async def test_bucket_without_the_model_is_refused_with_the_reason(storage: Storage, source: str, reason: str) -> None:
    with pytest.raises(ModelRejectedError, match=reason):
        await download.find(parse_source(source))


async def test_bucket_of_gguf_files_has_the_one_that_was_picked(storage: Storage, tmp_path: Path) -> None:
    for name in ("small.Q4_K_M.gguf", "small.Q8_0.gguf"):
        storage.put(f"packed/{name}", name.encode())
    with pytest.raises(ModelRejectedError, match=rf"Pick one of them, as in s3://{BUCKET}/packed#small\.Q8_0\.gguf"):
        await download.find(parse_source(f"s3://{BUCKET}/packed"))
    source, listing = await download.find(parse_source(f"s3://{BUCKET}/packed/small.Q4_K_M.gguf"))
    await download.fetch(source, listing, tmp_path / "model", ignore)
    assert content_of(tmp_path / "model") == {"small.Q4_K_M.gguf": b"small.Q4_K_M.gguf"}


async def test_bucket_that_may_not_be_read_says_which_settings_to_look_at(storage: Storage) -> None:
    with asking_for_rights(), pytest.raises(ModelRejectedError, match=r"may not be read.*AWS_ACCESS_KEY_ID"):
        await download.find(parse_source(SOURCE))


async def test_bucket_without_credentials_is_asked_anonymously(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    _, listing = await download.find(parse_source(SOURCE))
    assert {each.path for each in listing.files} == set(WANTED)


async def test_storage_that_cannot_be_reached_is_named(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    with pytest.raises(SourceUnavailableError, match=r"127\.0\.0\.1:9 cannot be reached"):
        await download.find(parse_source(SOURCE))


async def test_profile_that_does_not_exist_is_named(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(ModelRejectedError, match=r"nobody.*AWS_"):
        await download.find(parse_source(SOURCE))
