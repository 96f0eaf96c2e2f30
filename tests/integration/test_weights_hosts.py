"""How weights come to hosts: real processes, real sockets, a real store."""

import asyncio
import random
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from replicas.host_types import Fetched, FetchProgress, FetchRefused
from replicas.weights.contents import Contents
from replicas.weights.holding import hold
from tests.weights_hosts import Host, Hosts, files_of, get, hosts, publish

MIB = 2**20
_RANDOM = random.Random(7)
SHARD = _RANDOM.randbytes(3 * MIB)
SMALL = {"config.json": b"{}", "model-1.safetensors": SHARD, "nested/empty.txt": b""}
NEXT = SMALL | {"model-2.safetensors": _RANDOM.randbytes(2 * MIB)}
LARGE = {"model.safetensors": _RANDOM.randbytes(MIB) * 192}


@pytest.fixture
async def cluster(tmp_path: Path, valkey_url: str) -> AsyncIterator[Hosts]:
    async with hosts(tmp_path, valkey_url) as made:
        yield made


async def library_with(cluster: Hosts, *revisions: dict[str, bytes]) -> tuple[Host, list[str]]:
    library = cluster.library()
    names = [publish(library.folder, files) for files in revisions]
    await library.start()
    return library, names


def sent_bytes(files: dict[str, bytes]) -> int:
    return sum(map(len, files.values()))


async def test_a_fetch_brings_every_file_and_says_how_far_it_is(cluster: Hosts) -> None:
    library, (revision,) = await library_with(cluster, SMALL)
    host = cluster.cache()
    await host.start()
    *progress, last = await host.fetch(revision)
    assert last == Fetched(path=str(host.revision(revision)))
    assert files_of(host.revision(revision)) == SMALL
    assert progress
    assert all(isinstance(line, FetchProgress) for line in progress)
    record = await host.told(lambda each: each.revisions == (revision,) and not each.fetches)
    assert (record.is_library, (await library.record()).is_library) == (False, True)
    assert record.received_bytes == sent_bytes(SMALL)
    assert record.used_bytes >= sent_bytes(SMALL)
    assert await host.fetch(revision) == [last]


async def test_eight_who_want_a_revision_at_once_share_one_transfer(cluster: Hosts) -> None:
    library, (revision,) = await library_with(cluster, LARGE)
    host = cluster.cache()
    await host.start()
    ends = await asyncio.gather(*(host.fetch(revision) for _ in range(8)))
    assert {lines[-1] for lines in ends} == {Fetched(path=str(host.revision(revision)))}
    await library.told(lambda record: record.sent_bytes == sent_bytes(LARGE))
    shown = [line for lines in ends for line in lines if isinstance(line, FetchProgress) and line.total_bytes]
    assert all(line.total_bytes == sent_bytes(LARGE) for line in shown)


async def test_only_files_that_the_host_lacks_travel(cluster: Hosts) -> None:
    library, (first, second) = await library_with(cluster, SMALL, NEXT)
    host = cluster.cache()
    await host.start()
    await host.fetch(first)
    await host.fetch(second)
    assert files_of(host.revision(second)) == NEXT
    await library.told(lambda record: record.sent_bytes == sent_bytes(NEXT))
    assert (await host.told(lambda record: len(record.revisions) == 2)).received_bytes == sent_bytes(NEXT)
    one, two = host.revision(first), host.revision(second)
    assert (one / "model-1.safetensors").samefile(two / "model-1.safetensors")


async def test_a_host_fetches_from_another_one_when_the_library_is_away(cluster: Hosts) -> None:
    library, (revision,) = await library_with(cluster, SMALL)
    first, second = cluster.cache(), cluster.cache()
    await first.start()
    await second.start()
    await first.fetch(revision)
    await first.told(lambda record: record.revisions == (revision,))
    library.stop()
    assert isinstance((await second.fetch(revision))[-1], Fetched)
    assert files_of(second.revision(revision)) == SMALL


async def test_a_peer_killed_in_the_middle_is_followed_by_another_from_the_byte_where_it_broke(cluster: Hosts) -> None:
    library, (revision,) = await library_with(cluster, LARGE)
    fetching = cluster.cache()
    await fetching.start()
    fetch = asyncio.create_task(fetching.fetch(revision))
    await fetching.received(8 * MIB)
    library.signal(signal.SIGSTOP)
    # The other one comes only now, so that the first bytes are the killed one's.
    peer = cluster.cache()
    publish(peer.folder, LARGE)
    await peer.start()
    library.kill()
    assert isinstance((await fetch)[-1], Fetched)
    assert files_of(fetching.revision(revision)) == LARGE
    record = await fetching.told(lambda each: not each.fetches)
    assert record.received_bytes == sent_bytes(LARGE)
    sent = (await peer.told(lambda each: each.sent_bytes > 0)).sent_bytes
    assert sent <= sent_bytes(LARGE) - 8 * MIB


async def test_a_killed_host_goes_on_from_what_it_has(cluster: Hosts) -> None:
    _, (revision,) = await library_with(cluster, LARGE)
    host = cluster.cache()
    await host.start()
    asking = asyncio.create_task(host.fetch(revision))
    await host.received(8 * MIB)
    host.kill()
    (had,) = [path.stat().st_size for path in (host.folder / "fetching").iterdir()]
    await asyncio.gather(asking, return_exceptions=True)
    assert list((host.folder / "revisions").iterdir()) == []
    await host.start()
    assert isinstance((await host.fetch(revision))[-1], Fetched)
    assert files_of(host.revision(revision)) == LARGE
    record = await host.told(lambda each: not each.fetches and each.revisions == (revision,))
    assert record.received_bytes == sent_bytes(LARGE) - had
    assert list((host.folder / "fetching").iterdir()) == []


async def test_what_an_earlier_process_left_is_hashed_again(cluster: Hosts) -> None:
    library, (revision,) = await library_with(cluster, SMALL)
    host = cluster.cache()
    sha256 = next(
        file.sha256 for file in Contents(library.folder).manifest(revision).files if file.size_bytes == len(SHARD)
    )
    (host.folder / "fetching").mkdir(parents=True)
    (host.folder / "fetching" / sha256).write_bytes(b"x" * MIB)
    await host.start()
    assert isinstance((await host.fetch(revision))[-1], Fetched)
    assert files_of(host.revision(revision)) == SMALL


async def test_a_peer_with_damaged_files_is_left_for_another(cluster: Hosts) -> None:
    damaged, (revision,) = await library_with(cluster, SMALL)
    blob = next(path for path in Contents(damaged.folder).blobs() if path.stat().st_size == len(SHARD))
    blob.chmod(0o644)
    with blob.open("r+b") as file:
        file.write(b"damage")
    fetching = cluster.cache(patience_s="1")
    await fetching.start()
    refused = (await fetching.fetch(revision))[-1]
    assert isinstance(refused, FetchRefused)
    assert refused.code == "source_unavailable"
    assert f"another content than it should have from {damaged.address}" in refused.message
    assert not fetching.revision(revision).exists()
    whole = cluster.cache()
    publish(whole.folder, SMALL)
    await whole.start()
    assert isinstance((await fetching.fetch(revision))[-1], Fetched)
    assert files_of(fetching.revision(revision)) == SMALL


async def test_the_least_recently_used_leaves_a_full_cache_but_never_what_is_held(cluster: Hosts) -> None:
    others = [{"config.json": b"{}", "model.safetensors": _RANDOM.randbytes(3 * MIB)} for _ in range(4)]
    _, names = await library_with(cluster, *others)
    host = cluster.cache(cache_bytes="7MiB")
    await host.start()
    held = hold(Path(_path((await host.fetch(names[0]))[-1])))
    assert held is not None
    for name in names[1:3]:
        await host.fetch(name)
    record = await host.told(lambda each: names[2] in each.revisions)
    assert set(record.revisions) == {names[0], names[2]}
    assert record.limit_bytes == 7 * MIB
    assert record.used_bytes <= record.limit_bytes
    held.release()
    await host.fetch(names[3])
    record = await host.told(lambda each: names[3] in each.revisions)
    assert set(record.revisions) == {names[2], names[3]}


async def test_a_cache_full_of_what_is_in_use_refuses_with_a_reason(cluster: Hosts) -> None:
    _, (first, second) = await library_with(cluster, SMALL, {"model.safetensors": _RANDOM.randbytes(5 * MIB)})
    host = cluster.cache(cache_bytes="7MiB")
    await host.start()
    held = hold(Path(_path((await host.fetch(first))[-1])))
    refused = (await host.fetch(second))[-1]
    assert isinstance(refused, FetchRefused)
    assert refused.code == "insufficient_storage"
    assert "--cache-size" in refused.message
    record = await host.told(lambda each: bool(each.refusals))
    assert (record.refusals[0].revision, record.revisions) == (second, (first,))
    assert held is not None
    held.release()


async def test_a_revision_that_nobody_has_is_refused(cluster: Hosts) -> None:
    library, _ = await library_with(cluster, SMALL)
    host = cluster.cache(patience_s="0.1")
    await host.start()
    unknown = "sha256:" + "0" * 64
    for each, code in ((host, "source_unavailable"), (library, "not_found")):
        refused = (await each.fetch(unknown))[-1]
        assert isinstance(refused, FetchRefused)
        assert (refused.code, unknown in refused.message) == (code, True)


@pytest.mark.parametrize("authorization", ["", "Bearer wrong", "Basic"])
async def test_nothing_is_told_without_the_token(cluster: Hosts, authorization: str) -> None:
    library, (revision,) = await library_with(cluster, SMALL)
    record = await library.record()
    manifest = f"/revisions/{revision.removeprefix('sha256:')}/manifest"
    sha256 = Contents(library.folder).manifest(revision).files[0].sha256
    for path in (manifest, f"/contents/{sha256}", "/nothing"):
        assert (await get(record, path, authorization=authorization)).status_code == 401
    assert (await get(record, manifest)).status_code == 200
    ranged = await get(record, f"/contents/{sha256}", range="bytes=1-")
    assert (ranged.status_code, ranged.content) == (206, b"}")
    for path in ("/contents/..", f"/contents/{'0' * 64}", "/revisions/x/manifest"):
        assert (await get(record, path)).status_code in (404, 422)


async def test_a_stopped_host_leaves_the_store(cluster: Hosts) -> None:
    library, _ = await library_with(cluster, SMALL)
    record = await library.record()
    assert (record.port > 0, record.hostname != "") == (True, True)
    assert library.stop() == 0
    assert await cluster.store.keys("roundhouse:host:*") == []


async def test_a_second_process_of_a_machine_stands_by_until_the_first_leaves(cluster: Hosts) -> None:
    library, (revision,) = await library_with(cluster, SMALL)
    second = cluster.beside(library)
    second.spawn()
    await second.logged("waits until it leaves")
    assert (await library.record()).revisions == (revision,)
    library.stop()
    assert not (await second.told(lambda record: record.folder == str(second.folder))).is_library


def _path(line: object) -> str:
    assert isinstance(line, Fetched)
    return line.path
