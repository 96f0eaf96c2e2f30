"""The requests of one model: sent at once, kept until a replica has room, sent again when a replica fails.

One dispatcher for each model of the catalog, all of them in the router's one event loop; it is the only writer of its
queue and of the accounts of its replicas. What to do is decided by the pure functions that it calls.
"""

from collections.abc import Sequence
from functools import partial
from random import Random

from router import circuit
from router.admission import Shed, Ticket
from router.answer import Learnt
from router.errors import QUARANTINED, Refusal, model_not_found, no_replica_left
from router.failover import RetryBudget
from router.features import RequestFeatures
from router.job import Clock, Job
from router.learning import learn
from router.policy import RouteDecision, choose, soonest
from router.quarantine import ALONE_S, WAITS_TO_BE_ALONE_S, Quarantine
from router.replica_view import (
    ReplicaView,
    Reservation,
    clear_suspicion,
    derive,
    first_token_seen,
    prompt_was_read,
    release,
    reserve,
)
from router.served_model import ServedModel
from router.telemetry import ModelMeter
from router.types import CatalogEntry

_FIRST_PAUSE_S = 0.25
_LONGEST_PAUSE_S = 4.0
_NEVER = float("inf")
_TIMERS_ARE_EARLY_S = 0.002
"""uvloop counts whole milliseconds."""
_STAYS_AWAKE_S = 20.0


class Dispatcher(ServedModel):
    """See the module."""

    def __init__(
        self,
        entry: CatalogEntry,
        meter: ModelMeter,
        *,
        quarantine: Quarantine,
        clock: Clock,
        rng: Random,
        circuit_open_s: float = 1.0,
        retry_for_s: float = 15.0,
    ) -> None:
        """`circuit_open_s`: for how long a replica is first left alone after failures. `retry_for_s`: for how long
        after its first failure a request is tried again while replicas are ready that might take it."""
        super().__init__(entry, meter, rng)
        self._quarantine = quarantine
        self._clock = clock
        self._circuit_open_s = circuit_open_s
        self._retry_for_s = retry_for_s
        self._budget = RetryBudget()
        self.awake_until = 0.0
        """Monotonic seconds until which there is something to do for `expire`."""
        self._stuck = False
        """The one who is next did not fit anywhere, and nothing has changed since."""
        self._pumping = False
        self._pumps_at: float | None = None
        """Monotonic seconds of the next pump that is due by itself; None if none is."""

    # What the table says

    def update(self, entry: CatalogEntry, replicas: Sequence[ReplicaView]) -> None:
        """The catalog or the replicas may have changed."""
        self.entry = entry
        self.replicas = replicas
        self.pump()

    def close(self) -> None:
        """The model has left the catalog: whoever waits for it is told."""
        self.closed = True
        self.replicas = ()
        for ticket in list(self.queue):
            self._turn_away(ticket, model_not_found(self.entry.name))

    # A request's way

    def submit(self, job: Job) -> None:
        """Sends a new request, lets it wait, or turns it away."""
        if job.began > self.awake_until:
            # Rates begin here, not where the last traffic was.
            self._budget.tick(job.began)
            self.window.begin(job.began)
        self.awake_until = job.began + _STAYS_AWAKE_S
        if self._quarantine.records:
            job.suspect = self._quarantine.suspects(job.digest, job.began)
        self._budget.requests_total += 1
        self.window.arrivals_total += 1
        self.window.prompt_tokens_total += job.prompt_tokens
        if not self.queue.count and self._send(job):
            return
        refusal = self._hopeless()
        if refusal is not None:
            job.carrier.turn_away(refusal)
            return
        self._wait(job)

    def first_token(self, job: Job, now: float) -> None:
        """The first token of the answer has come."""
        if job.reservation is not None:
            first_token_seen(job.reservation, now)
            # Whatever went wrong before is over; should it go wrong again, that is another story.
            job.failing_since, job.rounds, job.tried = 0.0, 0, ()
            if self.queue.holds_given_back:
                self.pump()

    def ended(self, job: Job, learnt: Learnt, *, answered: bool) -> None:
        """The request has ended, whichever way, and holds nothing any more.

        `learnt`: what its answer said. `answered`: its replica answered in full, which speaks for the replica.
        """
        reservation, job.reservation = job.reservation, None
        output_tokens = learnt.output_tokens
        if job.waits:
            self.queue.remove(job)
            self.pump()  # it may have been the one who did not fit
        # An answer that does not say how long it is (an embedding, a broken usage) has taken what was expected.
        self.queue.settle(job, output_tokens if output_tokens or not answered else job.output_tokens)
        self.window.generated_tokens_total += output_tokens
        self.meter.generated_tokens += output_tokens
        if reservation is None:
            return
        now = self._clock.now()
        view = reservation.view
        if answered:
            if job.digest:
                self._quarantine.survived(job.digest)
            if view.circuit.failures:
                self._quarantine.lives(view.replica_id)
                circuit.succeeded(view.circuit)
            prompt_was_read(reservation)
            learn(job, reservation, learnt, self.estimates, now)
        else:
            circuit.abandoned(view.circuit)
        release(reservation, now)
        self._stuck = False
        if self.queue.count:
            self.pump()

    def failed(self, job: Job, reason: str, *, died: bool, again: bool = True) -> None:
        """The replica did not answer, or broke off. Unless `again` is False the request goes to another one.

        `died`: it had the request when the connection broke, so the request may be the cause.
        """
        reservation, job.reservation = job.reservation, None
        now = self._clock.now()
        unreachable = reason in ("refused", "connect_timeout")
        if reservation is not None:
            view = reservation.view
            alone = reservation.suspect and view.suspects == 1
            job.failed_at(view.replica_id, reason, now)
            circuit.failed(view.circuit, now, base_s=self._circuit_open_s, unreachable=unreachable)
            release(reservation, now)
            # A replica that dies fails hundreds of requests in one turn: who may go instead is looked at once.
            self._pump_in(0.0, now)
            if died:
                self._suspect(job, view.replica_id, now, alone=alone)
        if not again:
            return
        if job.digest and self._quarantine.holds(job.digest, now):
            job.carrier.turn_away(QUARANTINED)
            return
        self.meter.retry(reason)
        self._again(job, now, free=unreachable)

    def _suspect(self, job: Job, replica_id: str, now: float, *, alone: bool) -> None:
        if self._quarantine.died(replica_id, job.digest, now, alone=alone):
            self.meter.quarantined += 1
        job.suspect, job.alone_until = True, 0.0

    def _again(self, job: Job, now: float, *, free: bool) -> None:
        """The first time at once: when a replica dies, all that it had must go elsewhere, and replicas get no more than
        they have room for anyway. From then on within the budget. `free`: no engine was troubled."""
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
            pause_s = min(_FIRST_PAUSE_S * 2 ** (job.rounds - 1), _LONGEST_PAUSE_S)
        job.not_before = now + pause_s
        self._take_place(job, now)
        self.queue.offer_again(job)
        if pause_s:
            self._pump_in(pause_s, now)

    # The queue

    def _wait(self, job: Job) -> None:
        now = self._clock.now()
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
            if ticket.not_before > now + _TIMERS_ARE_EARLY_S:
                due = min(due, ticket.not_before)
            elif full or (ticket.suspect and suspects_wait) or (spent and not ticket.retry_paid):
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

    def _send(self, job: Job) -> bool:
        """Chooses a replica, reserves a place there and sends. False if nobody has room now."""
        now = self._clock.now()
        decision = self._decide(job, now)
        view = decision.replica
        if view is None:
            return False
        self.queue.charge(job)
        if job.waits:
            job.waits = False
            job.queue_s += now - job.since
        job.cached_bytes = decision.cached_bytes
        uncached = job.prompt_tokens
        if decision.cached_bytes:
            uncached -= uncached * decision.cached_bytes // job.chain.size_bytes
        if view.circuit.opened:
            circuit.request_sent(view.circuit)
        job.reservation = reserve(
            view,
            uncached_tokens=uncached,
            kv_tokens=job.prompt_tokens + job.output_tokens,
            now=now,
            seen=job.streamed,
            suspect=job.suspect,
        )
        if job.suspect:
            self._clock.later(ALONE_S, partial(self._no_suspect, job.reservation))
        if job.chain.hashes:
            view.cache.insert(job.chain)
        self.window.sent_tokens_total += job.prompt_tokens
        self.meter.prompt_tokens += job.prompt_tokens
        job.cached_tokens = job.prompt_tokens - uncached
        self.meter.cached_tokens += job.cached_tokens
        choices = self.meter.choices
        choices[decision.reason] = choices.get(decision.reason, 0) + 1
        job.carrier.send_to(view)
        return True

    def _decide(self, job: Job, now: float) -> RouteDecision:
        if not (job.chain.hashes or job.failing_since or job.suspect) and self.prefix_aware:
            kv_tokens, crowding_s = job.prompt_tokens + job.output_tokens, self.crowding_s(job)
            view = soonest(self.replicas, job.prompt_tokens, kv_tokens, crowding_s, self._rng)
            if view is not None:
                return RouteDecision(view, "soonest")
        alone = job.suspect and (not job.alone_until or now + _TIMERS_ARE_EARLY_S < job.alone_until)
        decision = choose(self._features(job, now, suspect=alone), self.replicas, self._rng)
        if decision.replica is None and alone and not job.alone_until and self.ready_replicas:
            job.alone_until = now + WAITS_TO_BE_ALONE_S
            self._pump_in(WAITS_TO_BE_ALONE_S, now)
        return decision

    def _features(self, job: Job, now: float, *, suspect: bool) -> RequestFeatures:
        routing = self.entry.routing
        return RequestFeatures(
            policy=routing.policy,
            tried=job.tried,
            suspect=suspect,
            chain=job.chain,
            prompt_tokens=job.prompt_tokens,
            kv_tokens=job.prompt_tokens + job.output_tokens,
            session=job.session,
            target_ttft_s=routing.target_ttft_s,
            crowding_s=self.crowding_s(job),
            now=now,
        )

    def _no_suspect(self, reservation: Reservation) -> None:
        if reservation.suspect:
            clear_suspicion(reservation)
            self.pump()

    # The end

    def _turn_away(self, ticket: Ticket, refusal: Refusal) -> None:
        self.queue.remove(ticket)
        if isinstance(ticket, Job):
            ticket.queue_s += self._clock.now() - ticket.since
            ticket.carrier.turn_away(refusal)
