"""A new revision on trial beside the old one: which requests it gets, and how both fare. PURE."""

from collections.abc import Sequence

from replicas.types import ReplicaState
from router.alias import uniform
from router.answer import Learnt
from router.headers import header_safe, revision_in
from router.histogram import SECONDS
from router.job import Job
from router.meters import Histogram
from router.replica_view import ReplicaView
from router.types import Canary, CanaryCounts, RevisionCounts

_READY = ReplicaState.READY
_NOT_ITS_FAULT = frozenset({"revision", "not_continued", "unauthorized"})
"""Failures that say nothing of the weights: it was the wrong replica to go on, or our token was of its predecessor."""
_FINISHES = {
    "stop": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "max_tokens": "length",
    "tool_calls": "tool",
    "function_call": "tool",
    "tool_use": "tool",
}


class Tally:
    """What became of what was sent to one revision."""

    def __init__(self) -> None:
        self.answered = 0
        self.failed = 0
        self.refused = 0
        self.finishes: dict[str, int] = {}
        self.first_token = Histogram(SECONDS)
        self.whole = Histogram(SECONDS)

    def counts(self) -> RevisionCounts:
        """As it is published."""
        return RevisionCounts(
            answered=self.answered,
            failed=self.failed,
            refused=self.refused,
            finishes=dict(self.finishes),
            first_token_s=tuple(self.first_token.counts),
            whole_s=tuple(self.whole.counts),
        )


class CanarySplit:
    """One canary of one model as one router sees it."""

    def __init__(self, canary: Canary) -> None:
        self.canary = canary
        self._after = b": %b\r\n" % header_safe(canary.revision)
        self._old = Tally()
        self._new = Tally()

    def allowed(self, job: Job, replicas: Sequence[ReplicaView], draw: float) -> Sequence[ReplicaView]:
        """The replicas that the request may go to. `draw`: 0 to 1, at random.

        Which side it is on is settled once, by its session if it has one. It goes to the other side only where its own
        has no ready replica left that has not failed it; from the canary's side also while that is full, so that a slow
        canary keeps nobody waiting. More than its share the canary never gets for want of room.
        """
        canary = self.canary
        if job.on_canary is None:
            job.on_canary = (uniform(job.session, canary.revision) if job.session else draw) < canary.share
        mine = [view for view in replicas if (view.revision == canary.revision) == job.on_canary]
        left = [view for view in mine if view.state is _READY and view.replica_id not in job.tried]
        if not left or (job.on_canary and not any(view.takes for view in left)):
            return replicas
        return mine

    def first_data(self, labels: bytes, status: int, seconds: float, *, streamed: bool) -> None:
        """An answer has begun, so long after it was sent. `labels`: header lines that say who gives it."""
        if status == 200:
            side = self._side(labels)
            (side.first_token if streamed else side.whole).observe(seconds)

    def failed(self, view: ReplicaView, reason: str) -> None:
        """An attempt ended without a whole answer."""
        if reason not in _NOT_ITS_FAULT and not view.external:
            side = self._new if view.revision == self.canary.revision else self._old
            side.failed += 1

    def ended(self, labels: bytes, status: int, learnt: Learnt) -> None:
        """An answer came whole."""
        side = self._side(labels)
        if status >= 500:
            side.failed += 1
        elif status >= 400:
            side.refused += 1
        else:
            side.answered += 1
            finish = _finish_of(learnt)
            if finish:
                side.finishes[finish] = side.finishes.get(finish, 0) + 1

    def counts(self) -> CanaryCounts:
        """As it is published."""
        return CanaryCounts(id=self.canary.id, old=self._old.counts(), new=self._new.counts())

    def _side(self, labels: bytes) -> Tally:
        return self._new if revision_in(labels) == self._after else self._old


def _finish_of(learnt: Learnt) -> str:
    """How the answer ended, in our words; `empty` if it has no text and should; nothing if it is not known."""
    if not learnt.finish_reason:
        return ""
    finish = _FINISHES.get(learnt.finish_reason, "other")
    return "empty" if finish in ("stop", "length") and not learnt.text else finish
