"""Rates from totals, through all that reports do."""

import pytest

from orchestrator.scaling.demand import arrivals_per_s, growth_per_s2, observe, queue_of, settled_rate
from orchestrator.scaling.types import DemandMemory, LoadSample


def sample(at: float, arrivals: int, router: str = "r", **more: int) -> LoadSample:
    return LoadSample(router_id=router, at=at, arrivals_total=arrivals, **more)


def after(*rounds: list[LoadSample]) -> DemandMemory:
    memory = DemandMemory()
    for loads in rounds:
        memory, _ = observe(memory, loads, max(load.at for load in loads))
    return memory


def test_rate_is_of_the_window() -> None:
    memory = after(*([sample(at, 3 * at if at <= 60 else 180)] for at in range(101)))
    assert arrivals_per_s(memory, 100, 100) == pytest.approx(1.8)
    assert arrivals_per_s(memory, 20, 100) == 0


def test_first_report_of_a_router_is_a_beginning() -> None:
    memory = after([sample(0, 1_000_000)], [sample(10, 1_000_020)])
    assert arrivals_per_s(memory, 10, 10) == pytest.approx(2.0)


def test_router_that_begins_again_counts_from_nothing() -> None:
    memory = after([sample(0, 500)], [sample(10, 510)], [sample(20, 10)])
    assert arrivals_per_s(memory, 20, 20) == pytest.approx(1.0)


def test_same_report_twice_counts_once() -> None:
    memory = after([sample(0, 0)], [sample(10, 10)], [sample(10, 10)])
    assert arrivals_per_s(memory, 10, 10) == pytest.approx(1.0)


def test_silence_is_filled_by_the_next_report() -> None:
    memory = after([sample(0, 0)], [sample(10, 10)], [sample(60, 60)])
    for window_s in (10, 30, 60):
        assert arrivals_per_s(memory, window_s, 60) == pytest.approx(1.0)


def test_silence_says_nothing_of_the_rate() -> None:
    memory = after([sample(0, 0)], [sample(60, 60)])
    assert arrivals_per_s(memory, 60, 90) == pytest.approx(1.0)


def test_routers_add_up_and_the_time_they_cover_does_not() -> None:
    memory = after(*([sample(at, at, "a"), sample(at, 2 * at, "b")] for at in range(61)))
    assert arrivals_per_s(memory, 60, 60) == pytest.approx(3.0)


def test_doubt_takes_off_more_where_less_was_seen() -> None:
    memory = after(*([sample(at, 4 * at)] for at in range(101)))
    short, long = (arrivals_per_s(memory, window_s, 100, doubt=2) for window_s in (10, 100))
    assert short < long < 4


def test_means_move_to_what_requests_are_like() -> None:
    memory = DemandMemory()
    for total in range(300):
        load = sample(total, total, prompt_tokens_total=total * 90, generated_tokens_total=total * 30)
        memory, _ = observe(memory, [load], total)
    assert memory.prompt_tokens == pytest.approx(90, rel=0.1)
    assert memory.output_tokens == pytest.approx(30, rel=0.1)


def test_answers_are_arrivals_that_are_neither_waiting_nor_running() -> None:
    memory, _ = observe(DemandMemory(), [sample(0, 0)], 0)
    _, answers = observe(memory, [sample(1, 10, queued=3, in_flight=2)], 1)
    assert answers == 5


def test_queue_of_a_silent_router_is_forgotten_after_a_while() -> None:
    memory = after([sample(0, 9, queued=7)])
    assert queue_of(memory, 20).queued == 7
    assert queue_of(memory, 40).queued == 0


@pytest.mark.parametrize(
    ("counts", "grows"),
    [((30, 60, 90, 120), True), ((120, 90, 60, 30), False), ((30, 30, 300, 300), False), ((30, 165, 300, 300), False)],
)
def test_growth_is_a_rise_that_goes_on_and_no_step(counts: tuple[int, ...], grows: bool) -> None:
    total, rounds = 0, [[sample(0, 0)]]
    for number, count in enumerate(counts):
        rounds += [[sample(30 * number + 5 * part, total + count * part // 6)] for part in range(1, 7)]
        total += count
    growth = growth_per_s2(after(*rounds), 120)
    assert growth == pytest.approx(1 / 30, rel=0.2) if grows else growth == 0


def test_settled_rate_is_of_all_the_time_in_which_nothing_changed() -> None:
    memory = after(*([sample(at, 4 * at)] for at in range(501)))
    assert settled_rate(memory, 500, least_s=30) == pytest.approx((4.0, 480))


@pytest.mark.parametrize("rate", [1, 16])
def test_settled_rate_forgets_what_was_before_a_step(rate: int) -> None:
    memory = after(*([sample(at, 4 * min(at, 400) + rate * max(0, at - 400))] for at in range(461)))
    assert settled_rate(memory, 460, least_s=30) == pytest.approx((rate, 60))
