"""Rates of the last seconds."""

import pytest

from router.load_window import LoadWindow
from router.types import ModelLoad


def report(window: LoadWindow) -> ModelLoad:
    return window.report(queued=1, queued_tokens=2, oldest_wait_s=0.1234567, in_flight=3, sheds_total=4)


def steady(window: LoadWindow, start: float, seconds: float, *, per_s: int) -> float:
    """Traffic of `per_s` requests with 100 prompt tokens and 10 answered ones each, with four ticks a second."""
    steps = int(seconds * 4)
    for step in range(1, steps + 1):
        due = per_s * step // 4 - per_s * (step - 1) // 4
        window.arrivals_total += due
        window.prompt_tokens_total += due * 100
        window.sent_tokens_total += due * 100
        window.generated_tokens_total += due * 10
        window.tick(start + step / 4)
    return start + seconds


def test_rates_are_those_of_steady_traffic() -> None:
    window = LoadWindow()
    window.tick(0.0)
    steady(window, 0.0, 60, per_s=8)
    load = report(window)
    assert load.arrivals_per_s == pytest.approx(8, rel=0.03)
    assert load.prompt_tokens_per_s == pytest.approx(800, rel=0.03)
    assert load.generated_tokens_per_s == pytest.approx(80, rel=0.03)


def test_rates_fall_to_zero_ten_seconds_after_the_last_request() -> None:
    window = LoadWindow()
    window.tick(0.0)
    end = steady(window, 0.0, 20, per_s=8)
    end = steady(window, end, 5, per_s=0)
    assert report(window).arrivals_per_s == pytest.approx(4, rel=0.1)
    steady(window, end, 6, per_s=0)
    load = report(window)
    assert (load.arrivals_per_s, load.prompt_tokens_per_s, load.generated_tokens_per_s) == (0, 0, 0)
    assert load.arrivals_total == 160, "totals do not fall"


@pytest.mark.parametrize("ticks", [0, 1])
def test_rates_are_zero_before_there_are_two_moments(ticks: int) -> None:
    window = LoadWindow()
    window.arrivals_total = 5
    for now in range(ticks):
        window.tick(float(now))
    assert report(window).arrivals_per_s == 0


def test_rates_are_numbers_when_two_ticks_fall_together() -> None:
    window = LoadWindow()
    window.tick(1.0)
    window.arrivals_total = 1
    window.tick(1.0)
    assert report(window).arrivals_per_s == pytest.approx(1000)


def test_backlog_drains_at_the_rate_at_which_prompts_were_sent() -> None:
    window = LoadWindow()
    window.tick(0.0)
    steady(window, 0.0, 20, per_s=10)
    assert window.drain_s(30_000) == pytest.approx(30, rel=0.03)


def test_drain_time_is_a_number_when_nothing_was_sent() -> None:
    assert LoadWindow().drain_s(1000) == 10.0


def test_report_carries_what_the_caller_knows() -> None:
    load = report(LoadWindow())
    assert (load.queued, load.queued_tokens, load.in_flight, load.sheds_total) == (1, 2, 3, 4)
    assert load.oldest_wait_s == 0.123


def test_memory_is_bounded_when_time_goes_on() -> None:
    window = LoadWindow()
    steady(window, 0.0, 600, per_s=1)
    assert len(window._past) <= 42
