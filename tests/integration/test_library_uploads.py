"""A real server and a real client: what was sent arrives, whatever is killed or cut on the way."""

import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

import httpx
import pytest

from orchestrator.errors import HostError
from orchestrator.library.adopt import hash_folder
from orchestrator.library.uploads.errors import UploadRefusedError
from orchestrator.library.uploads.push import Push as RealPush
from orchestrator.library.uploads.push import Pushed, PushProgress
from orchestrator.library.uploads.types import UploadLimits
from replicas.weights.contents import Contents
from replicas.weights.manifest import digest
from tests.integration.upload_server import Disaster, UploadServer

MIB = 2**20
TUS = {"tus-resumable": "1.0.0"}
PATCH = TUS | {"content-type": "application/offset+octet-stream"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[UploadServer]:
    server = UploadServer(tmp_path / "server")
    yield server
    server.stop()


def model(path: Path, *sizes_mib: float, seed: int = 1) -> Path:
    random = Random(seed)
    path.mkdir()
    (path / "config.json").write_bytes(b"{}")
    (path / "empty.txt").touch()
    for number, size in enumerate(sizes_mib):
        (path / f"model-{number}.safetensors").write_bytes(random.randbytes(int(size * MIB)))
    return path


def push(server: UploadServer, folder: Path, name: str = "tiny", **options: object) -> Pushed:
    settings = {"patience_s": 60.0, "chunk_bytes": 8 * MIB} | options
    with RealPush(server.url, {}, **settings) as sending:  # type: ignore[arg-type]
        return sending.run(folder, name)


def check_whole(contents: Contents) -> list[str]:
    """Every visible revision is what its name says."""
    revisions = list(contents.revisions())
    for revision in revisions:
        assert digest(hash_folder(contents.folder(revision), lambda _: None)) == revision
    return revisions


def check_arrived(server: UploadServer, folder: Path, pushed: Pushed) -> None:
    wanted = digest(hash_folder(folder, lambda _: None))
    assert pushed.revision == wanted
    assert wanted in check_whole(server.contents)


def test_push_of_a_folder_publishes_a_revision_of_its_files(server: UploadServer, tmp_path: Path) -> None:
    server.start()
    told: list[PushProgress] = []
    folder = model(tmp_path / "m", 9, 3)
    pushed = push(server, folder, progress=told.append)
    check_arrived(server, folder, pushed)
    assert pushed.sent_bytes == pushed.total_bytes == told[-1].done_bytes
    uploads = httpx.get(f"{server.url}/uploads").json()
    assert [(each["name"], each["author"], each["state"]) for each in uploads] == [("tiny", "admin", "complete")]
    assert [path.name for path in (tmp_path / "server" / "uploads" / pushed.upload_id).iterdir()] == ["session.json"]


def test_push_of_a_second_revision_sends_what_differs_and_no_more(server: UploadServer, tmp_path: Path) -> None:
    server.start()
    folder = model(tmp_path / "m", 2, 2)
    push(server, folder)
    (folder / "model-1.safetensors").write_bytes(Random(9).randbytes(2 * MIB))
    pushed = push(server, folder)
    check_arrived(server, folder, pushed)
    assert pushed.sent_bytes == 2 * MIB
    assert len(server.contents.revisions()) == 2


@pytest.mark.parametrize("suffix", ["tar", "tar.gz", "zip"])
def test_push_of_an_archive_publishes_what_is_in_it(server: UploadServer, tmp_path: Path, suffix: str) -> None:
    server.start()
    folder = model(tmp_path / "m", 3)
    archive = tmp_path / f"m.{suffix}"
    kind = {"tar": "tar", "tar.gz": "gztar", "zip": "zip"}[suffix]
    shutil.make_archive(str(tmp_path / "m"), kind, tmp_path, "m")
    check_arrived(server, folder, push(server, archive))


def test_push_survives_twenty_kills_at_random_points(server: UploadServer, tmp_path: Path) -> None:
    folder = model(tmp_path / "m", 40, 17, 3)
    random = Random(4)
    points = sorted(random.uniform(0.01, 0.99) * 60 * MIB for _ in range(20))
    lock = threading.Lock()
    server.start()

    def kill_sometimes(progress: PushProgress) -> None:
        with lock:
            if points and progress.done_bytes >= points[0]:
                points.pop(0)
                server.kill()
                assert check_whole(server.contents) == []
                server.start()

    pushed = push(server, folder, progress=kill_sometimes)
    assert server.ends == 20
    check_arrived(server, folder, pushed)


STEPS = [
    ("session-written", 1),
    ("session-made", 1),
    ("bytes-came", 1),
    ("bytes-came", 9),
    ("body-taken", 1),
    ("body-taken", 3),
    ("file-synced", 1),
    ("file-settled", 2),
    ("files-settled", 1),
    ("staging-built", 1),
    ("session-complete", 1),
    ("content-synced", 2),
    ("content-kept", 3),
    ("manifest-written", 1),
    ("folder-built", 1),
    ("folder-renamed", 1),
    ("handed-over", 1),
]


@pytest.mark.parametrize(("step", "count"), STEPS)
def test_push_to_a_server_killed_at_a_step_converges(
    server: UploadServer, tmp_path: Path, step: str, count: int
) -> None:
    folder = model(tmp_path / "m", 9, 3)
    seen: list[list[str]] = []
    server.start(Disaster(kill_at=step, count=count))
    watch = server.restart_when_dead(lambda: seen.append(check_whole(server.contents)))
    pushed = push(server, folder)
    watch.join()
    assert server.ends == 1
    check_arrived(server, folder, pushed)
    # The record of the upload is all that stays of it; what was never completed was never visible.
    assert seen in ([[]], [[pushed.revision]])
    assert (seen == [[]]) is (step not in ("folder-renamed", "handed-over"))
    assert sum(len(list(each.iterdir())) for each in (tmp_path / "server" / "uploads").iterdir()) == 1
    assert not list((tmp_path / "server" / "library" / "partial").iterdir())


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99, 1.0])
def test_push_given_up_and_begun_again_sends_what_is_missing(
    server: UploadServer, tmp_path: Path, share: float
) -> None:
    folder = model(tmp_path / "m", 20)
    server.start()

    def die(progress: PushProgress) -> None:
        if progress.path == "model-0.safetensors" and progress.done_bytes >= share * 20 * MIB:
            server.kill()

    with pytest.raises(HostError, match="push again to go on"):
        push(server, folder, progress=die, patience_s=0, parallel=1)
    server.start()
    pushed = push(server, folder)
    check_arrived(server, folder, pushed)
    assert pushed.sent_bytes <= (1 - share) * 20 * MIB + 8 * MIB + 2, "at most one chunk is sent again"


def begin(server: UploadServer, *files: dict[str, object]) -> dict[str, object]:
    answer = httpx.post(f"{server.url}/uploads", json={"name": "raw", "files": files})
    assert answer.status_code == 201, answer.text
    session: dict[str, object] = answer.json()
    return session


def url_of(server: UploadServer, session: dict[str, object], number: int = 0) -> str:
    return f"{server.url}/uploads/{session['id']}/files/{number}"


def offset_of(url: str) -> int:
    return int(httpx.head(url, headers=TUS).headers["upload-offset"])


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_connection_cut_in_the_middle_of_a_patch_keeps_what_arrived(server: UploadServer, share: float) -> None:
    server.start()
    data = Random(2).randbytes(6 * MIB)
    session = begin(server, {"path": "a.safetensors", "size_bytes": len(data), "sha256": sha256(data).hexdigest()})
    url, sent = url_of(server, session), int(len(data) * share)
    head = f"PATCH {urlsplit(url).path} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(data)}\r\nupload-offset: 0\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in PATCH.items())
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(head.encode() + b"\r\n" + data[:sent])
    # The server learns of the cut in its own time: until then the file is locked, which a PATCH is told.
    for offset in iter(lambda: offset_of(url), None):
        answer = httpx.patch(url, headers=PATCH | {"upload-offset": str(offset)}, content=data[offset:])
        if answer.status_code == 204:
            break
        assert answer.status_code in (409, 423)
    assert sent - 512 * 1024 <= offset <= sent
    assert httpx.post(f"{server.url}/uploads/{session['id']}/complete").status_code == 200


def test_file_that_is_not_what_was_declared_is_refused_by_name_and_can_be_sent_again(server: UploadServer) -> None:
    server.start()
    good, bad = b"good" * MIB, b"bad!" * MIB
    session = begin(server, {"path": "a.safetensors", "size_bytes": len(good), "sha256": sha256(good).hexdigest()})
    url = url_of(server, session)
    refused = httpx.patch(url, headers=PATCH | {"upload-offset": "0"}, content=bad)
    assert refused.status_code == 460
    assert "a.safetensors arrived with another content" in refused.json()["error"]["message"]
    assert offset_of(url) == 0
    assert httpx.patch(url, headers=PATCH | {"upload-offset": "0"}, content=good).status_code == 204


def test_two_pushes_of_the_same_files_at_once_both_succeed(server: UploadServer, tmp_path: Path) -> None:
    server.start()
    folder = model(tmp_path / "m", 8, 2)
    with ThreadPoolExecutor(2) as threads:
        both = list(threads.map(lambda name: push(server, folder, name), ("one", "two")))
    for pushed in both:
        check_arrived(server, folder, pushed)
    assert len(server.contents.revisions()) == 1


def test_disk_full_in_the_middle_is_507_and_keeps_what_was_acknowledged(server: UploadServer, tmp_path: Path) -> None:
    folder = model(tmp_path / "m", 20)
    server.start(Disaster(full_from_byte=13 * MIB))
    with pytest.raises(UploadRefusedError, match=r"disk is full at model-0\.safetensors") as refused:
        push(server, folder)
    assert refused.value.status == 507
    [session] = httpx.get(f"{server.url}/uploads").json()
    offset = {file["path"]: file["offset"] for file in session["files"]}["model-0.safetensors"]
    assert 8 * MIB <= offset <= 13 * MIB
    server.kill()
    server.start()
    pushed = push(server, folder)
    check_arrived(server, folder, pushed)
    assert pushed.sent_bytes == 20 * MIB - offset


def test_disk_really_full_is_507_and_goes_on_once_there_is_room(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("needs the right to mount a small disk")
    server = UploadServer(disk / "server")
    try:
        server.start()
        folder = model(tmp_path / "m", 10)
        session = begin(server, {"path": "a.safetensors", "size_bytes": 12 * MIB})
        (disk / "others").write_bytes(bytes(8 * MIB))
        answer = httpx.patch(
            url_of(server, session), headers=PATCH | {"upload-offset": "0"}, content=b"x" * (12 * MIB), timeout=60
        )
        assert answer.status_code == 507
        assert 4 * MIB <= offset_of(url_of(server, session)) <= 8 * MIB
        with pytest.raises(UploadRefusedError, match=r"This upload needs .* are free") as refused:
            push(server, folder)
        assert refused.value.status == 507
        assert httpx.delete(f"{server.url}/uploads/{session['id']}").status_code == 204
        (disk / "others").unlink()
        check_arrived(server, folder, push(server, folder))
    finally:
        server.kill()
        subprocess.run(["umount", "-l", disk], check=True)


def test_upload_larger_than_the_disk_is_refused_before_it_begins(server: UploadServer) -> None:
    server.start()
    files = [{"path": "a.safetensors", "size_bytes": 2**49}]
    answer = httpx.post(f"{server.url}/uploads", json={"name": "raw", "files": files})
    assert answer.status_code == 507
    assert "Free some disk" in answer.json()["error"]["message"]
    assert not list((server.root / "uploads").iterdir())


@pytest.mark.timeout(3600)  # 50 GiB with --full
def test_large_sparse_upload_keeps_the_memory_flat(tmp_path: Path, full: bool) -> None:
    size = 50 * 2**30 if full else 2**30
    server = UploadServer(tmp_path / "server", UploadLimits(reserve_bytes=0))
    source = tmp_path / "m"
    source.mkdir()
    with (source / "model.safetensors").open("wb") as file:
        file.truncate(size)
        file.seek(size // 2)
        file.write(b"in the middle")
    try:
        server.start()
        push(server, model(tmp_path / "warm", 24))
        before, most = server.rss_bytes(), 0

        def look(_: PushProgress) -> None:
            nonlocal most
            most = max(most, server.rss_bytes())

        pushed = push(server, source, "sparse", progress=look, chunk_bytes=size)
        assert pushed.sent_bytes == size
        assert server.contents.folder(pushed.revision).joinpath("model.safetensors").stat().st_size == size
        assert most - before <= 64 * MIB
        print(f"RSS grew by {(most - before) / MIB:.1f} MiB")  # noqa: T201 - shown with -s
    finally:
        server.stop()
