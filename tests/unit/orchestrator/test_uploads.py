"""The upload routes over a real folder, without a network between."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from hashlib import sha1, sha256
from pathlib import Path
from typing import Any

import pytest

from orchestrator.library.adopt import hash_folder
from orchestrator.library.uploads.types import SessionState
from replicas.weights.manifest import digest
from tests.unit.orchestrator.upload_house import DATA, PATCH, TUS, House, KilledError


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path)
    await house.uploads.start()
    yield house
    await house.http.aclose()
    house.uploads.stop()


async def test_upload_of_two_files_is_handed_over_with_its_manifest(house: House) -> None:
    id_ = await house.begin(("config.json", b"{}", True), ("sub/model.safetensors", DATA, False))
    assert (await house.patch(id_, "0", 0, b"{}")).status_code == 204
    half = await house.patch(id_, "1", 0, DATA[:1000])
    assert (half.status_code, half.headers["upload-offset"]) == (204, "1000")
    early = await house.complete(id_)
    assert early.status_code == 409
    assert "sub/model.safetensors is not whole yet: 1000 of 5120000" in early.text
    assert (await house.patch(id_, "1", 1000, DATA[1000:])).headers["upload-offset"] == str(len(DATA))
    done = (await house.complete(id_)).json()
    [(session, staging, manifest)] = house.handed_over
    assert manifest == hash_folder(staging, lambda _: None)
    assert done["revision"] == session.revision == digest(manifest)
    assert (staging / "sub" / "model.safetensors").read_bytes() == DATA
    assert (await house.complete(id_)).status_code == 200
    assert len(house.handed_over) == 1
    assert (await house.patch(id_, "1", len(DATA), b"")).status_code == 409


async def test_tus_answers_carry_what_the_protocol_asks_for(house: House) -> None:
    id_ = await house.begin(("a.json", b"12345", False))
    options = await house.http.options(f"/uploads/{id_}/files")
    assert options.headers["tus-version"] == "1.0.0"
    assert "concatenation" in options.headers["tus-extension"]
    metadata = {"upload-metadata": f"path {b64encode(b'a.json').decode()}", "upload-length": "5"}
    made = await house.http.post(f"/uploads/{id_}/files", headers=PATCH | metadata, content=b"123")
    assert (made.status_code, made.headers["upload-offset"]) == (201, "3")
    assert made.headers["location"] == f"/api/v1/uploads/{id_}/files/0"
    again = await house.http.post(f"/uploads/{id_}/files", headers=PATCH | metadata, content=b"123")
    assert (again.status_code, again.headers["upload-offset"]) == (201, "3"), "what is there is not sent over"
    head = await house.head(id_, "0")
    assert (head.headers["upload-offset"], head.headers["upload-length"]) == ("3", "5")
    assert head.headers["cache-control"] == "no-store"
    assert head.headers["tus-resumable"] == "1.0.0"
    assert head.headers["upload-expires"].endswith("GMT")


@pytest.mark.parametrize(
    ("name", "offset", "content", "headers", "status"),
    [
        ("0", 1, b"x", {}, 409),
        ("0", 0, b"123456", {}, 413),
        ("1", 0, b"x", {}, 404),
        ("00", 0, b"x", {}, 404),
        ("../0", 0, b"x", {}, 404),
        ("part-1", 0, b"x", {}, 404),
        ("0", 0, b"x", {"tus-resumable": "0.2"}, 412),
        ("0", 0, b"x", {"content-type": "text/plain"}, 415),
        ("0", 0, b"x", {"upload-checksum": "crc32 YQ=="}, 400),
        ("0", 0, b"x", {"x-user": "somebody"}, 403),
    ],
)
async def test_patch_that_must_not_be_is_refused_and_writes_nothing(
    house: House, name: str, offset: int, content: bytes, headers: dict[str, str], status: int
) -> None:
    id_ = await house.begin(("a.json", b"12345", False))
    answer = await house.patch(id_, name, offset, content, **headers)
    assert answer.status_code == status
    assert (await house.head(id_, "0")).headers["upload-offset"] == "0"


async def test_patch_of_unknown_length_beyond_the_end_is_refused_and_writes_nothing(house: House) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"123"
        yield b"456"

    id_ = await house.begin(("a.json", b"12345", False))
    assert (await house.patch(id_, "0", 0, body())).status_code == 413
    assert (await house.head(id_, "0")).headers["upload-offset"] == "0"


async def test_two_patches_at_once_on_one_file_lock_the_second_out(house: House) -> None:
    began, go_on = asyncio.Event(), asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"12"
        began.set()
        await go_on.wait()
        yield b"345"

    id_ = await house.begin(("a.json", b"12345", False))
    first = asyncio.create_task(house.patch(id_, "0", 0, body()))
    await began.wait()
    second = await house.patch(id_, "0", 0, b"12345")
    dropped = await house.http.delete(f"/uploads/{id_}/files/0", headers=TUS)
    go_on.set()
    assert (second.status_code, dropped.status_code) == (423, 423)
    assert (await first).headers["upload-offset"] == "5"


async def test_client_that_falls_silent_frees_the_file_and_keeps_what_came(tmp_path: Path) -> None:
    house = House(tmp_path, idle_s=0.05)
    await house.uploads.start()

    async def body() -> AsyncIterator[bytes]:
        yield b"123"
        await asyncio.Event().wait()

    id_ = await house.begin(("a.json", b"12345", False))
    assert (await house.patch(id_, "0", 0, body())).status_code == 408
    assert (await house.patch(id_, "0", 3, b"45")).status_code == 204


@pytest.mark.parametrize(("algorithm", "function"), [("sha1", sha1), ("sha256", sha256)])
async def test_piece_with_a_wrong_checksum_is_460_and_forgotten(house: House, algorithm: str, function: Any) -> None:
    id_ = await house.begin(("a.bin", DATA, True))
    good = f"{algorithm} {b64encode(function(DATA[:5000]).digest()).decode()}"
    assert (await house.patch(id_, "0", 0, DATA[:5000], **{"upload-checksum": good})).status_code == 204
    wrong = await house.patch(id_, "0", 5000, DATA[5001:10_000], **{"upload-checksum": good})
    assert wrong.status_code == 460
    assert (await house.head(id_, "0")).headers["upload-offset"] == "5000"
    assert (await house.patch(id_, "0", 5000, DATA[5000:])).status_code == 204


async def test_file_is_hashed_from_disk_where_an_earlier_process_received_its_beginning(house: House) -> None:
    id_ = await house.begin(("a.bin", DATA, True), ("b.bin", DATA[::-1], False))
    await house.patch(id_, "0", 0, DATA[:1_000_000])
    await house.patch(id_, "1", 0, DATA[::-1])
    await house.restart()
    assert (await house.head(id_, "0")).headers["upload-offset"] == "1000000"
    assert (await house.patch(id_, "0", 1_000_000, DATA[1_000_000:])).status_code == 204
    assert (await house.complete(id_)).status_code == 200
    [(_, staging, manifest)] = house.handed_over
    assert manifest == hash_folder(staging, lambda _: None)


async def test_parts_sent_in_parallel_are_joined_to_the_file_in_their_order(house: House) -> None:
    id_ = await house.begin(("a.bin", DATA, True))
    cuts = [DATA[:2_000_000], DATA[2_000_000:3_000_000], DATA[3_000_000:]]
    parts = await asyncio.gather(*(house.part(id_, piece) for piece in reversed(cuts)))
    head = await house.head(id_, parts[0])
    assert (head.headers["upload-concat"], head.headers["upload-offset"]) == ("partial", str(len(cuts[2])))
    wrong = await house.join(id_, "a.bin", *parts[:2])
    assert wrong.status_code == 422
    joined = await house.join(id_, "a.bin", *reversed(parts))
    assert joined.status_code == 201, joined.text
    assert (await house.join(id_, "a.bin", *reversed(parts))).status_code == 201, "asked again, nothing changes"
    assert joined.headers["location"].endswith("/files/0")
    assert not list((house.root / id_ / "parts").iterdir())
    await house.complete(id_)
    assert (house.handed_over[0][1] / "a.bin").read_bytes() == DATA


async def test_join_killed_in_the_middle_goes_on_where_it_was(house: House) -> None:
    id_ = await house.begin(("a.bin", DATA, True))
    parts = [await house.part(id_, DATA[:1_000_000]), await house.part(id_, DATA[1_000_000:])]
    house.killed_at = "part-joined"
    with pytest.raises(KilledError):
        await house.join(id_, "a.bin", *parts)
    await house.restart()
    assert (await house.head(id_, "0")).headers["upload-offset"] == "1000000"
    assert (await house.patch(id_, "0", 1_000_000, DATA[1_000_000:])).status_code == 423
    assert (await house.complete(id_)).status_code == 200
    assert (house.handed_over[0][1] / "a.bin").read_bytes() == DATA


async def test_join_in_the_wrong_order_is_found_by_the_checksum(house: House) -> None:
    id_ = await house.begin(("a.bin", DATA, True))
    parts = [await house.part(id_, DATA[:1_000_000]), await house.part(id_, DATA[1_000_000:])]
    answer = await house.join(id_, "a.bin", *reversed(parts))
    assert answer.status_code == 460
    assert "a.bin arrived with another content" in answer.text
    assert (await house.head(id_, "0")).headers["upload-offset"] == "0"


async def test_parts_larger_than_what_was_declared_are_refused(house: House) -> None:
    id_ = await house.begin(("a.bin", b"12345", False))
    headers = TUS | {"upload-concat": "partial", "upload-length": "6"}
    assert (await house.http.post(f"/uploads/{id_}/files", headers=headers)).status_code == 413


async def test_file_that_differs_and_the_library_has_is_replaced_not_written_over(house: House) -> None:
    id_ = await house.begin(("a.bin", DATA, False))
    await house.patch(id_, "0", 0, DATA)
    kept = house.root.parent / "kept"
    kept.hardlink_to(house.root / id_ / "files" / "0")
    assert (await house.http.delete(f"/uploads/{id_}/files/0", headers=TUS)).status_code == 204
    await house.patch(id_, "0", 0, DATA[::-1])
    assert kept.read_bytes() == DATA


async def test_files_that_the_library_has_are_present_at_once(house: House) -> None:
    staging = house.root.parent / "staging"
    staging.mkdir()
    (staging / "model.safetensors").write_bytes(DATA)
    house.contents.publish(staging, hash_folder(staging, lambda _: None))
    id_ = await house.begin(("new.json", b"{}", True), ("model.safetensors", DATA, True))
    files = (await house.http.get(f"/uploads/{id_}")).json()["files"]
    assert [(file["present"], file["offset"]) for file in files] == [(False, 0), (True, len(DATA))]
    house.contents.gc([], dry_run=False)
    await house.patch(id_, "0", 0, b"{}")
    assert (await house.complete(id_)).status_code == 200
    assert (house.handed_over[0][1] / "model.safetensors").read_bytes() == DATA


async def test_file_declared_late_is_taken_from_the_library_and_the_library_is_not_harmed(house: House) -> None:
    staging = house.root.parent / "staging"
    staging.mkdir()
    (staging / "model.safetensors").write_bytes(DATA)
    revision = house.contents.publish(staging, hash_folder(staging, lambda _: None))
    id_ = await house.begin(("model.safetensors", DATA, False))
    [file] = (await house.http.get(f"/uploads/{id_}")).json()["files"]
    assert (file["present"], file["known_size"]) == (False, True)
    await house.patch(id_, "0", 0, b"half of it")
    pairs = {"path": b"model.safetensors", "sha256": sha256(DATA).hexdigest().encode()}
    metadata = ",".join(f"{key} {b64encode(value).decode()}" for key, value in pairs.items())
    declared = await house.http.post(f"/uploads/{id_}/files", headers=TUS | {"upload-metadata": metadata})
    assert declared.headers["upload-offset"] == str(len(DATA))
    assert (await house.http.delete(f"/uploads/{id_}/files/0", headers=TUS)).status_code == 204
    assert (await house.patch(id_, "0", 0, DATA[::-1])).status_code == 460
    assert (revision / "model.safetensors").read_bytes() == DATA


async def test_upload_that_nothing_is_sent_to_expires_and_its_data_goes(house: House) -> None:
    id_ = await house.begin(("a.bin", DATA, False))
    await house.patch(id_, "0", 0, DATA[:1000])
    house.clock = 4e9  # files keep the time of the real clock
    assert await house.uploads.sweep() == 1
    assert (await house.head(id_, "0")).status_code == 410
    assert (await house.patch(id_, "0", 1000, b"x")).status_code == 410
    assert (await house.complete(id_)).status_code == 410
    assert [path.name for path in (house.root / id_).iterdir()] == ["session.json"]
    await house.restart()
    assert (await house.head(id_, "0")).status_code == 410
    house.clock += 3 * house.limits.ttl_s
    await house.uploads.sweep()
    assert (await house.head(id_, "0")).status_code == 404
    assert not list(house.root.iterdir())


async def test_upload_deleted_is_gone_with_its_data(house: House) -> None:
    id_ = await house.begin(("a.bin", DATA, False))
    await house.patch(id_, "0", 0, DATA[:1000])
    assert (await house.http.delete(f"/uploads/{id_}")).status_code == 204
    assert (await house.http.get(f"/uploads/{id_}")).status_code == 404
    assert not list(house.root.iterdir())


async def test_upload_deleted_while_a_file_is_sent_is_404_for_the_sender(house: House) -> None:
    began, go_on = asyncio.Event(), asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        began.set()
        await go_on.wait()
        yield DATA

    id_ = await house.begin(("a.bin", DATA, False))
    sending = asyncio.create_task(house.patch(id_, "0", 0, body()))
    await began.wait()
    await house.http.delete(f"/uploads/{id_}")
    go_on.set()
    assert (await sending).status_code == 404
    assert not list(house.root.iterdir())


async def test_complete_upload_that_nobody_takes_over_is_offered_again(house: House) -> None:
    id_ = await house.begin(("a.json", b"{}", False))
    await house.patch(id_, "0", 0, b"{}")
    house.refuses_to_take_over = True
    assert (await house.complete(id_)).status_code == 503
    assert house.uploads.session(id_).state is SessionState.COMPLETE
    await house.restart()
    assert house.handed_over == []
    house.refuses_to_take_over = False
    await house.uploads.sweep()
    assert [session.id for session, _, _ in house.handed_over] == [id_]
    await house.uploads.finish(id_)
    await house.restart()
    assert len(house.handed_over) == 1
    assert (await house.complete(id_)).json()["revision"] == house.handed_over[0][0].revision


async def test_archive_that_is_hostile_is_refused_at_its_end_and_can_be_deleted(house: House) -> None:
    id_ = await house.begin(("model.tar", b"x" * 1024, False))
    await house.patch(id_, "0", 0, b"x" * 1024)
    answer = await house.complete(id_)
    assert answer.status_code == 422
    assert "no tar archive" in answer.text
    assert not (house.root / id_ / "staging").exists()
    assert (await house.http.delete(f"/uploads/{id_}")).status_code == 204


async def test_half_made_and_half_removed_sessions_are_swept_at_the_start(house: House) -> None:
    id_ = await house.begin(("a.json", b"{}", False))
    (house.root / id_).rename(house.root / f".{id_}")
    (house.root / "0123").mkdir()
    await house.restart()
    assert house.uploads.sessions() == []
    assert not list(house.root.iterdir())


async def test_create_counts_what_other_uploads_have_still_to_bring(house: House) -> None:
    free = house.contents.disk_free()
    rows = [{"path": "a.safetensors", "size_bytes": free * 2 // 3}]
    first = await house.http.post("/uploads", json={"name": "one", "files": rows})
    second = await house.http.post("/uploads", json={"name": "two", "files": rows})
    assert (first.status_code, second.status_code) == (201, 507)
    assert "promised to other uploads" in second.text


async def test_create_beyond_the_number_of_open_uploads_is_refused(tmp_path: Path) -> None:
    house = House(tmp_path, sessions=1)
    await house.uploads.start()
    id_ = await house.begin(("a.json", b"{}", False))
    body = {"name": "two", "files": [{"path": "a.json", "size_bytes": 2}]}
    assert (await house.http.post("/uploads", json=body)).status_code == 429
    await house.http.delete(f"/uploads/{id_}")
    assert (await house.http.post("/uploads", json=body)).status_code == 201
