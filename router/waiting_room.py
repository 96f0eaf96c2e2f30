"""The requests of one model that wait: for a place, for a pause to pass, for a verdict.

Whoever may have made room calls `pump`. What to do is decided by the pure functions that it calls.
"""

from abc import ABC, abstractmethod
from random import Random

from router.admission import Shed, Ticket
from router.errors import QUARANTINED, Refusal, no_replica_left
from router.failover import RetryBudget
from router.job import Clock, Job
from router.meters import ModelMeter
from router.quarantine import Quarantine
from router.replica_view import derive
from router.served_model import ServedModel
from router.types import CatalogEntry

_FIRST_PAUSE_S = 0.25
_LONGEST_PAUSE_S = 4.0
_NEVER = float("inf")
TIMERS_ARE_EARLY_S = 0.002
"""uvloop counts whole milliseconds."""


class WaitingRoom(ServedModel, ABC):
    """What a dispatcher does with those whom it cannot send at once."""

    def __init__(
        self,
        entry: CatalogEntry,
        meter: ModelMeter,
        *,
        quarantine: Quarantine,
        clock: Clock,
        rng: Random,
        retry_for_s: float,
    ) -> None:
        super().__init__(entry, meter, rng)
        self._quarantine = quarantine
        self._clock = clock
        self._retry_for_s = retry_for_s
        self._budget = RetryBudget()
        self.awake_until = 0.0
        """Monotonic seconds until which there is something to do for `expire`."""
        self._stuck = False
        """The one who is next did not fit anywhere, and nothing has changed since."""
        self._pumping = False
        self._pumps_at: float | None = None
        """Monotonic seconds of the next pump that is due by itself; None if none is."""

    @abstractmethod
    def _send(self, job: Job) -> bool:
        """Chooses a replica, reserves a place there and sends. False if nobody has room now."""

    def _wait(self, job: Job) -> None:
        now = self._clock.now()
        # What is believed to be longer than engines take is estimated wrongly, or will be refused by them: it must not
        # hold up its band until a replica is empty.
        longest = max((view.max_model_len or job.kv_tokens for view in self.replicas), default=job.kv_tokens)
        job.kv_tokens = min(job.kv_tokens, longest)
        outcome = self.queue.offer(job, self.entry.routing)
        if isinstance(outcome, Shed):
            self.meter.shed(outcome.reason)
            job.carrier.turn_away(self._overloaded(outcome.reason))
            return
        self._take_place(job, now)
        for other in outcome.displaced:
            self.meter.shed("displaced")
            self._turn_away(other, self._overloaded("displaced"))
        if not self._stuck or outcome.displaced or self.queue.next() is job:
            self.pump()

    def _take_place(self, job: Job, now: float) -> None:
        if not job.waits:
            job.waits = True
            job.since = now
        routing = self.entry.routing
        patience_s = routing.queue_timeout_s if self.ready_replicas else routing.cold_start_timeout_s
        job.deadline = job.since + patience_s

    # Those that a replica failed

    def _stands_trial(self, job: Job, now: float) -> bool:
        """Whether a request that is taken for a killer of engines has been made to wait for its trial's end, or turned
        away after it."""
        if self._quarantine.convicted(job.digest, now):
            self.meter.quarantined += 1
        if self._quarantine.holds(job.digest, now):
            self._turn_away(job, QUARANTINED)
            return True
        trial_s = self._quarantine.trial_s(job.digest, now)
        if trial_s:
            job.failing_since = job.failing_since or now
            self._pause(job, now, trial_s)
        return trial_s > 0

    def _again(self, job: Job, now: float, *, free: bool) -> None:
        """The first time at once: when a replica fails, all that it had must go elsewhere, and no replica gets more
        than it has room for anyway. From then on within the budget, lest replicas that fail under load get more load.
        `free`: that cannot happen, for no engine had it, or the one that had is dead; a request that kills is the
        quarantine's matter."""
        job.attempts += 1
        job.retry_paid = free or not job.failing_since or self._take_from_budget(now)
        job.failing_since = job.failing_since or now
        if not job.retry_paid:
            self._wait_again(job, now, _FIRST_PAUSE_S)
        elif not self._send(job):
            self._wait_again(job, now, 0.0)

    def _take_from_budget(self, now: float) -> bool:
        return self._budget.take(now, sum(view.in_flight for view in self.replicas))

    def _wait_again(self, job: Job, now: float, pause_s: float) -> None:
        """In front of all others; after a pause if everybody has been tried or too much is being tried again."""
        refusal = self._hopeless()
        if refusal is None and now - job.failing_since >= self._retry_for_s and self.ready_replicas:
            refusal = no_replica_left(self.entry.name)
        if refusal is not None:
            job.carrier.turn_away(refusal)
            return
        if not self.has_another_for(job):
            job.tried = ()
            job.rounds += 1
            pause_s = max(pause_s, min(_FIRST_PAUSE_S * 2 ** (job.rounds - 1), _LONGEST_PAUSE_S))
        self._pause(job, now, pause_s)

    def _pause(self, job: Job, now: float, pause_s: float) -> None:
        job.not_before = now + pause_s
        self._take_place(job, now)
        self.queue.offer_again(job)
        if pause_s:
            self._pump_in(pause_s, now)

    # Whose turn it is

    def pump(self) -> None:
        """Sends whoever can be sent now. Called whenever a place may have become free."""
        self._stuck = False
        if self._pumping or not self.queue.count:
            return
        self._pumping = True
        try:
            now = self._clock.now()
            if self.queue.holds_given_back:
                self._pump_given_back(now)
            while (first := self.queue.next()) is not None:
                if not (isinstance(first, Job) and self._send(first)):
                    self._stuck = True
                    break
        finally:
            self._pumping = False

    def _pump_given_back(self, now: float) -> None:
        """Those that replicas gave back, each for itself: who did not fit does not hold up the others. But where one
        suspect found no replica without another, or one request none with room, the next need not look."""
        suspects_wait = full = spent = False
        due = _NEVER
        for ticket in self.queue.given_back():
            if not isinstance(ticket, Job):
                continue
            if ticket.not_before > now + TIMERS_ARE_EARLY_S:
                due = min(due, ticket.not_before)
            elif (
                (ticket.suspect and self._stands_trial(ticket, now))
                or full
                or (ticket.suspect and suspects_wait)
                or (spent and not ticket.retry_paid)
            ):
                continue
            elif not self._may_go_again(ticket, now):
                spent = True
                due = min(due, now + _FIRST_PAUSE_S)
            elif not self._send(ticket):
                suspects_wait = suspects_wait or ticket.suspect
                full = not (ticket.suspect or ticket.tried)
                if ticket.alone_until > now:
                    due = min(due, ticket.alone_until)
        if due < _NEVER:
            self._pump_in(due - now, now)

    def _may_go_again(self, job: Job, now: float) -> bool:
        if job.retry_paid:
            return True
        if now - job.failing_since >= self._retry_for_s:
            self._turn_away(job, no_replica_left(self.entry.name))
            return False
        job.retry_paid = self._take_from_budget(now)
        return job.retry_paid

    def _pump_in(self, pause_s: float, now: float) -> None:
        """Pumps after a pause, unless it is going to sooner anyway."""
        if self._pumps_at is None or now + pause_s < self._pumps_at:
            self._pumps_at = now + pause_s
            self._clock.later(pause_s, self._pump_now_due)

    def _pump_now_due(self) -> None:
        self._pumps_at = None
        self.pump()

    def expire(self, now: float) -> None:
        """Turns away who has waited too long, and lets time pass for what depends on it. Called by the sweep.

        Costs nothing for a model that nobody asks for.
        """
        if now > self.awake_until and not self.queue.count:
            return
        self._budget.tick(now)
        self.window.tick(now)
        for view in self.replicas:
            if view.fresh or view.circuit.opened:
                derive(view, now)
        if not self.queue.count:
            return
        hopeless = self._hopeless()
        for ticket in [each for each in self.queue if hopeless is not None or each.deadline <= now]:
            refusal = hopeless
            if refusal is None:
                self.meter.shed("timeout")
                refusal = self._too_late(now - ticket.since)
            self._turn_away(ticket, refusal)
        self.pump()

    def _turn_away(self, ticket: Ticket, refusal: Refusal) -> None:
        if isinstance(ticket, Job):
            if self.queue.remove(ticket):
                ticket.queue_s += self._clock.now() - ticket.since
            ticket.carrier.turn_away(refusal)
