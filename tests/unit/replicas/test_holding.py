import signal
import subprocess
import sys
from pathlib import Path

from replicas.weights.contents import Contents
from replicas.weights.holding import hold
from tests.weights_hosts import publish

FILES = {"config.json": b"{}"}
HOLD = "import sys, pathlib; from replicas.weights.holding import hold; h = hold(pathlib.Path(sys.argv[1])); "


def test_a_held_revision_outlives_a_collection_until_it_is_released(tmp_path: Path) -> None:
    contents = Contents(tmp_path / "c")
    revision = publish(tmp_path / "c", FILES)
    folder = contents.folder(revision)
    first, second = hold(folder), hold(folder)
    assert first is not None
    assert second is not None
    for each in (first, second):
        assert contents.gc([], dry_run=True).revisions == ()
        assert contents.gc([], dry_run=False).blobs == 0
        assert (folder / "config.json").read_bytes() == b"{}"
        each.release()
        each.release()
    assert contents.gc([], dry_run=False).revisions == (revision,)
    assert hold(folder) is None


def test_a_killed_holder_holds_nothing_any_more(tmp_path: Path) -> None:
    contents = Contents(tmp_path / "c")
    revision = publish(tmp_path / "c", FILES)
    program = HOLD + "print('held', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", program, str(contents.folder(revision))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert contents.in_use(revision)
        holder.send_signal(signal.SIGKILL)
    assert not contents.in_use(revision)


def test_what_is_no_revision_cannot_be_held(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.mkdir()
    assert hold(plain) is None
    assert hold(tmp_path / "missing") is None
    assert not Contents(tmp_path / "c").in_use("sha256:" + "0" * 64)


def test_a_revision_without_its_folder_cannot_be_held(tmp_path: Path) -> None:
    contents = Contents(tmp_path / "c")
    folder = contents.folder(publish(tmp_path / "c", FILES))
    folder.rename(tmp_path / "gone")  # as far as a removal comes that is killed
    assert hold(folder) is None
