"""How many requests may be sent again."""

import pytest

from router.failover import RetryBudget


def granted(budget: RetryBudget, now: float, in_flight: int = 0, asked: int = 200) -> int:
    return sum(budget.take(now, in_flight) for _ in range(asked))


@pytest.mark.parametrize(("requests", "retries"), [(0, 3), (1, 3), (15, 3), (16, 4), (100, 20), (500, 100)], ids=str)
def test_a_fifth_of_the_requests_may_be_sent_again_and_three_at_least(requests: int, retries: int) -> None:
    budget = RetryBudget()
    budget.tick(0.0)
    budget.requests_total += requests
    assert granted(budget, 1.0) == retries


def test_requests_under_way_count_though_they_came_long_before() -> None:
    budget = RetryBudget()
    budget.requests_total = 100
    for now in range(30):
        budget.tick(float(now))
    assert granted(budget, 30.0, in_flight=100) == 20


def test_requests_before_the_window_do_not_count() -> None:
    budget = RetryBudget()
    budget.tick(0.0)
    budget.requests_total += 1000
    for now in range(1, 13):
        budget.tick(float(now))
    assert granted(budget, 12.0) == 3


def test_requests_within_the_window_count() -> None:
    budget = RetryBudget()
    for now in range(20):
        budget.requests_total += 10
        budget.tick(float(now))
    assert granted(budget, 19.0) == 20


def test_budget_is_granted_again_as_retries_leave_the_window() -> None:
    budget = RetryBudget()
    assert granted(budget, 0.0) == 3
    assert granted(budget, 5.0) == 0
    assert granted(budget, 9.99) == 0
    assert granted(budget, 10.0) == 3


def test_retry_that_is_refused_does_not_count() -> None:
    budget = RetryBudget()
    assert granted(budget, 0.0, asked=1000) == 3
    budget.requests_total += 20
    assert granted(budget, 1.0) == 1


def test_memory_is_bounded_when_time_goes_on() -> None:
    budget = RetryBudget()
    for step in range(10_000):
        now = step * 0.25
        budget.requests_total += 5
        budget.tick(now)
        budget.take(now, 0)
    assert len(budget._requests_at) <= 42
    assert len(budget._retries) <= 60
