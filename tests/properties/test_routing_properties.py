"""Properties of `choose`, of the account of a replica, and of circuits, over generated fleets and histories."""

import dataclasses
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from replicas.types import EngineLoad, ReplicaState
from router.circuit import Circuit, abandoned, admits, failed, request_sent, succeeded
from router.features import RequestFeatures
from router.policy import EXHAUSTIVE_UP_TO, choose
from router.prefix_chain import chain_of
from router.prefix_index import PrefixDirectory
from router.replica_view import (
    ReplicaView,
    Reservation,
    clear_suspicion,
    correct,
    derive,
    first_token_seen,
    release,
    reserve,
    settle,
)
from router.types import PolicyName
from tests.unit.router.fakes import START, replica

TEXT = bytes(range(256)) * 20
VIEW_FIELDS = [
    each.name for each in dataclasses.fields(ReplicaView) if each.name not in ("cache", "circuit", "assumed")
]
NOW = START


@st.composite
def circuits(draw: st.DrawFn) -> Circuit:
    opened = draw(st.sampled_from([0, 0, 1, 2]))
    return Circuit(
        failures=3 * opened,
        opened=opened,
        open_until=NOW + draw(st.sampled_from([-1.0, 0.0, 5.0])) if opened else 0.0,
        probing=bool(opened) and draw(st.booleans()),
    )


def view(directory: PrefixDirectory, name: str, draw: st.DrawFn) -> ReplicaView:
    external = draw(st.sampled_from([False, False, False, True]))
    cached = draw(st.sampled_from([0, 0, 300, 2000, 5000]))
    return replica(
        name,
        directory=directory,
        cached=chain_of(TEXT[:cached]),
        state=draw(st.sampled_from([*ReplicaState, *[ReplicaState.READY] * 15])),
        limit=draw(st.sampled_from([0, 3, 7, 8, 9])),
        in_flight=draw(st.integers(0, 4)),
        others_in_flight=draw(st.integers(0, 3)),
        kv_capacity_tokens=draw(st.sampled_from([0, 0, 100, 2000])),
        kv_tokens=draw(st.integers(0, 2000)),
        kv_factor=draw(st.sampled_from([0.5, 1.0])),
        pending_tokens=draw(st.integers(0, 5000)),
        suspects=draw(st.sampled_from([0, 0, 1])),
        circuit=draw(circuits()),
        external=external,
        fallback=external and draw(st.booleans()),
        fresh=draw(st.booleans()),
        ready_since=NOW - draw(st.sampled_from([0.0, 5.0, 20.0])),
    )


@st.composite
def fleets(draw: st.DrawFn) -> list[ReplicaView]:
    """Small ones, or such that are sampled: few that differ among many that are full, or away."""
    directory = PrefixDirectory()
    views = [view(directory, f"r{index}", draw) for index in range(draw(st.sampled_from([0, 1, 2, 3, 4, 6, 8])))]
    if views and draw(st.sampled_from([False, False, True])):
        full_or_away: list[dict[str, Any]] = [{"limit": 0}, {"state": ReplicaState.ASLEEP}, {"circuit": open_circuit()}]
        crowd = draw(st.sampled_from(full_or_away))
        views += [replica(f"x{index}", directory=directory, **crowd) for index in range(EXHAUSTIVE_UP_TO)]
    return draw(st.permutations(views)) if len(views) < 9 else views


def open_circuit() -> Circuit:
    return Circuit(failures=3, opened=1, open_until=NOW + 5)


@st.composite
def requests(draw: st.DrawFn) -> RequestFeatures:
    tried = draw(st.sampled_from([(), (), ("r0",), ("r1", "x0"), ("r0", "r1", "r2")]))
    return RequestFeatures(
        policy=draw(st.sampled_from(PolicyName)),
        tried=tried,
        apart=draw(st.sampled_from([False, False, True])),
        chain=chain_of(TEXT[: draw(st.sampled_from([0, 400, 3000]))]),
        prompt_tokens=draw(st.integers(1, 1000)),
        kv_tokens=draw(st.integers(1, 1200)),
        session=draw(st.sampled_from([b"", b"s", b"t"])),
        crowding_s=draw(st.sampled_from([0.0, 0.1])),
        now=NOW,
    )


def has_room(view: ReplicaView, request: RequestFeatures) -> bool:
    """Whether it could take the request, circuits aside. Said once more, from the words of the policy."""
    taken = view.in_flight + view.others_in_flight
    free = view.kv_capacity_tokens / view.kv_factor - view.kv_tokens
    return (
        view.state is ReplicaState.READY
        and view.replica_id not in request.tried
        and taken < view.limit
        and (not view.kv_capacity_tokens or not taken or free >= request.kv_tokens)
        and not (request.apart and view.suspects)
    )


@settings(max_examples=150)
@given(fleets(), requests(), st.integers(0, 1000))
def test_choice_has_room_and_there_is_one_while_anybody_has(
    views: list[ReplicaView], request: RequestFeatures, seed: int
) -> None:
    decision = choose(request, views, Random(seed))
    able = [each for each in views if has_room(each, request)]
    sound = [each for each in able if admits(each.circuit, NOW)]
    untried = [each for each in views if each.state is ReplicaState.READY and each.replica_id not in request.tried]
    if decision.replica is not None:
        assert decision.replica in able
        assert not sound or decision.replica in sound, "open circuits only for want of another"
        ours = [each for each in sound if not each.fallback]
        assert not ours or not decision.replica.fallback, "fallbacks only for want of another"
        if request.policy is PolicyName.PREFIX_AWARE:
            assert decision.cached_bytes == decision.replica.cache.matched_bytes(request.chain.hashes)
        return
    assert not sound, "nobody is refused while somebody has room"
    if len(untried) == 1:
        assert not able, "the last one is not left unused for its circuit"
    ready = any(each.state is ReplicaState.READY for each in views)
    assert decision.reason == ("no_credit" if untried else "all_tried" if ready else "none_ready")


@settings(max_examples=30)
@given(fleets(), requests(), st.integers(0, 1000))
def test_choice_changes_nothing_and_is_the_same_for_the_same_draw(
    views: list[ReplicaView], request: RequestFeatures, seed: int
) -> None:
    before = [fields(each) for each in views]
    first, second = choose(request, views, Random(seed)), choose(request, views, Random(seed))
    assert (first.replica, first.reason) == (second.replica, second.reason)
    assert [fields(each) for each in views] == before


def fields(view: ReplicaView) -> dict[str, Any]:
    return {name: getattr(view, name) for name in VIEW_FIELDS}


DERIVED = ("takes", "kv_free_tokens", "wait_s", "load")
Event = tuple[str, int, int]
events = st.lists(
    st.tuples(
        st.sampled_from(["send"] * 4 + ["first token", "end", "end", "no suspect", "settle", "report", "pass"]),
        st.integers(0, 999),
        st.integers(0, 1),
    ),
    max_size=40,
)


@given(events)
def test_account_is_even_when_everything_has_ended(history: list[Event]) -> None:
    """Whatever order of ends, deaths, first tokens, twice as well as once, after the end or before."""
    views = [replica("a", kv_capacity_tokens=5000, limit=8), replica("b", prefill_tokens_per_s=100.0)]
    all_sent: list[Reservation] = []
    now = START
    for what, number, which in history:
        act(what, number, views[which], all_sent, now)
        now += 0.1 * (number % 7)
        held = [each for each in all_sent if each.held]
        for each in views:
            own = [reservation for reservation in held if reservation.view is each]
            assert each.in_flight == len(own)
            assert each.kv_tokens == sum(reservation.kv_tokens for reservation in own)
            assert each.pending_tokens == sum(each.uncached_tokens for each in own if each.prefilling)
            assert each.suspects == sum(reservation.suspect for reservation in own)
    for reservation in all_sent:
        release(reservation, now)
    for each in views:
        settle(each, now + 1e6)
        assert (each.in_flight, each.pending_tokens, each.kv_tokens, each.suspects) == (0, 0, 0, 0)
        assert each.prefilled_tokens_total <= sum(r.uncached_tokens for r in all_sent if r.view is each)
        assert not each.assumed
        as_left = {name: getattr(each, name) for name in DERIVED}
        derive(each, now)
        assert as_left == {name: getattr(each, name) for name in DERIVED}
        assert each.prefill_tokens_per_s > 0
        assert each.kv_free_tokens == float("inf")


def act(what: str, number: int, view: ReplicaView, all_sent: list[Reservation], now: float) -> None:
    if what == "send":
        seen, suspect = bool(number & 1), bool(number & 2)
        all_sent.append(
            reserve(view, uncached_tokens=number, kv_tokens=number + 7, now=now, seen=seen, suspect=suspect)
        )
    elif what == "settle":
        settle(view, now)
    elif what == "report":
        correct(view, EngineLoad(kv_usage=number / 999), 0, now)
    elif all_sent:
        reservation = all_sent[number % len(all_sent)]
        if what == "first token":
            first_token_seen(reservation, now)
        elif what == "end":
            release(reservation, now)
        elif what == "no suspect":
            clear_suspicion(reservation)


@given(
    st.lists(
        st.tuples(st.sampled_from(["sent", "succeeded", "failed", "refused", "abandoned"]), st.floats(0, 5)),
        max_size=80,
    )
)
def test_circuit_always_admits_again_within_half_a_minute_of_what_happened_last(
    history: list[tuple[str, float]],
) -> None:
    circuit, now = Circuit(), 0.0
    for what, pause in history:
        now += pause
        match what:
            case "sent":
                request_sent(circuit)
            case "succeeded":
                succeeded(circuit)
                assert admits(circuit, now)
            case "abandoned":
                abandoned(circuit)
            case _:
                failed(circuit, now, base_s=1.0, unreachable=what == "refused")
                assert what != "refused" or not admits(circuit, now)
        assert circuit.open_until <= now + 30
    assert admits(circuit, now + 30) or circuit.probing
