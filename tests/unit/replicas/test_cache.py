from pathlib import Path

import pytest

from replicas.weights.cache import GIB, Cache, Disk
from replicas.weights.contents import Contents
from replicas.weights.errors import NoRoomError, WrongFilesError
from replicas.weights.holding import hold
from replicas.weights.manifest import Manifest, ManifestFile
from tests.weights_hosts import publish

KIB = 1024
ROOMY = Disk(total_bytes=100 * GIB, free_bytes=50 * GIB)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


def manifest(sha256: str, size_bytes: int) -> Manifest:
    return Manifest((ManifestFile("model.safetensors", size_bytes, sha256 * 64),))


def cache_of(
    root: Path, limit_bytes: int | None, *files: dict[str, bytes], disk: Disk = ROOMY
) -> tuple[Cache, list[str]]:
    """A cache with revisions, the first of which was used least recently."""
    revisions = [publish(root, each) for each in files]
    cache = Cache(root, limit_bytes, disk=lambda _: disk, now=Clock())
    for revision in revisions:
        cache.touch(revision)
    return cache, revisions


@pytest.mark.parametrize(
    ("limit_bytes", "disk", "expected"),
    [
        (None, Disk(100 * GIB, 50 * GIB), 45 * GIB),
        (None, Disk(10 * GIB, 5 * GIB), 4 * GIB),
        (None, Disk(10 * GIB, GIB // 2), 0),
        (3 * GIB, Disk(100 * GIB, 50 * GIB), 3 * GIB),
        (48 * GIB, Disk(100 * GIB, 50 * GIB), 45 * GIB),
    ],
)
def test_capacity_is_the_limit_or_what_the_disk_has_but_a_reserve(
    tmp_path: Path, limit_bytes: int | None, disk: Disk, expected: int
) -> None:
    cache, _ = cache_of(tmp_path / "c", limit_bytes, disk=disk)
    assert cache.capacity_bytes() == expected


def test_used_bytes_count_a_file_of_several_names_once(tmp_path: Path) -> None:
    shared = bytes(range(256)) * 64
    cache, _ = cache_of(tmp_path / "c", None, {"a.safetensors": shared}, {"b.safetensors": shared})
    assert len(shared) <= cache.used_bytes() < len(shared) + KIB


def test_make_room_evicts_what_was_used_least_recently_and_keeps_shared_contents(tmp_path: Path) -> None:
    shared, own = b"s" * 4 * KIB, b"o" * 4 * KIB
    cache, (_, used, newest) = cache_of(
        tmp_path / "c", 16 * KIB,
        {"shared.safetensors": shared, "own.safetensors": own}, {"held.safetensors": b"h" * 4 * KIB},
        {"shared.safetensors": shared},
    )  # fmt: skip
    cache.touch_used()
    held = hold(cache.contents.folder(used))
    assert held is not None
    cache.make_room(manifest("a", 8 * KIB), [])
    assert cache.contents.names() == {used, newest}
    assert (cache.contents.folder(newest) / "shared.safetensors").read_bytes() == shared
    held.release()


def test_make_room_counts_what_other_fetches_will_need(tmp_path: Path) -> None:
    cache, _ = cache_of(tmp_path / "c", 16 * KIB)
    cache.make_room(manifest("a", 8 * KIB), [manifest("b", 8 * KIB), manifest("a", 8 * KIB)])
    with pytest.raises(NoRoomError, match="other fetches"):
        cache.make_room(manifest("a", 8 * KIB), [manifest("b", 8 * KIB), manifest("c", 1)])


def test_make_room_on_a_full_disk_is_refused_and_evicts_nothing_in_vain(tmp_path: Path) -> None:
    full = Disk(total_bytes=100 * GIB, free_bytes=5 * GIB)
    cache, (revision,) = cache_of(tmp_path / "c", None, {"model.safetensors": b"m" * KIB}, disk=full)
    with pytest.raises(NoRoomError, match="Free its disk"):
        cache.make_room(manifest("a", GIB), [])
    assert cache.contents.names() == {revision}


@pytest.mark.parametrize(("wanted_bytes", "kept"), [(4 * KIB, True), (14 * KIB, False)])
def test_what_an_earlier_fetch_left_stays_as_long_as_there_is_room_for_it(
    tmp_path: Path, wanted_bytes: int, kept: bool
) -> None:
    cache, (revision,) = cache_of(tmp_path / "c", 20 * KIB, {"model.safetensors": b"m" * 4 * KIB})
    left = cache.partial("b" * 64)
    left.write_bytes(b"l" * 4 * KIB)
    mine = cache.partial("a" * 64)
    mine.write_bytes(b"p" * KIB)
    cache.make_room(manifest("a", wanted_bytes), [])
    assert (left.exists(), mine.exists()) == (kept, True)
    assert cache.contents.names() == {revision}


def test_a_held_revision_counts_as_used_until_now(tmp_path: Path) -> None:
    cache, (old, new) = cache_of(tmp_path / "c", 8 * KIB, {"a": b"a" * 4 * KIB}, {"b": b"b" * 4 * KIB})
    held = hold(cache.contents.folder(old))
    assert held is not None
    cache.touch_used()
    held.release()
    cache.make_room(manifest("c", 4 * KIB), [])
    assert cache.contents.names() == {old}
    assert new not in cache.contents.names()


def test_a_kept_content_is_no_partial_file_any_more_after_a_kill(tmp_path: Path) -> None:
    cache, (revision,) = cache_of(tmp_path / "c", None, {"a": b"a" * KIB})
    (file,) = cache.contents.manifest(revision).files
    blob = cache.contents.find(file.sha256)
    assert blob is not None
    cache.partial(file.sha256).hardlink_to(blob)
    assert not Cache(tmp_path / "c", None).partial(file.sha256).exists()
    assert blob.read_bytes() == b"a" * KIB


def test_assemble_makes_a_revision_of_kept_contents_and_refuses_what_is_missing(tmp_path: Path) -> None:
    source = Contents(tmp_path / "source")
    revision = publish(tmp_path / "source", {"a": b"same", "nested/b": b"same", "c": b"other"})
    wanted = source.manifest(revision)
    contents = Contents(tmp_path / "c")
    *here, last = sorted(wanted.files, key=lambda file: file.size_bytes)
    for file in here:
        copy = tmp_path / "copy"
        copy.write_bytes((source.folder(revision) / file.path).read_bytes())
        contents.keep(copy, file)
        copy.unlink()
    with pytest.raises(WrongFilesError, match="missing"):
        contents.assemble(wanted)
    assert contents.names() == frozenset()
    contents.keep(source.folder(revision) / last.path, last)
    folder = contents.assemble(wanted)
    assert contents.assemble(wanted) == folder
    assert {path.name for path in folder.rglob("*") if path.is_file()} == {"a", "b", "c"}
    evil = Manifest((ManifestFile("../evil", last.size_bytes, last.sha256),))
    with pytest.raises(WrongFilesError, match="no path"):
        contents.assemble(evil)
