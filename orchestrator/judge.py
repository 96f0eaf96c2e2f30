"""Whether a canary is worse than what it would replace, from what routers counted of both over the same time. PURE.

It is looked at every second, so both tests hold at every moment they are looked at (they bound the chance of *ever*
sending back a revision that is no worse, by `_ALPHA` each):

- How many fail, are refused, end empty or at the length limit. Given how many there were at both revisions, in one that
  is no worse each of them is the new one's with the chance of its share of the requests. The likelihood ratio against
  that, mixed evenly over all higher chances, is a martingale: it passes 1/alpha with a chance of alpha at most (Ville).
- How long the first token takes, or an answer in one piece. A rank test (Mann-Whitney, with ties) of the new one's
  times against the old one's made a margin slower, with the boundary of a normal mixture (Robbins 1970).

A difference counts only if it also matters: by as much as the margins below.
"""

from collections.abc import Sequence
from enum import Enum, auto
from itertools import accumulate
from math import inf, lgamma, log, sqrt

from msgspec import Struct

from orchestrator.sentences import Saying, Sentence, say
from orchestrator.swap_types import CanaryTerms
from router.histogram import quantile
from router.types import CanaryCounts, RevisionCounts

_ALPHA = 0.002
_PATIENCE = 6
"""Times the asked duration after which a canary that was asked too little goes back."""
_LEAST_PATIENCE_S = 600.0
_TOLERATED_FAILURES = 0.05
"""A canary is promoted once failures more frequent than the old one's by this can be ruled out."""
_Z_95 = 1.645
_FEWEST_TIMES = 10
_MIXTURE = 30.0
"""Number of measurements for which the boundary of the rank test is tightest, roughly."""


class Verdict(Enum):
    WAIT = auto()
    PROMOTE = auto()
    ROLL_BACK = auto()


class Judgement(Struct, frozen=True):
    verdict: Verdict
    reason: Sentence
    """With the numbers."""


class _Rate(Struct, frozen=True):
    """Something that befell `count` of `total`, and how much more of it matters."""

    saying: Saying
    new: tuple[int, int]
    """Count and total."""
    old: tuple[int, int]
    margin: float


def judge(counts: CanaryCounts, terms: CanaryTerms, elapsed_s: float) -> Judgement:
    """The verdict after `elapsed_s`. It goes back as soon as it is worse, and on only with evidence that it is not."""
    old, new = counts.old, counts.new
    worse = next((found for rate in _rates(old, new) if (found := _more_frequent(rate))), None)
    worse = worse or _slower(Saying.FIRST_TOKEN_LATER, old.first_token_s, new.first_token_s, margin_buckets=1)
    worse = worse or _slower(Saying.ANSWERS_SLOWER, old.whole_s, new.whole_s, margin_buckets=2)
    if worse is not None:
        return Judgement(Verdict.ROLL_BACK, worse)
    if lacking := _lacking(old, new, terms):
        if elapsed_s < max(terms.for_s * _PATIENCE, _LEAST_PATIENCE_S):
            return Judgement(Verdict.WAIT, lacking)
        return Judgement(Verdict.ROLL_BACK, say(Saying.ASKED_TOO_LITTLE, time_s=elapsed_s, why=lacking))
    if elapsed_s < terms.for_s:
        # In whole seconds, for the journal is written whenever this changes.
        left_s = round(terms.for_s - elapsed_s)
        return Judgement(Verdict.WAIT, say(Saying.TIME_LEFT, left_s=left_s, fared=_fared(old, new)))
    return Judgement(Verdict.PROMOTE, _fared(old, new))


def _rates(old: RevisionCounts, new: RevisionCounts) -> tuple[_Rate, ...]:
    def ended(saying: Saying, finish: str, margin: float) -> _Rate:
        new_count, old_count = new.finishes.get(finish, 0), old.finishes.get(finish, 0)
        return _Rate(saying, (new_count, _finished(new)), (old_count, _finished(old)), margin)

    return (
        _Rate(Saying.MORE_FAILED, (new.failed, _attempts(new)), (old.failed, _attempts(old)), 0.005),
        _Rate(Saying.MORE_REFUSED, (new.refused, _attempts(new)), (old.refused, _attempts(old)), 0.02),
        ended(Saying.MORE_EMPTY, "empty", 0.02),
        ended(Saying.MORE_CUT, "length", 0.1),
    )


def _more_frequent(rate: _Rate) -> Sentence | None:
    """A sentence if it befalls the new one more often, beyond chance and by more than the margin."""
    (new, new_total), (old, old_total) = rate.new, rate.old
    if not new_total or not old_total or new / new_total - old / old_total <= rate.margin:
        return None
    if log_evidence(new, old, new_total / (new_total + old_total)) < -log(_ALPHA):
        return None
    return say(rate.saying, new=new, new_total=new_total, old=old, old_total=old_total)


def log_evidence(new: int, old: int, share: float) -> float:
    """Logarithm of the likelihood ratio that of `new` + `old` events the new one has more than its `share` (0 to 1).

    The integral over all higher chances is an incomplete beta function. Its regularised part is at least a half where
    more events are the new one's than its share, as the median of a binomial distribution tells; half of it is taken.
    """
    total = new + old
    if new < (total + 1) * share + 1:
        return -inf
    whole = lgamma(new + 1) + lgamma(old + 1) - lgamma(total + 2)
    return whole - log(2) - new * log(share) - (old + 1) * log(1 - share)


def _slower(saying: Saying, old: Sequence[int], new: Sequence[int], *, margin_buckets: int) -> Sentence | None:
    """A sentence if the new one's times are longer than the old one's, were these so many buckets longer."""
    old_total, new_total = sum(old), sum(new)
    if min(old_total, new_total) < _FEWEST_TIMES:
        return None
    if rank_score(_later(old, margin_buckets), new) < _boundary(old_total * new_total / (old_total + new_total)):
        return None
    new_s, old_s = quantile(new, 0.5) or 0.0, quantile(old, 0.5) or 0.0
    return say(saying, new_s=new_s, old_s=old_s, new_total=new_total, old_total=old_total)


def rank_score(old: Sequence[int], new: Sequence[int]) -> float:
    """Standard score of the Mann-Whitney statistic: positive where `new` lies higher. Both are counts by bucket."""
    m, n = sum(old), sum(new)
    total = m + n
    below = [0, *accumulate(old)]
    above = sum(count * (below[place] + old[place] / 2) for place, count in enumerate(new))
    ties = sum((a + b) ** 3 - (a + b) for a, b in zip(old, new, strict=True))
    variance = m * n / 12 * (total + 1 - ties / (total * (total - 1)))
    return (above - m * n / 2) / sqrt(variance) if variance > 0 else 0.0


def _later(counts: Sequence[int], buckets: int) -> list[int]:
    """Every measurement moved up by so many buckets; the last one keeps what would pass it."""
    kept = len(counts) - buckets
    moved = [0] * buckets + list(counts[:kept])
    moved[-1] += sum(counts[kept:])
    return moved


def _boundary(measurements: float) -> float:
    ratio = measurements / _MIXTURE
    return sqrt((1 + 1 / ratio) * (log(1 + ratio) - 2 * log(_ALPHA)))


def _lacking(old: RevisionCounts, new: RevisionCounts, terms: CanaryTerms) -> Sentence | None:
    """What is missing for a promotion, or None."""
    if min(new.answered, old.answered) < terms.requests:
        return say(Saying.TOO_FEW_ANSWERS, new=new.answered, old=old.answered, needed=terms.requests)
    if _highest_rate(new.failed, _attempts(new)) > old.failed / _attempts(old) + _TOLERATED_FAILURES:
        failed, attempts = new.failed, _attempts(new)
        return say(Saying.TOO_FEW_TO_TELL, new=new.answered, old=old.answered, failed=failed, attempts=attempts)
    return None


def _highest_rate(count: int, total: int) -> float:
    """Upper end of Wilson's interval, one-sided at 95 %."""
    rate, z2 = count / total, _Z_95**2
    centre = rate + z2 / (2 * total)
    return (centre + _Z_95 * sqrt(rate * (1 - rate) / total + z2 / (4 * total**2))) / (1 + z2 / total)


def _fared(old: RevisionCounts, new: RevisionCounts) -> Sentence:
    """How both fared."""
    failed = say(Saying.FARED, new=new.failed, new_total=_attempts(new), old=old.failed, old_total=_attempts(old))
    new_s, old_s = quantile(new.first_token_s, 0.5), quantile(old.first_token_s, 0.5)
    if new_s is None or old_s is None:
        return failed
    return say(Saying.FARED_IN_TIME, fared=failed, new_s=new_s, old_s=old_s)


def _attempts(counts: RevisionCounts) -> int:
    return counts.answered + counts.failed + counts.refused


def _finished(counts: RevisionCounts) -> int:
    return sum(counts.finishes.values())
