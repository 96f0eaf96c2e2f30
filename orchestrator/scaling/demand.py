"""What comes, and what a request is like, from the totals that routers report. PURE.

Only differences of one router's totals count, so a router that was silent for a while loses nothing, one that begins
again at 0 is understood, and one that is new adds nothing that was before it.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from math import floor, sqrt

from msgspec.structs import replace

from orchestrator.scaling.types import Bucket, DemandMemory, LoadSample

BUCKET_S = 5.0
HISTORY_S = 900.0
SILENT_AFTER_S = 30.0
"""What a router that reports no more said last stands for so long."""
CHANGED = 2.5
"""Standard deviations between two halves of a time from which on the rate is taken to have changed."""
GROWTH_WINDOW_S, GROWTH_WINDOWS = 30.0, 3
RISING = 2.5
"""Standard deviations between the last window and the first from which on the rate is taken to rise."""
_MEANS_OVER = 300.0
"""Requests behind the means of a request, at most."""
_PRIOR_WEIGHT = 3.0


class Queue:
    """What all routers together hold now."""

    __slots__ = ("in_flight", "oldest_wait_s", "queued", "queued_tokens")

    def __init__(self, samples: Iterable[LoadSample]) -> None:
        known = list(samples)
        self.queued = sum(sample.queued for sample in known)
        self.queued_tokens = sum(sample.queued_tokens for sample in known)
        self.in_flight = sum(sample.in_flight for sample in known)
        self.oldest_wait_s = max((sample.oldest_wait_s for sample in known), default=0.0)


def observe(memory: DemandMemory, loads: Sequence[LoadSample], now: float) -> tuple[DemandMemory, float]:
    """Takes in what routers report, and says how many requests ended since the last time."""
    routers = {name: last for name, last in memory.routers.items() if now - last.at < HISTORY_S}
    newest = max((last.at for last in routers.values()), default=None)
    arrivals: list[tuple[float, float, float]] = []
    answers = 0.0
    for load in loads:
        before = routers.get(load.router_id)
        routers[load.router_id] = load
        if before is None or load.at <= before.at:
            continue
        gained = _gained(before, load)
        arrivals.append((before.at, load.at, gained.arrivals_total))
        ended = max(0, gained.arrivals_total - gained.queued - gained.in_flight)
        answers += ended
        memory = _with_means(memory, gained, ended)
    told = max((load.at for load in loads), default=None)
    span = None if newest is None or told is None or told <= newest else (newest, told)
    return replace(
        memory,
        routers=routers,
        buckets=_filled(memory.buckets, arrivals, span, now),
        active_at=_active_at(memory, routers.values(), arrivals, now),
    ), answers


def queue_of(memory: DemandMemory, now: float) -> Queue:
    """What waits and runs, with the last words of routers that have been silent for a moment."""
    return Queue(sample for sample in memory.routers.values() if now - sample.at <= SILENT_AFTER_S)


def arrivals_per_s(memory: DemandMemory, window_s: float, now: float, *, doubt: float = 0.0) -> float:
    """Mean rate of the last `window_s`; with `doubt`, so many standard deviations of a Poisson count below it."""
    count, covered_s = _counted(memory, now - window_s, now)
    if not covered_s:
        return 0.0
    return max(0.0, count - doubt * sqrt(count)) / max(covered_s, min(window_s, BUCKET_S))


def settled_rate(memory: DemandMemory, now: float, *, least_s: float) -> tuple[float, float]:
    """Mean rate of the longest time lately in which it did not change, and that time: at least `least_s`.

    The time is doubled as long as its older half differs from the newer one by no more than chance explains.
    """
    window_s = least_s
    count, covered_s = _counted(memory, now - window_s, now)
    while covered_s and 2 * window_s <= HISTORY_S:
        older, older_s = _counted(memory, now - 2 * window_s, now - window_s)
        if older_s < window_s / 2:
            break
        expected = older * covered_s / older_s
        if abs(count - expected) > CHANGED * sqrt(count + expected * covered_s / older_s):
            break
        count, covered_s, window_s = count + older, covered_s + older_s, 2 * window_s
    return count / max(covered_s, BUCKET_S), window_s


def growth_per_s2(memory: DemandMemory, now: float) -> float:
    """By how much the rate of arrivals rises each second, where it has risen all along; else 0.

    The least of two rises between three windows in a row: a single step, if it lies between two of them, shows in one.
    """
    newest = floor(now / BUCKET_S) * BUCKET_S
    counts = []
    for back in range(GROWTH_WINDOWS, 0, -1):
        count, covered_s = _counted(memory, newest - back * GROWTH_WINDOW_S, newest - (back - 1) * GROWTH_WINDOW_S)
        if covered_s < GROWTH_WINDOW_S / 2:
            return 0.0
        counts.append(count * GROWTH_WINDOW_S / covered_s)
    if counts[-1] - counts[0] <= RISING * sqrt(counts[-1] + counts[0]):
        return 0.0
    return max(0.0, min(other - one for one, other in pairwise(counts))) / GROWTH_WINDOW_S**2


def _counted(memory: DemandMemory, since: float, until: float) -> tuple[float, float]:
    """Arrivals of the slices that overlap with this time, and the time that they cover."""
    count, covered_s = 0.0, 0.0
    for bucket in reversed(memory.buckets):
        if bucket.at + BUCKET_S <= since:
            break
        if bucket.at < until:
            count += bucket.arrivals
            covered_s += bucket.covered_s
    return count, covered_s


def _gained(before: LoadSample, after: LoadSample) -> LoadSample:
    """Differences of the totals and of what is inside; after a new beginning, what there is since then."""
    if after.arrivals_total < before.arrivals_total or after.generated_tokens_total < before.generated_tokens_total:
        return after
    return replace(
        after,
        queued=after.queued - before.queued,
        in_flight=after.in_flight - before.in_flight,
        arrivals_total=after.arrivals_total - before.arrivals_total,
        prompt_tokens_total=after.prompt_tokens_total - before.prompt_tokens_total,
        generated_tokens_total=after.generated_tokens_total - before.generated_tokens_total,
    )


def _with_means(memory: DemandMemory, gained: LoadSample, ended: int) -> DemandMemory:
    arrived = gained.arrivals_total
    prompt_tokens, requests = _mean(memory.prompt_tokens, memory.requests_seen, gained.prompt_tokens_total, arrived)
    output_tokens, answers = _mean(memory.output_tokens, memory.answers_seen, gained.generated_tokens_total, ended)
    return replace(
        memory,
        prompt_tokens=prompt_tokens,
        output_tokens=output_tokens,
        requests_seen=requests,
        answers_seen=answers,
    )


def _mean(mean: float, seen: float, total: float, count: int) -> tuple[float, float]:
    """A mean that `count` further values with this `total` are added to."""
    if not count:
        return mean, seen
    weight = max(seen, _PRIOR_WEIGHT)
    return (mean * weight + total) / (weight + count), min(weight + count, _MEANS_OVER)


def _filled(
    buckets: Sequence[Bucket],
    arrivals: Sequence[tuple[float, float, float]],
    span: tuple[float, float] | None,
    now: float,
) -> tuple[Bucket, ...]:
    """With arrivals spread evenly over the time between two reports, and the time that reports spoke of."""
    filled = {bucket.at: bucket for bucket in buckets if bucket.at > now - HISTORY_S}
    for since, until, count in arrivals:
        for at, share_s in _slices(max(since, now - HISTORY_S), until):
            bucket = filled.get(at) or Bucket(at=at)
            filled[at] = replace(bucket, arrivals=bucket.arrivals + count * share_s / (until - since))
    for at, share_s in _slices(max(span[0], now - HISTORY_S), span[1]) if span else ():
        bucket = filled.get(at) or Bucket(at=at)
        filled[at] = replace(bucket, covered_s=bucket.covered_s + share_s)
    return tuple(filled[at] for at in sorted(filled))


def _slices(since: float, until: float) -> Iterable[tuple[float, float]]:
    """(beginning, seconds of it) of the slices of time that lie between."""
    at = floor(since / BUCKET_S) * BUCKET_S
    while at < until:
        yield at, min(until, at + BUCKET_S) - max(since, at)
        at += BUCKET_S


def _active_at(
    memory: DemandMemory, samples: Iterable[LoadSample], arrivals: Iterable[tuple[float, float, float]], now: float
) -> float:
    heard = [sample for sample in samples if now - sample.at <= SILENT_AFTER_S]
    if any(count for _, _, count in arrivals) or any(sample.queued or sample.in_flight for sample in heard):
        return now
    return now if memory.active_at is None else memory.active_at
