"""Choosing a replica: what each policy prefers."""

from collections import Counter
from random import Random
from typing import Any

import pytest

from replicas.types import ReplicaState
from router.circuit import Circuit
from router.policy import EXHAUSTIVE_UP_TO, SPILL_SHARE
from router.prefix_chain import chain_of
from router.prefix_index import PrefixDirectory
from router.replica_view import ReplicaView, derive, reserve
from router.types import PolicyName
from tests.unit.router.fakes import START, chosen, chosen_id, fleet, replica

POLICIES = list(PolicyName)
LEAST, TWO, SESSION, PREFIX = (
    PolicyName.LEAST_LOADED,
    PolicyName.POWER_OF_TWO,
    PolicyName.SESSION_AFFINITY,
    PolicyName.PREFIX_AWARE,
)
PROMPT = chain_of(b"the quick brown fox jumps over the lazy dog " * 200)
RATE = 1000.0
"""Prompt tokens a second, in what is said of time below."""


def open_circuit(until: float = START + 10) -> Circuit:
    return Circuit(failures=3, opened=1, open_until=until)


@pytest.mark.parametrize("policy", POLICIES)
def test_reason_tells_why_there_is_none(policy: PolicyName) -> None:
    assert chosen([], policy).reason == "none_ready"
    assert chosen([replica(state=ReplicaState.DRAINING)], policy).reason == "none_ready"
    assert chosen([replica("a")], policy, tried=("a",)).reason == "all_tried"
    assert chosen([replica("a", limit=1, in_flight=1)], policy).reason == "no_credit"
    full = replica("a", kv_capacity_tokens=100, kv_tokens=90, in_flight=1)
    assert chosen([full], policy, kv_tokens=11).reason == "no_credit"
    assert chosen([full], policy, kv_tokens=10).replica is full


@pytest.mark.parametrize("policy", POLICIES)
def test_empty_replica_takes_a_request_larger_than_its_cache(policy: PolicyName) -> None:
    assert chosen([replica(kv_capacity_tokens=100)], policy, kv_tokens=10_000).replica is not None


@pytest.mark.parametrize("policy", POLICIES)
def test_replica_with_an_open_circuit_is_taken_when_it_is_the_last(policy: PolicyName) -> None:
    alone = replica("a", circuit=open_circuit())
    assert chosen([alone], policy).replica is alone
    assert chosen([alone, replica("b", state=ReplicaState.STARTING)], policy).replica is alone
    assert chosen([alone, replica("b")], policy, tried=("b",)).replica is alone


@pytest.mark.parametrize("policy", POLICIES)
def test_replica_with_an_open_circuit_is_left_alone_while_there_is_another(policy: PolicyName) -> None:
    replicas = [replica("a", circuit=open_circuit()), replica("b", in_flight=50)]
    assert {chosen_id(replicas, policy, seed, session=b"s") for seed in range(50)} == {"b"}


@pytest.mark.parametrize("policy", POLICIES)
def test_replica_with_an_open_circuit_is_left_alone_by_who_tries_again(policy: PolicyName) -> None:
    replicas = [replica("a"), replica("b", circuit=open_circuit()), replica("c", in_flight=50)]
    assert {chosen_id(replicas, policy, seed, session=b"s", tried=("a",)) for seed in range(50)} == {"c"}


def test_half_open_circuit_gets_one_request() -> None:
    half_open = replica("a", circuit=open_circuit(until=START))
    replicas = [half_open, replica("b", in_flight=50)]
    assert chosen_id(replicas) == "a"
    half_open.circuit.probing = True
    derive(half_open, START)
    assert chosen_id(replicas) == "b"


@pytest.mark.parametrize("policy", POLICIES)
def test_suspect_is_kept_away_from_suspects(policy: PolicyName) -> None:
    replicas = [replica("a", suspects=1, in_flight=1), replica("b", in_flight=9)]
    assert chosen_id(replicas, policy, apart=True) == "b"
    assert chosen(replicas[:1], policy, apart=True).reason == "no_credit"
    assert chosen_id(replicas[:1], policy, apart=False) == "a"


# least-loaded, power-of-two


def test_least_loaded_counts_others_requests_and_weight() -> None:
    replicas = [
        replica("a", in_flight=3),
        replica("b", in_flight=1, others_in_flight=1),
        replica("c", in_flight=5, weight=4.0),
    ]
    assert chosen_id(replicas) == "c"
    assert chosen_id(replicas[:2]) == "b"


@pytest.mark.parametrize("policy", [LEAST, TWO, PREFIX])
def test_ties_are_spread(policy: PolicyName) -> None:
    replicas = fleet(3)
    counts = Counter(chosen_id(replicas, policy, seed) for seed in range(300))
    assert min(counts[f"r{index}"] for index in range(3)) > 60


def test_power_of_two_takes_the_less_loaded_of_two_drawn() -> None:
    replicas = [replica(str(load), in_flight=load) for load in range(4)]
    counts = Counter(chosen_id(replicas, TWO, seed) for seed in range(3000))
    # Drawn two of four, the n-th best wins against the 3 - n worse ones: 3, 2, 1 and 0 of 6 pairs.
    assert [counts[str(load)] / 3000 for load in range(4)] == pytest.approx([1 / 2, 1 / 3, 1 / 6, 0], abs=0.04)


# session-affinity


def assigned(replicas: list[ReplicaView], sessions: int = 400) -> dict[bytes, str]:
    names = [b"session-%d" % number for number in range(sessions)]
    return {name: chosen_id(replicas, SESSION, seed, session=name) for seed, name in enumerate(names)}


def test_session_stays_on_its_replica_in_whatever_order_they_are_listed() -> None:
    replicas = fleet(8)
    there = assigned(replicas)
    assert assigned(replicas[::-1]) == there
    assert len(set(there.values())) == 8


def test_sessions_are_spread_evenly() -> None:
    counts = Counter(assigned(fleet(8), 4000).values())
    assert all(count == pytest.approx(500, rel=0.2) for count in counts.values())


def test_sessions_of_a_replica_that_left_go_evenly_to_the_others_and_no_other_moves() -> None:
    replicas = fleet(5)
    before = assigned(replicas, 2000)
    after = assigned(replicas[1:], 2000)
    moved = {name for name in before if before[name] != after[name]}
    assert moved == {name for name, where in before.items() if where == "r0"}
    inherited = Counter(after[name] for name in moved)
    assert all(inherited[f"r{index}"] == pytest.approx(len(moved) / 4, rel=0.35) for index in range(1, 5))


def test_replica_that_came_gets_its_share_and_nothing_else_moves() -> None:
    replicas = fleet(5)
    before, after = assigned(replicas[:4], 2000), assigned(replicas, 2000)
    moved = {name for name in before if before[name] != after[name]}
    assert {after[name] for name in moved} == {"r4"}
    assert len(moved) == pytest.approx(2000 / 5, rel=0.2)


def test_session_leaves_a_replica_that_is_loaded_above_the_bound() -> None:
    replicas = fleet(4)
    home = chosen(replicas, SESSION, session=b"s").replica
    assert home is not None
    for view in replicas:
        view.in_flight = 10
        derive(view, START)
    home.in_flight = 12
    derive(home, START)
    assert chosen(replicas, SESSION, session=b"s").replica is home, "12 is below 1.25 times (42 + 1) / 4"
    home.in_flight = 17
    derive(home, START)
    assert chosen(replicas, SESSION, session=b"s").replica is not home


def test_no_replica_is_loaded_above_the_bound_when_all_requests_are_of_one_session() -> None:
    replicas = fleet(4)
    for seed in range(400):
        view = chosen(replicas, SESSION, seed, session=b"s").replica
        assert view is not None
        reserve(view, uncached_tokens=1, kv_tokens=1, now=START, seen=True)
    assert max(view.in_flight for view in replicas) <= 1.25 * 401 / 4 + 1


def test_request_without_session_goes_where_load_is_least() -> None:
    replicas = [replica("a", in_flight=2), replica("b", in_flight=1)]
    assert {chosen_id(replicas, SESSION, seed) for seed in range(20)} == {"b"}


# prefix-aware


def pair(**cached: Any) -> list[ReplicaView]:
    """A replica that has all of PROMPT in its cache, and one that has nothing."""
    directory = PrefixDirectory()
    fields: dict[str, Any] = {"prefill_tokens_per_s": RATE, "directory": directory}
    return [replica("cached", cached=PROMPT, **fields, **cached), replica("empty", **fields)]


def ask(replicas: list[ReplicaView], *, tokens: int = 100, target_ttft_s: float = 4.0, crowding_s: float = 0.0) -> str:
    decision = chosen(
        replicas, PREFIX, chain=PROMPT, prompt_tokens=tokens, target_ttft_s=target_ttft_s, crowding_s=crowding_s
    )
    assert decision.replica is not None
    return f"{decision.replica.replica_id} {decision.reason}"


def test_cached_replica_is_taken_and_its_match_is_told() -> None:
    decision = chosen(pair(), PREFIX, chain=PROMPT, prompt_tokens=2000)
    assert (decision.replica and decision.replica.replica_id, decision.reason) == ("cached", "prefix")
    assert 0.9 * PROMPT.size_bytes < decision.cached_bytes <= PROMPT.size_bytes


def test_request_stays_with_its_cache_until_the_backlog_exceeds_the_bound() -> None:
    """The empty replica would answer after 0.1 s. Half of the target more is borne: 2 s, 2000 tokens."""
    saved = 100  # tokens that need not be read, all but those of the last block
    assert SPILL_SHARE * 4.0 * RATE == 2000
    assert ask(pair(pending_tokens=2000)) == "cached prefix"
    assert ask(pair(pending_tokens=2000 + saved + 1)) == "empty spilled"


def test_bound_moves_with_the_target() -> None:
    assert ask(pair(pending_tokens=3000), target_ttft_s=10.0) == "cached prefix"
    assert ask(pair(pending_tokens=400), target_ttft_s=0.5) == "empty spilled"


def test_long_prompt_stays_with_its_cache_where_a_short_one_spills() -> None:
    assert ask(pair(pending_tokens=5000), tokens=20_000) == "cached prefix"
    assert ask(pair(pending_tokens=5000), tokens=100) == "empty spilled"


def test_crowded_replica_is_left_by_who_has_nothing_cached() -> None:
    replicas = [replica("crowded", in_flight=20), replica("free")]
    request = {"chain": PROMPT, "prompt_tokens": 100, "crowding_s": 0.1}
    assert {chosen_id(replicas, PREFIX, seed, **request) for seed in range(20)} == {"free"}


def test_soonest_counts_the_rate_of_reading_and_the_backlog() -> None:
    replicas = [
        replica("slow", prefill_tokens_per_s=100.0),
        replica("fast", prefill_tokens_per_s=10_000.0, pending_tokens=5000),
    ]
    assert chosen_id(replicas, PREFIX, prompt_tokens=10) == "slow"
    assert chosen_id(replicas, PREFIX, prompt_tokens=1000) == "fast"
    assert chosen(replicas, PREFIX, prompt_tokens=1000).reason == "soonest"


def test_of_those_that_have_most_cached_the_soonest_is_taken() -> None:
    directory = PrefixDirectory()
    replicas = [
        replica(str(pending), directory=directory, cached=PROMPT, pending_tokens=pending) for pending in (300, 100, 200)
    ]
    assert ask(replicas) == "100 prefix"


def test_prefill_that_should_be_over_is_not_waited_for() -> None:
    busy, other = replica("busy", prefill_tokens_per_s=RATE), replica("other", prefill_tokens_per_s=RATE)
    other.pending_tokens = 100
    derive(other, START)
    reserve(busy, uncached_tokens=500, kv_tokens=500, now=START, seen=False)
    assert chosen_id([busy, other], PREFIX, prompt_tokens=10) == "other"
    assert chosen_id([busy, other], PREFIX, prompt_tokens=10, now=START + 0.5) == "busy"


# A replica that has just become ready


def share_of_fresh(policy: PolicyName, age_s: float, requests: int = 120) -> float:
    """Of requests that stay inside, the share that a fresh replica among four gets."""
    replicas = fleet(4, prefill_tokens_per_s=1e9)
    replicas[0].fresh, replicas[0].ready_since = True, START - age_s
    derive(replicas[0], START)
    for seed in range(requests):
        view = chosen(replicas, policy, seed, session=b"s%d" % seed, crowding_s=0.01).replica
        assert view is not None
        reserve(view, uncached_tokens=1, kv_tokens=1, now=START, seen=True)
    return replicas[0].in_flight / requests


@pytest.mark.parametrize("policy", POLICIES)
def test_fresh_replica_gets_fewer_and_never_starves(policy: PolicyName) -> None:
    early, later, full = (share_of_fresh(policy, age_s) for age_s in (0.0, 5.0, 10.0))
    assert 0 < early < 0.1
    assert early < later < full
    assert full == pytest.approx(0.25, abs=0.08)


# Engines outside


def share_of_outside(replicas: list[ReplicaView], draws: int = 4000) -> float:
    rng = Random(5)
    return sum(chosen_id(replicas, LEAST, rng.getrandbits(32)) == "out" for _ in range(draws)) / draws


@pytest.mark.parametrize(("weight", "ours", "share"), [(1.0, 3, 1 / 4), (3.0, 1, 3 / 4), (0.5, 2, 1 / 5)])
def test_outside_engine_gets_its_share_by_weight_whatever_its_load(weight: float, ours: int, share: float) -> None:
    outside = replica("out", external=True, weight=weight, in_flight=30)
    # Four standard deviations of a draw of 4000.
    assert share_of_outside([*fleet(ours), outside]) == pytest.approx(
        share, abs=4 * (share * (1 - share) / 4000) ** 0.5
    )


def test_fallback_is_used_only_when_ours_have_no_room() -> None:
    ours, outside = fleet(2, limit=2), replica("out", external=True, fallback=True)
    assert share_of_outside([*ours, outside], 200) == 0
    ours[0].in_flight = 2
    derive(ours[0], START)
    assert share_of_outside([*ours, outside], 200) == 0
    ours[1].in_flight = 2
    derive(ours[1], START)
    assert share_of_outside([*ours, outside], 200) == 1


def test_fallback_is_used_only_when_weighted_engines_outside_have_no_room_either() -> None:
    weighted = replica("weighted", external=True, weight=0.1)
    outside = replica("out", external=True, fallback=True)
    assert share_of_outside([weighted, outside], 200) == 0


def test_fallback_is_used_when_ours_failed_this_request() -> None:
    outside = replica("out", external=True, fallback=True)
    assert chosen_id([*fleet(2), outside], LEAST, tried=("r0", "r1")) == "out"


# Fleets that are sampled

LARGE = 4 * EXHAUSTIVE_UP_TO


def test_cached_replica_is_found_among_many() -> None:
    replicas = fleet(LARGE)
    replicas[77].cache.insert(PROMPT)
    assert {chosen_id(replicas, PREFIX, seed, chain=PROMPT, prompt_tokens=2000) for seed in range(50)} == {"r77"}


@pytest.mark.parametrize("policy", POLICIES)
def test_last_room_is_found_among_many(policy: PolicyName) -> None:
    replicas = fleet(LARGE, limit=1, in_flight=1)
    replicas[100].in_flight = 0
    derive(replicas[100], START)
    for seed in range(50):
        assert chosen(replicas, policy, seed, session=b"s", chain=PROMPT).replica is replicas[100]


def test_many_are_loaded_evenly() -> None:
    replicas = fleet(LARGE)
    for seed in range(10 * LARGE):
        view = chosen(replicas, LEAST, seed).replica
        assert view is not None
        reserve(view, uncached_tokens=1, kv_tokens=1, now=START, seen=True)
    assert max(view.in_flight for view in replicas) <= 12


@pytest.mark.parametrize("policy", POLICIES)
def test_open_circuits_are_left_alone_among_many_while_there_is_another(policy: PolicyName) -> None:
    replicas = fleet(LARGE, circuit=open_circuit())
    replicas[5].circuit = Circuit()
    derive(replicas[5], START)
    assert {chosen_id(replicas, policy, seed, session=b"s") for seed in range(50)} == {"r5"}


def test_fallback_is_left_alone_among_many_while_one_of_ours_has_room() -> None:
    replicas = [*fleet(LARGE, limit=1, in_flight=1), replica("out", external=True, fallback=True)]
    replicas[5].in_flight = 0
    derive(replicas[5], START)
    assert {chosen_id(replicas, LEAST, seed) for seed in range(200)} == {"r5"}


def test_session_stays_on_its_replica_among_many() -> None:
    replicas = fleet(LARGE)
    assert len({chosen_id(replicas, SESSION, seed, session=b"s") for seed in range(50)}) == 1


def test_outside_engine_gets_its_share_by_weight_among_many() -> None:
    outside = replica("out", external=True, weight=LARGE / 2)
    assert share_of_outside([*fleet(LARGE), outside], 1500) == pytest.approx(1 / 3, abs=0.05)
