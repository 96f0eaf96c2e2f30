"""Histograms of seconds that routers publish: counts by bucket, which add up over routers and over time. PURE."""

from collections.abc import Sequence
from itertools import zip_longest

SECONDS = (
    0.005, 0.007, 0.01, 0.015, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0,
    5.0, 7.0, 10.0, 15.0, 20.0, 30.0, 50.0, 70.0, 100.0, 150.0, 200.0, 300.0, 600.0,
)  # fmt: skip
"""Upper bounds. The last bucket, one more than there are bounds, has no end."""

Counts = tuple[int, ...]
"""By bucket of `SECONDS`; empty: nothing was measured."""


def added(one: Sequence[int], other: Sequence[int]) -> Counts:
    """Both together."""
    return tuple(first + second for first, second in zip_longest(one, other, fillvalue=0))


def grown(before: Sequence[int], now: Sequence[int]) -> Counts:
    """What came to counts that only rise; all of `now` where they have begun again."""
    growth = tuple(after - earlier for earlier, after in zip_longest(before, now, fillvalue=0))
    return tuple(now) if any(each < 0 for each in growth) else growth


def quantile(counts: Sequence[int], share: float) -> float | None:
    """Seconds under which `share` (0 to 1) of the measurements lie; None where there are none.

    Within a bucket measurements are taken to be spread evenly on a logarithmic scale, but those of the first one
    evenly from 0. Those of the last one count as its lower bound.
    """
    total = sum(counts)
    if not total:
        return None
    wanted, below = share * total, 0
    for bucket, count in enumerate(counts):
        if count and below + count >= wanted:
            return _within(bucket, max(0.0, wanted - below) / count)
        below += count
    return SECONDS[-1]


def _within(bucket: int, part: float) -> float:
    if bucket == 0:
        return SECONDS[0] * part
    low = SECONDS[bucket - 1]
    return low if bucket == len(SECONDS) else low * (SECONDS[bucket] / low) ** part
