import errno
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from orchestrator.library.adopt import hash_folder
from replicas.weights.contents import Contents
from replicas.weights.errors import InvalidRevisionError, RevisionMissingError, WrongFilesError
from replicas.weights.manifest import Manifest, ManifestFile, digest

FIRST = {"config.json": b"{}", "model-1.safetensors": b"1" * 5000, "model-2.safetensors": b"2" * 5000}
SECOND = FIRST | {"model-2.safetensors": b"3" * 5000}


class KilledError(Exception):
    """Stands for the end of the process."""


def folder(path: Path, files: dict[str, bytes]) -> tuple[Path, Manifest]:
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path, hash_folder(path, lambda _: None)


def content(path: Path) -> dict[str, bytes]:
    return {file.relative_to(path).as_posix(): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def publish(contents: Contents, path: Path, files: dict[str, bytes]) -> str:
    staging, manifest = folder(path, files)
    contents.publish(staging, manifest)
    return digest(manifest)


def test_publish_makes_a_folder_of_the_files_and_keeps_it_when_staging_goes(tmp_path: Path) -> None:
    contents = Contents(tmp_path / "library")
    staging, manifest = folder(tmp_path / "s", FIRST | {"nested/deep/a.txt": b""})
    revision = contents.publish(staging, manifest)
    shutil.rmtree(staging)
    assert content(revision) == FIRST | {"nested/deep/a.txt": b""}
    assert contents.revisions() == {digest(manifest): manifest}
    assert revision == contents.folder(digest(manifest))
    assert {file.stat().st_mode & 0o777 for file in revision.rglob("*") if file.is_file()} == {0o444}


def test_publish_of_two_revisions_that_differ_in_one_file_shares_the_rest(tmp_path: Path) -> None:
    contents = Contents(tmp_path / "library")
    one = contents.folder(publish(contents, tmp_path / "1", FIRST))
    two = contents.folder(publish(contents, tmp_path / "2", SECOND))
    same = {name for name in FIRST if (one / name).samefile(two / name)}
    assert same == {"config.json", "model-1.safetensors"}
    assert len(list((tmp_path / "library" / "blobs").rglob("*/*"))) == 4


def test_publish_twice_and_at_once_gives_one_revision(tmp_path: Path) -> None:
    contents = Contents(tmp_path / "library")
    with ThreadPoolExecutor(4) as threads:
        names = set(threads.map(lambda n: publish(contents, tmp_path / str(n), FIRST), range(8)))
    assert set(contents.revisions()) == names
    assert len(names) == 1
    assert content(contents.folder(names.pop())) == FIRST


def test_publish_without_hard_links_copies_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def no_link(_source: Path, _target: Path) -> None:
        raise OSError(errno.EPERM, "no hard links")

    contents = Contents(tmp_path / "library", link=no_link)
    revision = publish(contents, tmp_path / "1", FIRST)
    assert content(contents.folder(revision)) == FIRST
    assert contents.copies_files
    assert caplog.text.count("has no hard links") == 1


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (ManifestFile("config.json", 3, "0" * 64), "config.json has 2 bytes instead of 3"),
        (ManifestFile("missing.json", 3, "0" * 64), "missing.json is missing"),
        (ManifestFile("../config.json", 2, "0" * 64), "no path inside"),
        (ManifestFile("/etc/passwd", 2, "0" * 64), "no path inside"),
        (ManifestFile("link.json", 2, "0" * 64), "link.json is missing"),
    ],
)
def test_publish_of_what_the_manifest_does_not_say_is_refused(tmp_path: Path, file: ManifestFile, reason: str) -> None:
    contents = Contents(tmp_path / "library")
    staging, _ = folder(tmp_path / "s", {"config.json": b"{}"})
    (staging / "link.json").symlink_to("config.json")
    with pytest.raises(WrongFilesError, match=reason):
        contents.publish(staging, Manifest((file,)))
    assert contents.revisions() == {}


STEPS = ["content-synced", "content-kept", "manifest-written", "folder-built", "folder-renamed"]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("again", ["published again", "swept"])
def test_publish_killed_at_a_step_leaves_nothing_half_made_to_be_seen(tmp_path: Path, step: str, again: str) -> None:
    def reached(name: str) -> None:
        if name == step:
            raise KilledError

    staging, manifest = folder(tmp_path / "s", FIRST)
    with pytest.raises(KilledError):
        Contents(tmp_path / "library", reached=reached).publish(staging, manifest)
    contents = Contents(tmp_path / "library")
    assert set(contents.revisions()) == ({digest(manifest)} if step == "folder-renamed" else set())
    if again == "published again":
        assert content(contents.publish(staging, manifest)) == FIRST
        assert contents.gc([digest(manifest)], dry_run=True).blobs == 0
    else:
        contents.sweep()
        contents.gc(contents.revisions(), dry_run=False)
        assert len(content(tmp_path / "library")) == (8 if step == "folder-renamed" else 1), "blobs or partial are left"


def test_gc_removes_what_is_not_kept_and_says_first_how_much(tmp_path: Path) -> None:
    contents = Contents(tmp_path / "library")
    one, two = publish(contents, tmp_path / "1", FIRST), publish(contents, tmp_path / "2", SECOND)
    (tmp_path / "library" / "partial" / "abandoned").write_bytes(b"x" * 7)
    would = contents.gc([two], dry_run=True)
    assert set(contents.revisions()) == {one, two}, "a dry run removes nothing"
    did = contents.gc([two], dry_run=False)
    assert (would.freed_bytes, would.blobs, would.partial, would.revisions) == (5007, 1, 1, (one,))
    assert (did.freed_bytes, did.blobs, did.partial, did.revisions) == (5007, 1, 1, (one,))
    assert content(contents.folder(two)) == SECOND
    assert contents.gc([two], dry_run=False).freed_bytes == 0


def test_remove_of_a_revision_killed_halfway_leaves_none_with_files_missing(tmp_path: Path) -> None:
    def reached(name: str) -> None:
        if name == "revision-hidden":
            raise KilledError

    contents = Contents(tmp_path / "library", reached=reached)
    revision = publish(contents, tmp_path / "1", FIRST)
    with pytest.raises(KilledError):
        contents.remove(revision)
    assert contents.revisions() == {}
    contents = Contents(tmp_path / "library")
    assert contents.sweep() == 2
    assert publish(contents, tmp_path / "2", FIRST) in contents.revisions()


def test_take_of_a_content_holds_it_through_a_collection(tmp_path: Path) -> None:
    contents = Contents(tmp_path / "library")
    revision = publish(contents, tmp_path / "1", FIRST)
    file = contents.manifest(revision).files[1]
    assert contents.take(file.sha256, file.size_bytes, tmp_path / "taken")
    assert not contents.take(file.sha256, file.size_bytes + 1, tmp_path / "other size")
    contents.gc([], dry_run=False)
    assert (tmp_path / "taken").read_bytes() == FIRST["model-1.safetensors"]
    assert not contents.take(file.sha256, file.size_bytes, tmp_path / "again")


def test_unknown_revisions_are_refused_with_a_sentence(tmp_path: Path) -> None:
    contents = Contents(tmp_path / "library")
    with pytest.raises(RevisionMissingError, match="no revision"):
        contents.remove("sha256:" + "0" * 64)
    with pytest.raises(RevisionMissingError, match="no revision"):
        contents.manifest("sha256:" + "0" * 64)
    with pytest.raises(InvalidRevisionError, match="64 hexadecimal"):
        contents.folder("sha256:../../etc")
