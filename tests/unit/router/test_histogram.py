"""Histograms that routers publish."""

from bisect import bisect_left

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.histogram import SECONDS, added, grown, quantile

counts = st.lists(st.integers(0, 1000), min_size=len(SECONDS) + 1, max_size=len(SECONDS) + 1)


def counted(seconds: list[float]) -> list[int]:
    found = [0] * (len(SECONDS) + 1)
    for each in seconds:
        found[bisect_left(SECONDS, each)] += 1
    return found


@given(st.lists(st.floats(SECONDS[0], SECONDS[-1]), min_size=1, max_size=200), st.floats(0.01, 1))
def test_quantile_lies_in_the_bucket_of_the_true_one(measured: list[float], share: float) -> None:
    true = sorted(measured)[max(0, -int(-share * len(measured) // 1) - 1)]
    bucket = bisect_left(SECONDS, true)
    found = quantile(counted(measured), share)
    assert found is not None
    assert (SECONDS[bucket - 1] if bucket else 0) * 0.999 <= found <= SECONDS[bucket] * 1.001


@given(counts, st.floats(0, 1), st.floats(0, 1))
def test_quantile_never_falls_with_its_share(some: list[int], one: float, other: float) -> None:
    low, high = quantile(some, min(one, other)), quantile(some, max(one, other))
    assert low is None or high is None or low <= high


@given(counts, counts)
def test_growth_of_what_was_added_is_what_was_added(before: list[int], more: list[int]) -> None:
    assert grown(before, added(before, more)) == tuple(more)


@pytest.mark.parametrize(
    ("some", "share", "expected"),
    [((), 0.5, None), ((0, 0), 0.99, None), ((4,), 0.5, 0.0025), ((0,) * 31 + (3,), 0.5, 600)],
)
def test_quantile_at_the_ends(some: tuple[int, ...], share: float, expected: float | None) -> None:
    assert quantile(some, share) == expected


def test_growth_after_a_restart_is_all_that_is_there() -> None:
    assert grown((5, 7), (1, 9)) == (1, 9)
    assert grown((), (1, 2)) == (1, 2)
