"""Properties of the queue: caps, order, and fair shares.

The bound on unfairness
-----------------------
Theorem 4.4 of "Fairness in Serving Large Language Models" (OSDI 2024): of two clients that are backlogged throughout
an interval, the weighted tokens that they are served in it differ by at most 2U, U being the most that one step can
add to a counter. Here a step is a whole request, charged when it is sent with what it is expected to take, so U is the
largest cost of a request. Whoever is sent has the lowest counter of the two, hence the counters never differ by more
than U, and their growth over an interval by no more than 2U.

Costs that were estimated wrongly by at most E are put right when a request ends. Until then each of the K requests in
flight may be off by E: the counters differ by at most U + KE, their growth over an interval by at most 2 (U + KE).
"""

from collections import defaultdict
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from router.admission import INPUT_WEIGHT, OUTPUT_WEIGHT, AdmissionQueue, Admitted, Shed, Ticket
from router.types import Priority, RoutingSettings

TENANTS = ("a", "b", "c", "d")
NORMAL = Priority.NORMAL
CAPS = RoutingSettings(queue_requests=6, queue_tokens=300, queue_bytes=60)
ROOMY = RoutingSettings()
Kept = dict[tuple[Priority, str], list[Ticket]]


def weighted(ticket: Ticket, output_tokens: int) -> float:
    return (INPUT_WEIGHT * ticket.prompt_tokens + OUTPUT_WEIGHT * output_tokens) / ticket.weight


@st.composite
def tickets(draw: st.DrawFn) -> Ticket:
    return Ticket(
        tenant=draw(st.sampled_from(TENANTS)),
        priority=draw(st.sampled_from(Priority)),
        prompt_tokens=draw(st.integers(1, 150)),
        output_tokens=draw(st.integers(0, 50)),
        size_bytes=draw(st.integers(0, 30)),
        since=0.0,
    )


class Do(NamedTuple):
    """One thing that happens to a queue. `which`: to which of those that it may happen to."""

    what: str
    ticket: Ticket
    which: int


steps = st.lists(
    st.builds(
        Do, st.sampled_from(["offer"] * 4 + ["send", "leave", "give back", "end"]), tickets(), st.integers(0, 99)
    ),
    max_size=40,
)


class Played:
    """A queue, and beside it what a list of all tickets says should be in it."""

    def __init__(self) -> None:
        self.queue = AdmissionQueue()
        self.waiting: list[Ticket] = []
        self.given_back: list[Ticket] = []
        self.sent: list[Ticket] = []

    def kept(self) -> Kept:
        """Those who wait, by band and tenant, in the order in which they came."""
        kept: Kept = defaultdict(list)
        for ticket in self.waiting:
            kept[ticket.priority, ticket.tenant].append(ticket)
        return kept

    def do(self, step: Do) -> None:
        match step.what:
            case "offer":
                self.offer(step.ticket)
            case "send":
                first = self.queue.next()
                if first is not None:
                    self.queue.charge(first)
                    self.waiting.remove(first)
                    self.sent.append(first)
            case "leave" if self.waiting:
                ticket = self.waiting.pop(step.which % len(self.waiting))
                assert self.queue.remove(ticket)
            case "give back" if self.sent:
                ticket = self.sent.pop(step.which % len(self.sent))
                self.queue.offer_again(ticket)
                self.given_back.append(ticket)
            case "end" if self.sent:
                self.queue.settle(self.sent.pop(step.which % len(self.sent)), step.which)

    def offer(self, newcomer: Ticket) -> None:
        before, counters = list(self.waiting), self.counters()
        outcome = self.queue.offer(newcomer, CAPS)
        if isinstance(outcome, Shed):
            assert self.counters() == counters
            return
        for displaced in outcome.displaced:
            self.waiting.remove(displaced)
        self.waiting.append(newcomer)
        self.displaced_rightly(newcomer, outcome, before)
        assert len(self.queue) <= CAPS.queue_requests
        assert self.queue.tokens <= CAPS.queue_tokens
        assert self.queue.size_bytes <= CAPS.queue_bytes

    def displaced_rightly(self, newcomer: Ticket, outcome: Admitted, before: list[Ticket]) -> None:
        own = sum(each.cost for each in self.waiting if (each.priority, each.tenant) == place(newcomer))
        for displaced in outcome.displaced:
            assert displaced in before
            assert displaced.priority <= newcomer.priority
            left = [each for each in self.waiting if each.priority < displaced.priority and each is not newcomer]
            assert not left, "a lower band pays first"
            if displaced.priority == newcomer.priority:
                assert displaced.tenant != newcomer.tenant
                heavier = sum(each.cost for each in self.waiting if place(each) == place(displaced))
                assert heavier >= own - 1e-6
            stayed = [each for each in self.waiting if place(each) == place(displaced) and each is not newcomer]
            assert all(before.index(each) < before.index(displaced) for each in stayed), "the youngest goes"
        if outcome.displaced:
            last = outcome.displaced[-1]
            assert (
                len(self.queue) + 1 > CAPS.queue_requests
                or self.queue.tokens + last.prompt_tokens > CAPS.queue_tokens
                or self.queue.size_bytes + last.size_bytes > CAPS.queue_bytes
            ), "no more than it takes"

    def counters(self) -> dict[tuple[Priority, str], float]:
        return {(priority, name): self.queue.served(priority, name) for priority in Priority for name in TENANTS}


def place(ticket: Ticket) -> tuple[Priority, str]:
    return ticket.priority, ticket.tenant


@given(steps)
def test_caps_and_order_hold_whatever_happens(history: list[Do]) -> None:
    played = Played()
    for step in history:
        played.do(step)
        queue, everyone = played.queue, [*played.given_back, *played.waiting]
        assert sorted(map(id, queue)) == sorted(map(id, everyone))
        assert len(queue) == len(everyone)
        assert queue.tokens == sum(each.prompt_tokens for each in everyone)
        assert queue.size_bytes == sum(each.size_bytes for each in everyone)
        assert queue.given_back() == tuple(played.given_back)
    kept = played.kept()
    while (first := played.queue.next()) is not None:
        assert first.priority == max(ticket.priority for ticket in played.waiting)
        assert first is kept[place(first)].pop(0), "first in, first out"
        played.queue.charge(first)
        played.waiting.remove(first)
    assert not played.waiting


class Served(NamedTuple):
    prompt_tokens: int
    output_tokens: int
    """As expected."""
    ends: int
    """Which of those in flight ends next, if there are too many."""


histories = st.lists(st.builds(Served, st.integers(1, 200), st.integers(0, 50), st.integers(0, 99)), min_size=1)
answers = st.sampled_from([0, 50])
Errors = dict[str, int]
"""By tenant, tokens that all of its answers have in fact, whatever was expected; as expected if it is not in there."""


def play_fair(history: list[Served], weights: tuple[float, float], places: int, errors: Errors) -> list[float]:
    """Two tenants that always wait, served through `places`. After each step: how much more the first was served, in
    weighted tokens relative to weight, those in flight taken for what they are expected to be."""
    queue, flying, gap = AdmissionQueue(), list[Ticket](), 0.0
    gaps = [gap]

    def offer(tenant: str, prompt_tokens: int, output_tokens: int) -> None:
        ticket = Ticket(
            tenant=tenant,
            weight=weights[tenant == "b"],
            prompt_tokens=prompt_tokens,
            output_tokens=output_tokens,
            size_bytes=0,
            since=0.0,
        )
        assert queue.offer(ticket, ROOMY) == Admitted()

    def add(ticket: Ticket, cost: float) -> None:
        nonlocal gap
        gap += cost if ticket.tenant == "a" else -cost
        gaps.append(gap)

    for tenant in ("a", "b"):
        offer(tenant, 1, 0)
    # Over and over, so that what is small adds up.
    for each in history * (1 + 100 // len(history)):
        if len(flying) == places:
            ended = flying.pop(each.ends % places)
            expected, taken = ended.output_tokens, errors.get(ended.tenant, ended.output_tokens)
            add(ended, weighted(ended, taken) - weighted(ended, expected))
            queue.settle(ended, taken)
        first = queue.next()
        assert first is not None
        offer(first.tenant, each.prompt_tokens, each.output_tokens)
        queue.charge(first)
        add(first, weighted(first, first.output_tokens))
        flying.append(first)
    return gaps


LARGEST = 200 * INPUT_WEIGHT + 50 * OUTPUT_WEIGHT
WRONG_BY = 50 * OUTPUT_WEIGHT
WEIGHTS = st.sampled_from([(1.0, 1.0), (1.0, 2.0), (5.0, 1.0), (0.5, 0.25)])


@settings(max_examples=50)
@given(histories, WEIGHTS, st.integers(1, 8))
def test_backlogged_tenants_are_served_alike_within_the_bound(
    history: list[Served], weights: tuple[float, float], places: int
) -> None:
    gaps = play_fair(history, weights, places, {})
    assert max(map(abs, gaps)) <= LARGEST / min(weights) + 1e-6
    assert max(gaps) - min(gaps) <= 2 * LARGEST / min(weights) + 1e-6, "in any interval"


@settings(max_examples=50)
@given(histories, WEIGHTS, st.integers(1, 4), st.fixed_dictionaries({}, optional={"a": answers, "b": answers}))
def test_backlogged_tenants_are_served_alike_within_the_bound_when_estimates_are_wrong(
    history: list[Served], weights: tuple[float, float], places: int, errors: Errors
) -> None:
    gaps = play_fair(history, weights, places, errors)
    bound = (LARGEST + places * WRONG_BY) / min(weights)
    assert max(map(abs, gaps)) <= bound + 1e-6
    assert max(gaps) - min(gaps) <= 2 * bound + 1e-6


@given(st.lists(st.integers(1, 100), min_size=1, max_size=30), st.integers(1, 100), st.booleans())
def test_tenant_that_was_away_gains_nothing_by_it(costs: list[int], size: int, queued: bool) -> None:
    """However long the others were served, queued or not: who comes back is at most one request ahead of them."""
    queue = AdmissionQueue()

    def ticket(tenant: str, tokens: int) -> Ticket:
        return Ticket(tenant=tenant, prompt_tokens=tokens, output_tokens=0, size_bytes=0, since=0.0)

    queue.charge(ticket("idle", 1))
    for tokens in costs:
        queue.charge(ticket("busy", tokens))
    if queued:
        queue.offer(ticket("busy", 1), ROOMY)
    queue.offer(ticket("idle", size), ROOMY)
    ahead = queue.served(NORMAL, "busy") - queue.served(NORMAL, "idle")
    assert ahead <= (0 if queued else costs[-1])
