from base64 import b64encode
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.library.uploads import changes, protocol
from orchestrator.library.uploads.declaration import check_files, check_space
from orchestrator.library.uploads.errors import UploadRefusedError
from orchestrator.library.uploads.protocol import Checksum, Concat, Place
from orchestrator.library.uploads.types import DeclaredFile, Session, UploadLimits

KEYS = st.text(alphabet="abcXYZ-", min_size=1, max_size=8)


@given(st.dictionaries(KEYS, st.text(max_size=20), max_size=5))
def test_parse_metadata_gives_back_what_a_client_encodes(metadata: dict[str, str]) -> None:
    header = ",".join(f"{key} {b64encode(value.encode()).decode()}" for key, value in metadata.items())
    assert protocol.parse_metadata(header) == metadata


@pytest.mark.parametrize(
    ("parse", "argument"),
    [
        (protocol.parse_metadata, "path ###"),
        (protocol.parse_metadata, "path YQ==,path YQ=="),
        (protocol.parse_metadata, "path YQ== YQ=="),
        (protocol.parse_metadata, "path /w=="),
        (protocol.parse_checksum, "md5 YQ=="),
        (protocol.parse_checksum, "sha256 YQ=="),
        (protocol.parse_checksum, "sha256"),
        (lambda header: protocol.parse_concat(header, 8), "final"),
        (lambda header: protocol.parse_concat(header, 8), "final;/a /a"),
        (lambda header: protocol.parse_concat(header, 1), "final;/a /b"),
        (lambda header: protocol.parse_concat(header, 8), "other;/a"),
        (lambda header: protocol.parse_number({"upload-offset": header}, "Upload-Offset"), "-1"),
        (lambda header: protocol.parse_number({"upload-offset": header}, "Upload-Offset"), "9" * 19),
        (lambda header: protocol.parse_number({}, "Upload-Offset"), ""),
    ],
)
def test_parse_of_a_malformed_header_is_refused(parse: Callable[[str], Any], argument: str) -> None:
    with pytest.raises(UploadRefusedError) as refused:
        parse(argument)
    assert refused.value.status == 400


def test_parse_of_headers_of_the_extensions() -> None:
    digest = b64encode(b"x" * 20).decode()
    assert protocol.parse_checksum(f"sha1 {digest}") == Checksum("sha1", b"x" * 20)
    assert protocol.parse_checksum(None) is None
    assert protocol.parse_concat(None, 8) is None
    assert protocol.parse_concat("partial", 8) == Concat(None)
    assert protocol.parse_concat("final;/u/files/part-1 http://x/files/part-2", 8) == Concat(("part-1", "part-2"))


@pytest.mark.parametrize(
    ("offset", "body_bytes", "busy", "status"),
    [
        (5, 5, True, 423),
        (4, 5, False, 409),
        (6, 1, False, 409),
        (5, 6, False, 413),
        (5, 5, False, 0),
        (5, None, False, 0),
    ],
)
def test_check_patch_by_where_the_file_ends(offset: int, body_bytes: int | None, busy: bool, status: int) -> None:
    place = Place("a.json", 5, 10, busy)
    if not status:
        protocol.check_patch(place, offset, body_bytes)
        return
    with pytest.raises(UploadRefusedError, match=r"a\.json") as refused:
        protocol.check_patch(place, offset, body_bytes)
    assert refused.value.status == status


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ([], "No file"),
        ([DeclaredFile("../a", 1)], r"\.\./a"),
        ([DeclaredFile("/a", 1)], "/a"),
        ([DeclaredFile("a\0.json", 1)], "control character"),
        ([DeclaredFile("a", 1), DeclaredFile("a", 1)], "a was declared twice"),
        ([DeclaredFile("a.json", 1), DeclaredFile("A.json", 1)], "differ by case"),
        ([DeclaredFile("a", 1), DeclaredFile("a/b", 1)], "a was declared both as a file and as a folder"),
        ([DeclaredFile("a", 1, "ABC")], "SHA-256 declared for a"),
        ([DeclaredFile(str(n), 1) for n in range(9)], "at most 8"),
    ],
)
def test_check_files_of_what_cannot_be_received_names_the_file(files: list[DeclaredFile], reason: str) -> None:
    with pytest.raises(UploadRefusedError, match=reason) as refused:
        check_files(files, UploadLimits(files=8))
    assert refused.value.status == 422


@given(*[st.integers(0, 2**50)] * 4)
def test_check_space_refuses_exactly_what_would_touch_the_reserve(new: int, others: int, free: int, kept: int) -> None:
    refused = None
    try:
        check_space(new, others, free, kept)
    except UploadRefusedError as error:
        refused = error.status
    assert refused == (None if new + others <= free - kept else 507)


def session(**fields: Any) -> Session:
    files = (DeclaredFile("a", 10), DeclaredFile("b", 4))
    return Session(id="s", name="m", author="x", files=files, created_at=0, updated_at=0, **fields)


def test_join_of_whole_parts_of_the_right_size_is_noted_and_undone_with_a_part() -> None:
    begun = session(parts={"part-1": 6, "part-2": 4, "part-3": 1})
    places = {"part-1": Place("p", 6, 6, False), "part-2": Place("p", 4, 4, False)}
    joining = changes.with_join(begun, 0, places)
    assert joining.joins == {0: ("part-1", "part-2")}
    assert changes.joined(joining, 0).parts == {"part-3": 1}
    assert changes.joined(joining, 0).joins == {}
    assert changes.without(joining, "part-2").joins == {}


@pytest.mark.parametrize(
    ("places", "status"),
    [
        ({"part-1": Place("p", 6, 6, False)}, 422),
        ({"part-1": Place("p", 5, 6, False), "part-2": Place("p", 4, 4, False)}, 409),
        ({"part-1": Place("p", 6, 6, True), "part-2": Place("p", 4, 4, False)}, 409),
        ({"part-9": Place("p", 10, 10, False)}, 404),
    ],
)
def test_join_of_parts_that_do_not_make_the_file_is_refused(places: dict[str, Place], status: int) -> None:
    with pytest.raises(UploadRefusedError) as refused:
        changes.with_join(session(parts={"part-1": 6, "part-2": 4}), 0, places)
    assert refused.value.status == status


def test_join_of_parts_that_another_file_is_made_of_is_refused() -> None:
    begun = session(parts={"part-1": 4}, joins={0: ("part-1",)})
    with pytest.raises(UploadRefusedError) as refused:
        changes.with_join(begun, 1, {"part-1": Place("p", 4, 4, False)})
    assert refused.value.status == 404
