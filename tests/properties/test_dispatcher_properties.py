"""Whatever happens to a model's requests and replicas in whatever order: none is lost, none leaks."""

from collections.abc import Callable
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from replicas.types import ReplicaState
from router.policy import choose
from router.prefix_index import PrefixDirectory
from router.replica_view import ReplicaView, Reservation, derive, release
from router.types import ModelStatus, PolicyName, Priority
from tests.unit.router.fakes import FakeCarrier, Rig, replica

CAPS: dict[str, Any] = {"queue_requests": 5, "queue_tokens": 400, "queue_timeout_s": 20.0, "cold_start_timeout_s": 60.0}
KV_TOKENS = 300
CODES = {
    "queue_full",
    "queue_timeout",
    "no_replica_reachable",
    "request_quarantined",
    *(f"model_{status.value}" for status in ModelStatus),
}
STATUSES = [ModelStatus.READY, ModelStatus.STARTING, ModelStatus.FAILED, ModelStatus.STOPPED]
picks = st.integers(0, 999)


class Traffic(RuleBasedStateMachine):
    """Requests come, end, leave and fail; replicas come, drain and die; time passes."""

    @initialize(policy=st.sampled_from(PolicyName), seed=st.integers(0, 5))
    def begin(self, policy: PolicyName, seed: int) -> None:
        self.directory = PrefixDirectory()
        self.views: list[ReplicaView] = []
        """All that ever were; the dispatcher is shown `shown`."""
        self.rig = Rig(policy=policy, seed=seed, **CAPS)
        self.shown: list[ReplicaView] = []
        self.requests: list[FakeCarrier] = []
        self.ended: list[Reservation] = []
        for _ in range(2):
            self.replica_comes()

    def picked(self, pick: int, able: Callable[[FakeCarrier], object]) -> FakeCarrier | None:
        found = [each for each in self.requests if able(each)]
        return found[pick % len(found)] if found else None

    def remember(self, request: FakeCarrier) -> None:
        if request.job.reservation is not None:
            self.ended.append(request.job.reservation)

    # Requests

    @rule(
        tenant=st.sampled_from(["t", "u", "v"]),
        priority=st.sampled_from(Priority),
        tokens=st.integers(1, 200),
        prompt=st.sampled_from([b"", b"a" * 700, b"a" * 400 + b"b" * 400]),
        digest=st.integers(1, 4),
        streamed=st.booleans(),
    )
    def request_comes(
        self, tenant: str, priority: Priority, tokens: int, prompt: bytes, digest: int, *, streamed: bool
    ) -> None:
        request = self.rig.submit(
            tenant=tenant,
            priority=priority,
            prompt_tokens=tokens,
            output_tokens=tokens // 4,
            prompt=prompt,
            digest=digest,
            streamed=streamed,
            session=tenant.encode(),
        )
        self.requests.append(request)

    @rule(pick=picks)
    def first_token_comes(self, pick: int) -> None:
        if request := self.picked(pick, lambda each: each.inside):
            request.first_token()

    @rule(pick=picks, output_tokens=st.integers(0, 100))
    def request_is_answered(self, pick: int, output_tokens: int) -> None:
        if request := self.picked(pick, lambda each: each.inside):
            self.remember(request)
            request.ends(output_tokens, prompt_tokens=50, cached_tokens=20, text="answer " * output_tokens)

    @rule(pick=picks)
    def client_leaves(self, pick: int) -> None:
        if request := self.picked(pick, lambda each: not each.over):
            self.remember(request)
            request.leaves()

    @rule(pick=picks, reason=st.sampled_from(["refused", "connect_timeout", "unavailable", "reset"]))
    def attempt_fails(self, pick: int, reason: str) -> None:
        if request := self.picked(pick, lambda each: each.inside):
            self.remember(request)
            request.fails(reason, died=reason == "reset")

    @rule(pick=picks)
    def answer_breaks_off(self, pick: int) -> None:
        """It had begun and cannot be continued."""
        if request := self.picked(pick, lambda each: each.inside):
            self.remember(request)
            self.rig.dispatcher.failed(request.job, "reset", died=True, again=False)
            request.leaves()

    @rule(pick=picks)
    def reservation_is_released_twice(self, pick: int) -> None:
        if self.ended:
            release(self.ended[pick % len(self.ended)], self.rig.clock.now())

    # Replicas

    @precondition(lambda self: len(self.shown) < 4)
    @rule()
    def replica_comes(self) -> None:
        view = replica(
            f"r{len(self.views)}",
            directory=self.directory,
            now=self.rig.clock.now(),
            limit=2,
            kv_capacity_tokens=KV_TOKENS,
            fresh=bool(len(self.views) % 2),
            ready_since=self.rig.clock.now(),
        )
        self.views.append(view)
        self.shown.append(view)
        self.rig.show(self.shown)

    @precondition(lambda self: self.shown)
    @rule(pick=picks, state=st.sampled_from([*ReplicaState, *[ReplicaState.READY] * 4]), limit=st.integers(0, 3))
    def replica_changes(self, pick: int, state: ReplicaState, limit: int) -> None:
        view = self.shown[pick % len(self.shown)]
        view.state, view.limit = state, limit
        self.rig.show(self.shown)

    @precondition(lambda self: self.shown)
    @rule(pick=picks, noticed_first=st.booleans())
    def replica_dies(self, pick: int, *, noticed_first: bool) -> None:
        view = self.shown.pop(pick % len(self.shown))
        if noticed_first:
            self.rig.show(self.shown)
        for request in [each for each in self.requests if each.inside == view.replica_id]:
            # Sent there again, perhaps, as long as it is listed; that attempt is still under way.
            self.remember(request)
            request.dies()
        self.rig.show(self.shown)

    @rule(status=st.sampled_from(STATUSES))
    def catalog_changes(self, status: ModelStatus) -> None:
        self.rig.show(self.shown, status=status)

    # Time

    @rule(seconds=st.sampled_from([0.01, 0.3, 1.0, 5.0]))
    def time_passes(self, seconds: float) -> None:
        self.rig.clock.advance(seconds)

    @rule(seconds=st.sampled_from([0.0, 0.25, 1.0, 15.0, 70.0]))
    def sweep_comes(self, seconds: float) -> None:
        self.rig.sweep(seconds)
        dispatcher, now = self.rig.dispatcher, self.rig.clock.now()
        again = [each for each in self.requests if each.job in dispatcher.queue.given_back()]
        jobs = [each.job for each in again if each.job.not_before <= now]
        jobs += [each.job for each in self.requests if each.job is dispatcher.queue.next()]
        for job in jobs:
            dispatcher._prepare(job, now)
            assert choose(job, self.shown, dispatcher._rng).replica is None, "whoever can be sent is"
        hopeless = dispatcher.entry.status in (ModelStatus.FAILED, ModelStatus.STOPPED)
        assert not (hopeless and len(dispatcher.queue) and not dispatcher.ready_replicas)
        assert all(ticket.deadline > now for ticket in dispatcher.queue)

    # What holds always

    @invariant()
    def every_request_is_in_one_place(self) -> None:
        waiting = list(self.rig.dispatcher.queue)
        for request in self.requests:
            places = (request.inside is not None, sum(each is request.job for each in waiting), request.over)
            assert sum(places) == 1, places
            assert request.job.waits == bool(places[1]) or request.over
            assert len(request.refusals) <= 1
            assert {*request.codes} <= CODES
        assert len(waiting) == len(self.rig.dispatcher.queue) == sum(each.waits for each in self.requests)

    @invariant()
    def accounts_are_those_of_the_requests_inside(self) -> None:
        now = self.rig.clock.now()
        held = [each.job.reservation for each in self.requests if each.job.reservation is not None]
        for view in self.views:
            own = [each for each in held if each.view is view]
            assert view.in_flight == len(own)
            assert view.kv_tokens == sum(each.kv_tokens for each in own)
            assert view.pending_tokens == sum(each.uncached_tokens for each in own if each.prefilling)
            assert view.suspects == sum(each.suspect for each in own)
            assert not view.circuit.probing or own, "a probe that nobody waits for keeps the circuit open for ever"
            if not (view.fresh or view.circuit.opened):
                left = (view.takes, view.kv_free_tokens, view.wait_s, view.load)
                derive(view, now)
                assert left == (view.takes, view.kv_free_tokens, view.wait_s, view.load)

    @invariant()
    def queue_is_within_its_caps(self) -> None:
        queue = self.rig.dispatcher.queue
        waiting = [each.job for each in self.requests if each.waits]
        assert queue.tokens == sum(each.prompt_tokens for each in waiting)
        given_back = queue.given_back()
        others = [each for each in waiting if each not in given_back]
        assert len(others) <= CAPS["queue_requests"]
        assert sum(each.prompt_tokens for each in others) <= CAPS["queue_tokens"]

    def teardown(self) -> None:
        for request in self.requests:
            if not request.over:
                request.leaves()
        self.rig.sweep(100.0)
        assert len(self.rig.dispatcher.queue) == 0
        for view in self.views:
            assert (view.in_flight, view.pending_tokens, view.kv_tokens, view.suspects) == (0, 0, 0, 0)
            view.cache.clear()
        assert len(self.directory) == 0


TestTraffic = Traffic.TestCase
TestTraffic.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
