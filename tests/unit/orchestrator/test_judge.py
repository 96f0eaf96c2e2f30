"""When a canary goes back, when it is promoted, and what is said of it."""

from bisect import bisect_left
from math import log
from random import Random

import pytest

from orchestrator.judge import Verdict, judge, log_evidence, rank_score
from orchestrator.swap_types import CanaryTerms
from router.histogram import SECONDS
from router.types import CanaryCounts, RevisionCounts

TERMS = CanaryTerms(share=0.1, for_s=600, requests=100)
OVER, EARLY = 601.0, 60.0


def counts(answered: int, failed: int = 0, *, refused: int = 0, **finishes: int) -> RevisionCounts:
    return RevisionCounts(answered=answered, failed=failed, refused=refused, finishes=finishes)


def times(*seconds: float) -> tuple[int, ...]:
    by_bucket = [0] * (len(SECONDS) + 1)
    for each in seconds:
        by_bucket[bisect_left(SECONDS, each)] += 1
    return tuple(by_bucket)


def verdict(old: RevisionCounts, new: RevisionCounts, elapsed_s: float = OVER) -> tuple[Verdict, str]:
    judgement = judge(CanaryCounts(id="s", old=old, new=new), TERMS, elapsed_s)
    return judgement.verdict, str(judgement.reason)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (counts(900), counts(96, 4), "4 of 100 attempts failed with the new revision, 0 of 900 with the old one"),
        (counts(895, 5), counts(90, 10), "10 of 100 attempts failed"),
        (counts(60), counts(0, 6), "6 of 6 attempts failed with the new revision, 0 of 60"),
        (counts(900), counts(80, refused=20), "20 of 100 requests were refused"),
        (counts(900, stop=900), counts(100, stop=90, empty=10), "10 of 100 answers were empty"),
        (
            counts(900, stop=800, length=100),
            counts(100, stop=40, length=60),
            "60 of 100 answers were cut at the length",
        ),
    ],
)
def test_canary_that_is_worse_goes_back_at_once_and_says_by_how_much(
    old: RevisionCounts, new: RevisionCounts, said: str
) -> None:
    for elapsed_s in (EARLY, OVER):
        found, reason = verdict(old, new, elapsed_s)
        assert found is Verdict.ROLL_BACK
        assert said in reason


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (counts(900), counts(100, 1)),  # one failure is chance
        (counts(891, 9), counts(100, 1)),
        (counts(90_000, 9), counts(10_000, 30)),  # surely more often, but it hardly matters
        (counts(900, stop=800, length=100), counts(100, stop=85, length=15)),
    ],
)
def test_canary_that_is_no_worse_is_promoted_once_its_time_is_over(old: RevisionCounts, new: RevisionCounts) -> None:
    assert verdict(old, new, EARLY)[0] is Verdict.WAIT
    found, reason = verdict(old, new)
    assert found is Verdict.PROMOTE
    assert reason.startswith(f"{new.failed} of {new.answered + new.failed:,} failed")


@pytest.mark.parametrize(
    ("old", "new", "lacking"),
    [
        (counts(0), counts(0), "0 answers by the new revision and 0 by the old one, 100 of each are needed"),
        (counts(900), counts(99), "99 answers by the new revision"),
        (counts(99), counts(900), "99 by the old one"),
        (counts(900, 30), counts(100, 7), "too few to rule out that it fails more often (7 of 107 did)"),
    ],
)
def test_canary_is_never_promoted_on_too_little_and_goes_back_after_six_times_its_time(
    old: RevisionCounts, new: RevisionCounts, lacking: str
) -> None:
    found, reason = verdict(old, new)
    assert found is Verdict.WAIT
    assert lacking in reason
    found, reason = verdict(old, new, 6 * TERMS.for_s)
    assert found is Verdict.ROLL_BACK
    assert reason.startswith("too little was asked in 60 min to judge it: ")


def test_canary_of_a_short_time_has_ten_minutes_to_be_asked_enough() -> None:
    short = CanaryTerms(share=0.1, for_s=0, requests=100)
    it = CanaryCounts(id="s", old=counts(9), new=counts(1))
    assert [judge(it, short, elapsed_s).verdict for elapsed_s in (599, 601)] == [Verdict.WAIT, Verdict.ROLL_BACK]


@pytest.mark.parametrize(
    ("old_s", "new_s", "found"),
    [
        (0.2, 0.2, Verdict.PROMOTE),
        (0.2, 0.25, Verdict.PROMOTE),  # within the margin of a bucket
        (0.2, 0.6, Verdict.ROLL_BACK),
        (0.6, 0.2, Verdict.PROMOTE),
    ],
)
def test_canary_whose_first_token_comes_much_later_goes_back(old_s: float, new_s: float, found: Verdict) -> None:
    rng = Random(1)
    old = counts(900), [rng.lognormvariate(log(old_s), 0.5) for _ in range(900)]
    new = counts(100), [rng.lognormvariate(log(new_s), 0.5) for _ in range(100)]
    before, after = (
        RevisionCounts(answered=each.answered, first_token_s=times(*seconds)) for each, seconds in (old, new)
    )
    result, reason = verdict(before, after)
    assert result is found
    assert "first token" in reason


def test_rank_score_is_that_of_mann_and_whitney_with_ties() -> None:
    # By hand: U = 1·(0 + 2/2) + 2·(2 + 1/2) = 6 of 9, mean 4.5; ties of 3 and 3 among 6 leave 9/12·(7 - 48/30).
    assert rank_score([2, 1, 0], [1, 2, 0]) == pytest.approx((6 - 4.5) / (9 / 12 * (7 - 48 / 30)) ** 0.5)
    assert rank_score([3, 0], [3, 0]) == 0


@pytest.mark.parametrize(("share", "rate"), [(0.1, 0.01), (0.1, 0.3), (0.5, 0.05)])
def test_canary_that_is_as_good_as_the_old_one_is_hardly_ever_sent_back_however_often_one_looks(
    share: float, rate: float
) -> None:
    rng, sent_back = Random(7), 0
    for _ in range(400):
        new = old = 0
        for _ in range(2000):
            if rng.random() < rate:
                if rng.random() < share:
                    new += 1
                else:
                    old += 1
                if log_evidence(new, old, share) > -log(0.01):
                    sent_back += 1
                    break
    assert sent_back <= 10, "four of 400 are allowed for, and chance"


def test_evidence_is_the_likelihood_ratio_mixed_over_all_higher_chances() -> None:
    new, old, share, steps = 6, 2, 0.2, 100_000
    mixed = sum(
        (chance / share) ** new * ((1 - chance) / (1 - share)) ** old
        for chance in (share + (1 - share) * (step + 0.5) / steps for step in range(steps))
    ) / steps  # fmt: skip
    assert log(mixed) - log(2) <= log_evidence(new, old, share) <= log(mixed)
