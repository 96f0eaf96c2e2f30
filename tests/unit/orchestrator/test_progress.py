import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.host.progress import (
    Stage,
    StageAdvanced,
    StageFinished,
    StageStarted,
    duration,
    fold,
    initial,
    read_timings,
    stage_share,
    total_left_s,
    write_timings,
)

STAGES = (Stage.STORE, Stage.RAY, Stage.ENGINE)


def test_total_left_before_anything_is_the_sum_of_what_was_measured_before() -> None:
    views = initial(STAGES, {Stage.STORE: 1, Stage.RAY: 10, Stage.ENGINE: 40})
    assert total_left_s(views, 0) == 51


def test_total_left_while_a_stage_runs_counts_down_and_follows_what_the_work_says() -> None:
    views = initial(STAGES, {Stage.STORE: 1, Stage.RAY: 10, Stage.ENGINE: 40})
    views = fold(views, StageStarted(Stage.STORE, 0, 1))
    views = fold(views, StageFinished(Stage.STORE, 1))
    views = fold(views, StageStarted(Stage.RAY, 1, 10))
    assert total_left_s(views, 5) == pytest.approx(6 + 40)
    views = fold(views, StageAdvanced(Stage.RAY, 5, "nearly", left_s=2))
    assert total_left_s(views, 6) == pytest.approx(1 + 40)


@given(st.floats(0, 1e4), st.floats(0.1, 1e3))
def test_share_of_a_running_stage_stays_below_one_however_late_it_is(passed: float, expected: float) -> None:
    views = fold(initial(STAGES, {}), StageStarted(Stage.RAY, 0, expected))
    assert 0 <= stage_share(views[Stage.RAY], passed) < 1
    done = fold(views, StageFinished(Stage.RAY, passed))
    assert stage_share(done[Stage.RAY], passed) == 1


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.4, "59 s"), (80, "1 min 20 s"), (3600, "1 h 0 min"), (7500, "2 h 5 min")]
)
def test_duration_for_any_length_reads_as_a_person_would_say_it(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_timings_of_a_run_are_kept_and_a_skipped_stage_keeps_its_old_one(tmp_path: pytest.TempPathFactory) -> None:
    path = tmp_path / "timings.json"  # type: ignore[operator]
    assert read_timings(path) == {}
    first = fold(fold(initial(STAGES, {}), StageStarted(Stage.RAY, 0, 1)), StageFinished(Stage.RAY, 9))
    write_timings(path, first)
    second = fold(fold(initial(STAGES, {}), StageStarted(Stage.RAY, 0, 1)), StageFinished(Stage.RAY, 0.1))
    write_timings(path, second)
    assert read_timings(path) == {Stage.RAY: 9}
