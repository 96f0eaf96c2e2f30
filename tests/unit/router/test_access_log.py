"""The access log: what is written, where, and that nobody waits for it."""

import json
import logging
import os
import threading
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from router import access_log
from router.access_log import AccessLog, RotatingFile, StandardOutput, access_log_sink
from router.finished import FailedAttempt, Finished


def finished(code: int = 200, **changes: Any) -> Finished:
    fields: dict[str, Any] = {
        "ended_at": 1_800_000_000.5,
        "request_id": "req-1",
        "path": "/v1/chat/completions",
        "code": code,
        "key_id": "k1",
        "replica": "tiny-1",
        "duration_s": 0.5,
        "first_token_s": None,
    }
    return Finished(**(fields | changes))


class Sink:
    """Keeps lines; fails or waits when told to."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []
        self.error: OSError | None = None
        self.go_on = threading.Event()
        self.go_on.set()
        self.closed = False

    def write(self, lines: bytes) -> None:
        assert self.go_on.wait(10)
        if self.error is not None:
            raise self.error
        assert lines.endswith(b"\n")
        self.lines += [json.loads(line) for line in lines.splitlines()]

    def close(self) -> None:
        self.closed = True


def test_every_request_is_a_line() -> None:
    sink = Sink()
    log = AccessLog(sink)
    for number in range(3):
        log(finished(request_id=f"req-{number}", failures=(FailedAttempt("tiny-2", "reset", 0.1),)))
    assert sink.lines == []
    log.flush()
    log(finished(request_id="last"))
    log.close()
    assert [line["request_id"] for line in sink.lines] == ["req-0", "req-1", "req-2", "last"]
    assert sink.lines[0]["failures"] == [{"replica": "tiny-2", "reason": "reset", "after_s": 0.1}]
    assert set(sink.lines[0]) == set(Finished.__struct_fields__)
    assert sink.closed
    assert log.lost == 0


def test_sample_thins_out_what_went_well_only() -> None:
    sink = Sink()
    log = AccessLog(sink, sample=0.2, rng=Random(3))
    for _ in range(500):
        for code in (200, 404, 429, 503, 599):
            log(finished(code))
    log.close()
    counts = {code: sum(line["code"] == code for line in sink.lines) for code in (200, 404, 429, 503, 599)}
    assert counts[429] == counts[503] == counts[599] == 500
    assert 60 < counts[200] < 140
    assert 60 < counts[404] < 140


def test_failures_are_told_once_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    sink = Sink()
    log = AccessLog(sink)
    sink.error = OSError(28, "No space left on device")
    for _ in range(3):
        log(finished())
        log.flush()
    log.close()
    (told,) = caplog.records
    assert "No space left" in told.getMessage()
    assert (log.lost, sink.lines) == (3, [])


def test_slow_disk_is_not_waited_for_and_what_waits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_log, "_MOST_WAITING", 10)
    sink = Sink()
    sink.go_on.clear()
    log = AccessLog(sink)
    for number in range(25):
        log(finished(request_id=str(number)))
        log.flush()
    assert log.lost == 15
    sink.go_on.set()
    log.close()
    assert [line["request_id"] for line in sink.lines] == [str(number) for number in range(10)]


def test_close_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_log, "_CLOSES_WITHIN_S", 0.05)
    sink = Sink()
    sink.go_on.clear()
    log = AccessLog(sink)
    log(finished())
    log.close()
    assert sink.lines == []
    sink.go_on.set()


def test_full_file_is_renamed_and_the_oldest_one_removed(tmp_path: Path) -> None:
    path = tmp_path / "access.jsonl"
    file = RotatingFile(path, max_bytes=100, old_files=2)
    for number in range(8):
        file.write(b'{"n":%d}%b\n' % (number, b" " * 50))
    file.close()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["access.jsonl", "access.jsonl.1", "access.jsonl.2"]
    kept = [
        json.loads(line)["n"] for name in (".2", ".1", "") for line in Path(f"{path}{name}").read_text().splitlines()
    ]
    assert kept == [5, 6, 7]


def test_file_is_gone_on_with_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "access.jsonl"
    for number in range(2):
        log = AccessLog(access_log_sink(str(path)))
        log(finished(request_id=str(number)))
        log.close()
    assert [json.loads(line)["request_id"] for line in path.read_text().splitlines()] == ["0", "1"]


def test_full_disk_is_an_error_and_later_lines_are_whole(tmp_path: Path) -> None:
    path = tmp_path / "access.jsonl"
    path.symlink_to("/dev/full")
    file = RotatingFile(path)
    with pytest.raises(OSError, match="No space"):
        file.write(b'{"n":1}\n')
    path.unlink()
    path.write_text('{"ha')  # what a disk that was full has of the line
    file.write(b'{"n":2}\n')
    file.write(b'{"n":3}\n')
    file.close()
    assert path.read_text() == '{"ha\n{"n":2}\n{"n":3}\n'


def test_folder_that_cannot_be_written_is_told_and_survived(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    log = AccessLog(access_log_sink(str(tmp_path / "file" / "access.jsonl")))
    log(finished())
    log.close()
    assert log.lost == 1
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_standard_output_gets_whole_lines_in_pieces_that_a_pipe_takes_at_once() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    lines = [b'{"n":%d,"pad":"%b"}\n' % (number, b"x" * (number * 37 % 9000)) for number in range(200)]
    got: list[bytes] = []

    def read() -> None:
        while piece := os.read(reader, 65536):
            got.append(piece)

    thread = threading.Thread(target=read)
    thread.start()
    StandardOutput(writer).write(b"".join(lines))
    os.close(writer)
    thread.join(10)
    os.close(reader)
    assert b"".join(got) == b"".join(lines)
    pieces = list(access_log._atomic_pieces(b"".join(lines)))
    assert b"".join(pieces) == b"".join(lines)
    assert all(piece.endswith(b"\n") for piece in pieces)
    assert all(len(piece) <= 4096 or piece.count(b"\n") == 1 for piece in pieces)


def test_line_cannot_be_broken_by_what_a_client_sends() -> None:
    line = msgspec.json.encode(finished(request_id='a"b\n{}', replica="é\u2028"))
    assert b"\n" not in line
    assert json.loads(line)["request_id"] == 'a"b\n{}'


def test_documented_line_has_the_fields_of_a_real_one() -> None:
    docs = Path(__file__).resolve().parents[3] / "docs" / "operations.md"
    sample = docs.read_text().split("## Access log")[1].split("```json\n")[1].split("```")[0]
    record = json.loads(sample)
    assert list(record) == list(Finished.__struct_fields__)
    assert msgspec.convert(record, Finished).code == 200
