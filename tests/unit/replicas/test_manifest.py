import hashlib
import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.library.adopt import hash_folder
from replicas.weights.errors import InvalidRevisionError
from replicas.weights.manifest import ManifestFile, decode, digest, encode, manifest_of

NAMES = st.text(alphabet="ab-._0é中", min_size=1, max_size=4).filter(lambda name: not name.startswith("."))
FILES = st.builds(
    ManifestFile,
    path=st.lists(NAMES, min_size=1, max_size=3).map("/".join),
    size_bytes=st.integers(0, 2**50),
    sha256=st.integers(0, 2**256 - 1).map("{:064x}".format),
)


@given(st.lists(FILES, unique_by=lambda file: file.path))
def test_digest_of_a_manifest_does_not_depend_on_the_order_of_its_files(files: list[ManifestFile]) -> None:
    assert digest(manifest_of(files)) == digest(manifest_of(reversed(files)))


@given(st.lists(FILES, unique_by=lambda file: file.path))
def test_decode_of_an_encoded_manifest_gives_it_back(files: list[ManifestFile]) -> None:
    manifest = manifest_of(files)
    assert decode(encode(manifest)) == manifest


def digest_as_before(folder: Path) -> str:
    """The formula that named the first revisions, written out: it must never change."""
    rows = [
        [path.relative_to(folder).as_posix(), path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest()]
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    ]
    return "sha256:" + hashlib.sha256(json.dumps(rows, separators=(",", ":")).encode()).hexdigest()


@given(st.dictionaries(st.sampled_from(["a-b", "a/b", "a.json", "a/b-c", "a0", "b/a/c"]), st.binary(max_size=9)))
def test_digest_of_a_folder_is_that_of_revisions_imported_before(files: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path, content in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
        assert digest(hash_folder(folder, lambda _: None)) == digest_as_before(folder)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"\xff",
        b'{"files":[{"path":"a","size_bytes":-1,"sha256":"' + b"0" * 64 + b'"}]}',
        b'{"files":[{"path":"a","size_bytes":1,"sha256":"zz"}]}',
    ],
)
def test_decode_of_something_else_says_that_it_is_no_manifest(data: bytes) -> None:
    with pytest.raises(InvalidRevisionError, match="not a manifest"):
        decode(data)
