"""A replica's log, part by part."""

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from replicas.log_tail import ProcessLog

words = st.text(st.characters(codec="utf-8", exclude_characters="\n\r\x1b"), max_size=30)


def texts(log: ProcessLog, after: str = "") -> list[str]:
    return [line.text for line in log.part(after).lines]


@given(st.lists(st.lists(words, max_size=5), max_size=6))
def test_parts_one_after_the_other_give_every_line_once(parts: list[list[str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "out"
        path.touch()
        log, read, position = ProcessLog({"out": path}), [], ""
        for lines in parts:
            with path.open("ab") as file:
                file.write("".join(f"{line}\n" for line in lines).encode())
            part = log.part(position)
            read += [line.text for line in part.lines]
            position = part.position
        assert read == [line for lines in parts for line in lines]


def test_line_that_is_not_whole_waits_for_its_end(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"whole\nhal")
    log = ProcessLog({"out": path})
    part = log.part()
    assert [line.text for line in part.lines] == ["whole"]
    path.write_bytes(b"whole\nhalf\n")
    assert texts(log, part.position) == ["half"]


def test_first_part_of_a_long_log_is_its_end_without_the_cut_line(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"".join(b"line %08d\n" % number for number in range(20_000)))
    found = texts(ProcessLog({"out": path}))
    assert found[-1] == "line 00019999"
    assert 1000 < len(found) < 20_000
    assert all(len(line) == len("line 00000000") for line in found)


def test_last_words_of_a_long_log_are_few_for_the_store_keeps_them(tmp_path: Path) -> None:
    files = {stream: tmp_path / stream for stream in ("out", "err")}
    for path in files.values():
        path.write_bytes(b"".join(b"line %08d\n" % number for number in range(20_000)))
    found = [line.text for line in ProcessLog(files).last().lines]
    assert found.count("line 00019999") == 2
    assert 30 * 1024 < sum(len(line) + 1 for line in found) <= 2 * 16 * 1024


def test_both_streams_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"a\n")
    (tmp_path / "err").write_bytes(b"b\n")
    part = ProcessLog({"out": tmp_path / "out", "err": tmp_path / "err"}).part()
    assert [(line.stream, line.text) for line in part.lines] == [("out", "a"), ("err", "b")]


def test_log_that_was_emptied_is_read_from_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"a long line that goes\n")
    log = ProcessLog({"out": path})
    position = log.part().position
    path.write_bytes(b"new\n")
    assert texts(log, position) == ["new"]


def test_colours_go_and_a_bar_of_progress_shows_its_last_state(tmp_path: Path) -> None:
    path = tmp_path / "err"
    path.write_bytes(b"\x1b[32mINFO\x1b[0m up\nload 10%\rload 100%\r\n")
    assert texts(ProcessLog({"err": path})) == ["INFO up", "load 100%"]


def test_marks_that_ray_makes_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_bytes(b":job_id:01000000\n:actor_name:ServeReplica:chat\nours: 1\n")
    assert texts(ProcessLog({"out": path})) == ["ours: 1"]


def test_position_that_nobody_gave_is_none(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"a\n")
    assert texts(ProcessLog({"out": path}), "../../etc/passwd") == ["a"]


def test_log_that_is_gone_is_empty(tmp_path: Path) -> None:
    assert texts(ProcessLog({"out": tmp_path / "gone"})) == []
