"""The account of what was sent to a replica, and what is derived from it."""

from itertools import permutations
from typing import Any

import pytest

from replicas.types import EngineLoad, ReplicaState
from router.prefix_index import DEFAULT_CAPACITY_BYTES
from router.replica_view import (
    ReplicaView,
    Reservation,
    bound_memory,
    clear_suspicion,
    correct,
    derive,
    first_token_seen,
    release,
    reserve,
    settle,
    tokens_seen,
)
from tests.unit.router.fakes import START, replica


def sent(
    view: ReplicaView, *, tokens: int = 100, kv: int = 150, now: float = START, seen: bool = True, suspect: bool = False
) -> Reservation:
    return reserve(view, uncached_tokens=tokens, kv_tokens=kv, now=now, seen=seen, suspect=suspect)


def account(view: ReplicaView) -> tuple[int, int, int, int]:
    return view.in_flight, view.pending_tokens, view.kv_tokens, view.suspects


def test_reservation_counts_until_it_is_released() -> None:
    view = replica()
    one, other = sent(view, suspect=True), sent(view, tokens=7, kv=9)
    assert account(view) == (2, 107, 159, 1)
    release(one, START)
    assert account(view) == (1, 7, 9, 0)
    release(other, START)
    assert account(view) == (0, 0, 0, 0)


def test_first_token_ends_pending_and_suspicion_and_nothing_else() -> None:
    view = replica()
    first_token_seen(sent(view, suspect=True), START + 1)
    assert account(view) == (1, 0, 150, 0)


def test_account_is_even_whatever_order_ends_come_in() -> None:
    for order in permutations(("release", "release", "first token", "no suspect", "settle")):
        view = replica(kv_capacity_tokens=1000)
        reservation = sent(view, seen=False, suspect=True)
        for step, end in enumerate(order):
            now = START + step
            match end:
                case "release":
                    release(reservation, now)
                case "first token":
                    first_token_seen(reservation, now)
                case "no suspect":
                    clear_suspicion(reservation)
                case "settle":
                    settle(view, START + 1000)
        assert account(view) == (0, 0, 0, 0), order
        ended_unread = order.index("release") < min(order.index("first token"), order.index("settle"))
        assert view.prefilled_tokens_total == (0 if ended_unread else 100), "read once, or never"
        assert view.kv_free_tokens == float("inf")


@pytest.mark.parametrize(
    ("fields", "takes"),
    [
        ({}, True),
        ({"limit": 3, "in_flight": 2}, True),
        ({"limit": 3, "in_flight": 3}, False),
        ({"limit": 3, "in_flight": 1, "others_in_flight": 2}, False),
        ({"limit": 0}, False),
        *(({"state": state}, False) for state in ReplicaState if state is not ReplicaState.READY),
    ],
    ids=str,
)
def test_replica_takes_requests_while_ready_and_below_its_limit(fields: dict[str, Any], takes: bool) -> None:
    assert replica(**fields).takes is takes


def test_kv_room_is_capacity_without_what_was_sent() -> None:
    view = replica(kv_capacity_tokens=1000)
    assert view.kv_free_tokens == float("inf"), "an empty replica has room for anything"
    reservation = sent(view, kv=300)
    assert view.kv_free_tokens == 700
    release(reservation, START)
    assert view.kv_free_tokens == float("inf")


def test_kv_room_without_known_capacity_is_unbounded() -> None:
    view = replica()
    sent(view, kv=10**9)
    assert view.kv_free_tokens == float("inf")


def test_kv_room_grows_when_requests_share_their_beginnings() -> None:
    view = replica(kv_capacity_tokens=1000)
    sent(view, kv=800)
    for _ in range(50):
        correct(view, EngineLoad(kv_usage=0.2), 0, START)
    assert view.kv_free_tokens == pytest.approx(1000 / 0.25 - 800, rel=0.01)


def test_kv_room_is_not_corrected_by_a_report_on_next_to_nothing() -> None:
    view = replica(kv_capacity_tokens=100_000)
    sent(view, kv=100)
    correct(view, EngineLoad(kv_usage=0.9), 0, START)
    assert view.kv_factor == 1.0


def test_kv_room_is_gone_when_other_routers_requests_fill_the_cache() -> None:
    view = replica(kv_capacity_tokens=1000)
    sent(view, kv=500)
    for _ in range(50):
        correct(view, EngineLoad(kv_usage=1.0), 1, START)
    assert view.kv_free_tokens == pytest.approx(0, abs=1)


def test_wait_is_the_time_to_read_what_is_pending() -> None:
    view = replica(prefill_tokens_per_s=1000.0, first_token_overhead_s=0.05)
    sent(view, tokens=2000)
    assert view.wait_s == pytest.approx(2.05)
    assert view.first_token_s(500) == pytest.approx(2.55)


def test_reading_rate_is_learnt_from_first_tokens() -> None:
    view = replica()
    for step in range(20):
        now = START + 10 * step
        first_token_seen(sent(view, tokens=1000, now=now), now + 0.5)
    assert view.prefill_tokens_per_s == pytest.approx(2000, rel=0.05)
    assert view.measured


def test_first_measurement_replaces_what_was_assumed() -> None:
    view = replica()
    first_token_seen(sent(view, tokens=1000), START + 0.1)
    assert view.prefill_tokens_per_s == pytest.approx(10_000)


def test_reading_rate_counts_what_was_read_for_others_meanwhile() -> None:
    """Four prompts of 1000 tokens are read one after the other at 1000 a second."""
    view = replica()
    reservations = [sent(view, tokens=1000) for _ in range(4)]
    for second, reservation in enumerate(reservations, start=1):
        first_token_seen(reservation, START + second)
        assert view.prefill_tokens_per_s == pytest.approx(1000)


def test_reading_rate_is_not_raised_by_prompts_that_nobody_read() -> None:
    view = replica()
    aborted = [sent(view, tokens=10_000) for _ in range(10)]
    read = sent(view, tokens=1000)
    for reservation in aborted:
        release(reservation, START + 0.1)
    first_token_seen(read, START + 1)
    assert view.prefill_tokens_per_s == pytest.approx(1000, rel=0.1)


def test_overhead_is_learnt_from_short_prompts_and_not_taken_for_a_rate() -> None:
    view = replica()
    for step in range(60):
        now = START + 10 * step
        first_token_seen(sent(view, tokens=5, now=now), now + 0.2)
    assert view.first_token_overhead_s == pytest.approx(0.2, rel=0.05)
    assert not view.measured


def test_prefill_whose_end_is_not_seen_ends_when_it_should_be_over() -> None:
    view = replica(prefill_tokens_per_s=1000.0)
    sent(view, tokens=500, seen=False)
    sent(view, tokens=500, seen=False)
    settle(view, START + 0.4)
    assert view.pending_tokens == 1000
    settle(view, START + 0.5)
    assert view.pending_tokens == 500
    settle(view, START + 1.0)
    assert (view.pending_tokens, view.wait_s) == (0, 0.0)


def test_account_of_unseen_prefills_does_not_grow_when_nobody_settles() -> None:
    """Under policies that do not look at it, and with one replica alone, `choose` never settles."""
    view = replica()
    for step in range(1000):
        release(sent(view, seen=False, now=START + step), START + step + 0.5)
    assert len(view.assumed) < 10


def test_time_between_tokens_is_learnt_from_whole_streams() -> None:
    view = replica()
    for step in range(60):
        reservation = sent(view, now=START + step)
        first_token_seen(reservation, START + step)
        tokens_seen(reservation, 101, START + step + 5.0)
    assert view.inter_token_s == pytest.approx(0.05, rel=0.01)


@pytest.mark.parametrize("tokens", [0, 1])
def test_time_between_tokens_is_not_learnt_from_one(tokens: int) -> None:
    view = replica()
    reservation = sent(view)
    first_token_seen(reservation, START + 1)
    tokens_seen(reservation, tokens, START + 100)
    assert view.inter_token_s == replica().inter_token_s


def test_load_is_relative_to_weight() -> None:
    assert replica(in_flight=6, others_in_flight=2, weight=4.0).load == 2.0


def test_fresh_replica_seems_busier_less_and_less_and_for_ten_seconds() -> None:
    view = replica(fresh=True, ready_since=START)
    loads = []
    for tenth in range(11):
        derive(view, START + tenth)
        loads.append(view.load)
    assert loads[0] == pytest.approx(9)
    assert loads == sorted(loads, reverse=True)
    assert (loads[10], view.fresh) == (0, False)


def test_view_that_has_come_up_to_speed_is_fresh_no_more_though_the_clock_jumps() -> None:
    view = replica(fresh=True, ready_since=START, now=START + 3600)
    assert (view.load, view.fresh) == (0, False)


def test_twice_of_what_a_cache_holds_is_remembered() -> None:
    view = replica(kv_capacity_tokens=1000)
    bound_memory(view, 4.5)
    assert view.cache.capacity_bytes == 9000


def test_cache_of_unknown_size_is_remembered_by_a_default() -> None:
    view = replica(kv_capacity_tokens=0)
    bound_memory(view, 4.5)
    assert view.cache.capacity_bytes == DEFAULT_CAPACITY_BYTES
