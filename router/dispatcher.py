"""The requests of one model: sent at once, kept until a replica has room, sent again when a replica fails.

One dispatcher for each model of the catalog, all of them in the router's one event loop; it is the only writer of its
queue and of the accounts of its replicas. What to do is decided by the pure functions that it calls.
"""

from collections.abc import Sequence
from functools import partial
from random import Random

from router import circuit
from router.answer import Learnt
from router.canary import CanarySplit
from router.errors import model_not_found
from router.headers import revision_in
from router.job import Clock, Job
from router.learning import learn
from router.meters import ModelMeter
from router.policy import Policy, RouteDecision, choose, soonest
from router.quarantine import ALONE_S, WAITS_TO_BE_ALONE_S, Quarantine
from router.replica_view import (
    ReplicaView,
    Reservation,
    clear_suspicion,
    first_token_seen,
    prompt_was_read,
    release,
    reserve,
)
from router.types import CatalogEntry
from router.waiting_room import TIMERS_ARE_EARLY_S, WaitingRoom

_STAYS_AWAKE_S = 20.0


class Dispatcher(WaitingRoom):
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
        policy: Policy | None = None,
    ) -> None:
        """`circuit_open_s`: for how long a replica is first left alone after failures. `retry_for_s`: for how long
        after its first failure a request is tried again while replicas are ready that might take it. `policy`: takes
        the place of the deployment's; studies compare with it."""
        super().__init__(entry, meter, quarantine=quarantine, clock=clock, rng=rng, retry_for_s=retry_for_s)
        self._circuit_open_s = circuit_open_s
        self._policy = policy
        self.canary: CanarySplit | None = None if entry.canary is None else CanarySplit(entry.canary)
        """The canary that is on, if one is."""

    # What the table says

    def update(self, entry: CatalogEntry, replicas: Sequence[ReplicaView]) -> None:
        """The catalog or the replicas may have changed."""
        if entry.canary != self.entry.canary:
            self.canary = None if entry.canary is None else CanarySplit(entry.canary)
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
        self._budget.requests_total += 1
        self.window.arrivals_total += 1
        self.window.prompt_tokens_total += job.prompt_tokens
        if self._quarantine.records:
            job.suspect = self._quarantine.suspects(job.digest, job.began)
            if job.suspect and self._stands_trial(job, job.began):
                return
        if not self.queue.count and self._send(job):
            return
        refusal = self._hopeless()
        if refusal is not None:
            job.carrier.turn_away(refusal)
            return
        self._wait(job)

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
        uncached = job.prompt_tokens
        if decision.cached_bytes:
            uncached -= uncached * decision.cached_bytes // job.chain.size_bytes
        if view.circuit.opened:
            circuit.request_sent(view.circuit)
        job.reservation = reserve(
            view,
            uncached_tokens=uncached,
            kv_tokens=job.kv_tokens,
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
        choices = self.meter.choices
        choices[decision.reason] = choices.get(decision.reason, 0) + 1
        job.carrier.send_to(view)
        return True

    def _decide(self, job: Job, now: float) -> RouteDecision:
        replicas = self.replicas
        if self.canary is not None:
            replicas = self.canary.allowed(job, replicas, self._rng.random())
        if not (job.chain.hashes or job.failing_since or job.suspect or self._policy) and self.prefix_aware:
            view = soonest(replicas, job.prompt_tokens, job.kv_tokens, self.crowding_s(job), self._rng)
            if view is not None:
                return RouteDecision(view, "soonest")
        self._prepare(job, now)
        decision = choose(job, replicas, self._rng, self._policy)
        if decision.replica is None and job.apart and not job.alone_until and self.ready_replicas:
            job.alone_until = now + WAITS_TO_BE_ALONE_S
            self._pump_in(WAITS_TO_BE_ALONE_S, now)
        return decision

    def _prepare(self, job: Job, now: float) -> None:
        """Sets what a choice depends on beside the request itself."""
        routing = self.entry.routing
        job.policy, job.target_ttft_s, job.now = routing.policy, routing.target_ttft_s, now
        job.crowding_s = self.crowding_s(job)
        job.apart = job.suspect and (not job.alone_until or now + TIMERS_ARE_EARLY_S < job.alone_until)

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
            self.meter.cached_tokens += job.cached_tokens if learnt.cached_tokens is None else learnt.cached_tokens
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
            if self.canary is not None:
                self.canary.failed(view, reason)
            if reason != "revision":  # it answered; it only was not the one to go on
                circuit.failed(view.circuit, now, base_s=self._circuit_open_s, unreachable=unreachable)
            release(reservation, now)
            # A replica that dies fails hundreds of requests in one turn: who may go instead is looked at once.
            self._pump_in(0.0, now)
            if died:
                self._quarantine.died(view.replica_id, job.digest, now, alone=alone)
                job.suspect, job.alone_until = True, 0.0
        if not again:
            return
        if not self._stands_trial(job, now):
            self.meter.retry(reason)
            self._again(job, now, free=unreachable or died)

    def others_have(self, revision: bytes, but: ReplicaView | None) -> bool:
        """Whether one besides `but` has these weights (as `headers.revision_in`); where nobody is, one may come."""
        others = [revision_in(view.labels) for view in self.replicas if view is not but]
        return not others or revision in others

    def _no_suspect(self, reservation: Reservation) -> None:
        if reservation.suspect:
            clear_suspicion(reservation)
            self.pump()
