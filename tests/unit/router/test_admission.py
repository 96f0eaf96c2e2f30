"""The queue: who is let in, who goes next, who is turned away."""

from typing import Any

import pytest

from router.admission import AdmissionQueue, Admitted, Shed, Ticket
from router.types import Priority, RoutingSettings

LOW, NORMAL, HIGH = Priority.LOW, Priority.NORMAL, Priority.HIGH
ROOMY = RoutingSettings()


def ticket(tenant: str = "t", tokens: int = 10, **fields: Any) -> Ticket:
    given: dict[str, Any] = {"tenant": tenant, "prompt_tokens": tokens, "output_tokens": 0, "size_bytes": 1}
    return Ticket(**({"since": 0.0} | given | fields))


def queue_of(*tickets: Ticket) -> AdmissionQueue:
    queue = AdmissionQueue()
    for each in tickets:
        assert queue.offer(each, ROOMY) == Admitted()
    return queue


def served(queue: AdmissionQueue, limit: int = 1000) -> list[Ticket]:
    """Everybody in the order in which they go, each ended as it was expected to."""
    order: list[Ticket] = []
    while (first := queue.next()) is not None and len(order) < limit:
        queue.charge(first)
        queue.settle(first, first.output_tokens)
        order.append(first)
    return order


# Order


def test_tenant_is_served_first_in_first_out() -> None:
    tickets = [ticket(tokens=tokens) for tokens in (50, 1, 20, 3)]
    assert served(queue_of(*tickets)) == tickets


def test_higher_band_goes_first_however_much_it_has_had() -> None:
    low, normal, high = ticket(priority=LOW), ticket(priority=NORMAL), ticket(priority=HIGH, tokens=10_000)
    queue = queue_of(low, normal, high, more := ticket(priority=HIGH))
    assert served(queue) == [high, more, normal, low]


def test_tenants_take_turns_by_tokens_and_not_by_requests() -> None:
    queue = queue_of(*(ticket("big", 100) for _ in range(10)), *(ticket("small", 10) for _ in range(100)))
    first = served(queue)[:55]
    assert sum(each.prompt_tokens for each in first if each.tenant == "big") == 500
    assert sum(each.prompt_tokens for each in first if each.tenant == "small") == 500


def test_generated_tokens_weigh_twice() -> None:
    assert ticket(tokens=10, output_tokens=100).cost == 210


def test_tenant_of_twice_the_weight_gets_twice_as_much() -> None:
    queue = queue_of(*(ticket("one") for _ in range(90)), *(ticket("two", weight=2.0) for _ in range(90)))
    first = served(queue)[:90]
    assert sum(each.tenant == "two" for each in first) == pytest.approx(60, abs=1)


def test_tenant_that_comes_back_is_lifted_to_those_who_wait() -> None:
    queue = queue_of(*(ticket("busy") for _ in range(100)))
    for _ in range(50):
        queue.charge(first := queue.next() or ticket())
        queue.settle(first, 0)
    for _ in range(20):
        queue.offer(ticket("idle"), ROOMY)
    order = [each.tenant for each in served(queue)[:40]]
    assert order.count("idle") == 20, "turn by turn from now on, and nothing for the time before"
    assert order[:4] in (["idle", "busy"] * 2, ["busy", "idle"] * 2)


def test_tenant_that_comes_back_to_an_empty_queue_begins_where_the_last_one_was() -> None:
    queue = AdmissionQueue()
    for _ in range(100):
        queue.charge(ticket("busy"))
    newcomers = [ticket("idle") for _ in range(10)]
    for each in (*newcomers, *(ticket("busy") for _ in range(10))):
        queue.offer(each, ROOMY)
    order = [each.tenant for each in served(queue)]
    assert order[:3].count("busy") >= 1, "it has no hundred requests of credit"
    assert order[:10].count("busy") in (4, 5)


def test_tenant_that_was_charged_too_much_gets_it_back() -> None:
    queue = AdmissionQueue()
    queue.charge(sent := ticket("t", 10, output_tokens=100))
    assert queue.served(NORMAL, "t") == 210
    queue.settle(sent, 3)
    assert queue.served(NORMAL, "t") == 16
    queue.settle(sent, 3)
    assert queue.served(NORMAL, "t") == 16, "once"


def test_request_that_is_sent_again_is_charged_once() -> None:
    queue = queue_of(sent := ticket())
    queue.charge(sent)
    queue.offer_again(sent)
    queue.charge(sent)
    assert (queue.served(NORMAL, "t"), len(queue)) == (10, 0)


def test_request_given_back_waits_apart_and_goes_before_everyone() -> None:
    queue = queue_of(ticket(priority=HIGH), again := ticket(priority=LOW))
    queue.charge(again)
    queue.offer_again(again)
    assert queue.given_back() == (again,)
    assert len(queue) == 2
    queue.remove(again)
    assert queue.given_back() == ()


def test_memory_of_tenants_is_bounded() -> None:
    queue = AdmissionQueue()
    for number in range(10_000):
        queue.charge(ticket(f"t{number}"))
    assert len(queue._bands[NORMAL].counters) <= 4096


# Leaving


def test_ticket_that_leaves_is_counted_no_more() -> None:
    tickets = [ticket(tokens=tokens, size_bytes=tokens) for tokens in (1, 2, 3)]
    queue = queue_of(*tickets)
    assert (queue.tokens, queue.size_bytes, len(queue)) == (6, 6, 3)
    assert queue.remove(tickets[1])
    assert (queue.tokens, queue.size_bytes, len(queue)) == (4, 4, 2)
    assert not queue.remove(tickets[1])
    assert served(queue) == [tickets[0], tickets[2]]


def test_ticket_that_never_waited_cannot_be_removed() -> None:
    assert not queue_of(ticket()).remove(ticket())


def test_oldest_wait_is_that_of_whoever_came_first() -> None:
    queue = AdmissionQueue()
    assert queue.oldest_wait_s(9.0) == 0
    for each in (ticket("a", since=5.0), ticket("b", since=3.0, priority=LOW), ticket("a", since=6.0)):
        queue.offer(each, ROOMY)
    assert queue.oldest_wait_s(9.0) == 6.0
    queue.offer_again(ticket(since=1.0))
    assert queue.oldest_wait_s(9.0) == 8.0


# Caps


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (RoutingSettings(queue_requests=3), "requests"),
        (RoutingSettings(queue_tokens=39), "tokens"),
        (RoutingSettings(queue_bytes=3), "bytes"),
    ],
    ids=["requests", "tokens", "bytes"],
)
def test_newcomer_of_the_only_tenant_is_turned_away_at_a_cap(settings: RoutingSettings, reason: str) -> None:
    queue = AdmissionQueue()
    tickets = [ticket() for _ in range(3)]
    assert [queue.offer(each, settings) for each in tickets] == [Admitted()] * 3
    assert queue.offer(ticket(), settings) == Shed(reason)
    assert served(queue) == tickets


@pytest.mark.parametrize(
    ("settings", "reason"),
    [(RoutingSettings(queue_tokens=5), "tokens"), (RoutingSettings(queue_bytes=0), "bytes")],
    ids=["tokens", "bytes"],
)
def test_request_beyond_a_cap_by_itself_displaces_nobody(settings: RoutingSettings, reason: str) -> None:
    queue = queue_of(waiting := ticket(priority=LOW))
    assert queue.offer(ticket(priority=HIGH), settings) == Shed(reason)
    assert list(queue) == [waiting]


@pytest.mark.parametrize(
    ("waiting", "newcomer", "displaced"),
    [
        (LOW, NORMAL, True),
        (LOW, HIGH, True),
        (NORMAL, HIGH, True),
        (NORMAL, LOW, False),
        (HIGH, NORMAL, False),
        (HIGH, LOW, False),
    ],
)
def test_newcomer_displaces_lower_bands_only(waiting: Priority, newcomer: Priority, displaced: bool) -> None:
    settings = RoutingSettings(queue_requests=2)
    queue = AdmissionQueue()
    older, younger = ticket("a", 1, priority=waiting), ticket("a", 1, priority=waiting)
    queue.offer(older, settings)
    queue.offer(younger, settings)
    outcome = queue.offer(ticket("b", 1000, priority=newcomer), settings)
    assert outcome == (Admitted((younger,)) if displaced else Shed("requests"))
    assert older in list(queue)


def test_newcomer_displaces_the_youngest_of_the_heaviest_tenant() -> None:
    settings = RoutingSettings(queue_requests=7)
    queue = AdmissionQueue()
    heavy, light = [ticket("heavy", 20) for _ in range(4)], [ticket("light", 20) for _ in range(3)]
    for each in (*heavy, *light):
        queue.offer(each, settings)
    assert queue.offer(ticket("new", 20), settings) == Admitted((heavy[-1],))
    assert queue.offer(ticket("new", 20), settings) == Admitted((heavy[-2],))
    assert queue.offer(ticket("new", 20), settings) == Shed("requests"), "whoever it displaced would wait with less"


def test_lower_band_pays_before_a_heavier_tenant_of_ones_own() -> None:
    settings = RoutingSettings(queue_requests=4)
    queue = AdmissionQueue()
    low = ticket("a", 1, priority=LOW)
    for each in (*(ticket("heavy", 1000) for _ in range(3)), low):
        queue.offer(each, settings)
    assert queue.offer(ticket("b"), settings) == Admitted((low,))


def test_one_large_newcomer_displaces_as_many_as_it_takes() -> None:
    settings = RoutingSettings(queue_tokens=100)
    queue = AdmissionQueue()
    small = [ticket("a", 10, priority=LOW) for _ in range(10)]
    for each in small:
        queue.offer(each, settings)
    assert queue.offer(ticket("b", 35), settings) == Admitted(tuple(small[:5:-1]))
    assert queue.tokens == 95


def test_newcomer_that_finds_no_room_leaves_everything_as_it_was() -> None:
    """It displaces who may be displaced, that does not suffice, and all are put back."""
    settings = RoutingSettings(queue_tokens=100)
    queue = AdmissionQueue()
    waiting = [ticket("t", tokens) for tokens in (10, 5, 15, 10)]
    for each in waiting:
        queue.offer(each, settings)
    queue.offer_again(held := ticket("retry", 60))
    assert queue.offer(ticket("new", 50, priority=HIGH), settings) == Shed("tokens")
    assert (queue.tokens, len(queue)) == (100, 5)
    queue.remove(held)
    assert served(queue) == waiting


def test_put_back_ticket_keeps_its_tenants_turn() -> None:
    settings = RoutingSettings(queue_tokens=100)
    queue = AdmissionQueue()
    poor, rich = ticket("poor", 30), ticket("rich", 10)
    queue.offer(poor, settings)
    queue.charge(ticket("rich", 500))
    queue.offer(rich, settings)
    queue.offer_again(ticket("retry", 60))
    before = queue.served(NORMAL, "poor")
    assert before < queue.served(NORMAL, "rich")
    assert queue.offer(ticket("new", 90, priority=HIGH), settings) == Shed("tokens")
    assert queue.served(NORMAL, "poor") == before
    assert queue.next() is poor


def test_given_back_requests_are_not_displaced_and_caps_do_not_count_for_them() -> None:
    settings = RoutingSettings(queue_requests=1)
    queue = AdmissionQueue()
    given_back = [ticket(priority=LOW) for _ in range(3)]
    for each in given_back:
        queue.offer_again(each)
    assert queue.offer(ticket(priority=HIGH), settings) == Shed("requests")
    assert queue.given_back() == tuple(given_back)
