"""How GPUs are divided, situation by situation."""

from collections.abc import Sequence
from typing import Any

import pytest

from orchestrator.scaling.allocate import allocate
from orchestrator.scaling.room import Allocation, GpuNode, PlacedReplica, Wish
from orchestrator.sentences import Saying, say
from replicas.types import ReplicaState

READY, STARTING, DRAINING = ReplicaState.READY, ReplicaState.STARTING, ReplicaState.DRAINING


def nodes(*gpus: int) -> list[GpuNode]:
    return [GpuNode(id=f"n{number}", gpus=(1.0,) * count) for number, count in enumerate(gpus)]


def replica(name: str, gpus: Sequence[int] = (0,), node: str = "n0", state: ReplicaState = READY) -> PlacedReplica:
    return PlacedReplica(
        replica_id=name, state=state, node_id=node, gpus=tuple(gpus), ready_at=0.0 if state is READY else None
    )


def wish(name: str, wanted: int, *replicas: PlacedReplica, needed: int | None = None, **more: Any) -> Wish:
    fields = {"min_replicas": 0, "cold_start_s": 30.0, **more}
    return Wish(
        deployment=name, wanted=wanted, needed=wanted if needed is None else needed, replicas=replicas, **fields
    )


def drained(allocation: Allocation) -> list[str]:
    return [each.replica_id for each in allocation.drains]


def started(allocation: Allocation) -> list[str]:
    return [each.deployment for each in allocation.starts]


def test_everybody_gets_what_there_is_room_for() -> None:
    allocation = allocate([wish("a", 1), wish("b", 2)], nodes(2, 2), 0)
    assert sorted(started(allocation)) == ["a", "b", "b"]
    assert {name: grant.replicas for name, grant in allocation.grants.items()} == {"a": 1, "b": 2}
    assert not allocation.gpus_wanted


@pytest.mark.parametrize(
    ("gpus", "there", "says"),
    [
        (2.0, [replica("x", [0]), replica("y", [0], "n1")], "a replica needs 2 GPUs on one node; free: 1 + 1"),
        (4.0, [], "a replica needs 4 GPUs on one node; the largest has 2"),
        (1.0, [replica(f"x{at}", [at % 2], f"n{at // 2}") for at in range(4)], "a replica needs 1 GPU; free: 0 + 0"),
    ],
)
def test_what_cannot_be_placed_says_why(gpus: float, there: list[PlacedReplica], says: str) -> None:
    holder = wish("a", len(there), *there, priority=1)
    allocation = allocate([holder, wish("b", 1, gpus_per_replica=gpus)], nodes(2, 2), 0)
    assert str(allocation.grants["b"].reason) == says
    assert allocation.gpus_wanted == gpus


def test_labels_and_cordons_are_honoured() -> None:
    big = GpuNode(id="big", gpus=(1.0,), labels={"card": "big"})
    shut = GpuNode(id="shut", gpus=(1.0,), labels={"card": "shut"}, cordoned=True)
    allocation = allocate([wish("a", 2, labels={"card": "big"}), wish("b", 1, labels={"card": "shut"})], [big, shut], 0)
    assert [(each.deployment, each.place.node_id) for each in allocation.starts] == [("a", "big")]
    assert allocation.grants["b"].reason == say(Saying.ALL_CORDONED)


def test_two_halves_share_a_gpu_and_leave_the_other_whole() -> None:
    allocation = allocate([wish("a", 2, gpus_per_replica=0.5)], nodes(2), 0)
    assert [each.place.gpus for each in allocation.starts] == [(0,), (0,)]


@pytest.mark.parametrize(("spread", "found"), [(False, ["n0", "n0"]), (True, ["n0", "n1"])])
def test_replicas_are_packed_or_spread(spread: bool, found: list[str]) -> None:
    allocation = allocate([wish("a", 2, spread=spread)], nodes(2, 2), 0)
    assert sorted(each.place.node_id for each in allocation.starts) == found


def test_idle_model_gives_its_room_to_a_busy_one_and_drains_first() -> None:
    idle, busy = wish("idle", 1, replica("i"), needed=0), wish("busy", 1, waiting_since=99.0)
    allocation = allocate([idle, busy], nodes(1), 100)
    assert drained(allocation) == ["i"]
    assert not allocation.starts, "its GPU is not free yet"
    assert allocation.grants["busy"].awaited == 1
    draining = wish("idle", 0, replica("i", state=DRAINING))
    waiting = allocate([draining, busy], nodes(1), 101)
    assert (drained(waiting), started(waiting), waiting.grants["busy"].awaited) == ([], [], 1)
    assert started(allocate([wish("idle", 0), busy], nodes(1), 102)) == ["busy"]


def test_model_that_has_only_just_started_gives_no_room_even_if_it_is_idle() -> None:
    idle, busy = wish("idle", 1, replica("i"), needed=0), wish("busy", 1, waiting_since=9.0)
    assert drained(allocate([idle, busy], nodes(1), 29)) == []
    assert drained(allocate([idle, busy], nodes(1), 30)) == ["i"]


def test_equals_on_one_gpu_take_turns_of_two_cold_starts() -> None:
    holder, other = wish("a", 1, replica("a1"), waiting_since=50.0), wish("b", 1, waiting_since=1.0)
    assert drained(allocate([holder, other], nodes(1), 59)) == []
    assert drained(allocate([holder, other], nodes(1), 60)) == ["a1"]


def test_turn_does_not_end_while_nobody_waits_for_it() -> None:
    holder, other = wish("a", 1, replica("a1")), wish("b", 1)
    assert drained(allocate([holder, other], nodes(1), 10_000)) == []


def test_one_that_waits_longest_is_next() -> None:
    wishes = [wish("a", 1), wish("b", 1, waiting_since=20.0), wish("c", 1, waiting_since=10.0)]
    assert started(allocate(wishes, nodes(1), 100)) == ["c"]


def test_higher_priority_takes_what_it_needs_after_the_minimum_residence() -> None:
    low = wish("low", 2, replica("l1", [0]), replica("l2", [1]))
    high = wish("high", 2, priority=5, waiting_since=1.0)
    assert drained(allocate([low, high], nodes(2), 10)) == []
    assert sorted(drained(allocate([low, high], nodes(2), 31))) == ["l1", "l2"]


def test_minimum_is_kept_against_a_higher_priority() -> None:
    low = wish("low", 2, replica("l1", [0]), replica("l2", [1]), min_replicas=1)
    assert len(drained(allocate([low, wish("high", 2, priority=5, waiting_since=1.0)], nodes(2), 1000))) == 1


def test_shares_follow_weights() -> None:
    allocation = allocate([wish("a", 6, weight=2.0), wish("b", 6)], nodes(6), 0)
    assert {name: grant.replicas for name, grant in allocation.grants.items()} == {"a": 4, "b": 2}


def test_newcomer_gets_its_share_of_what_another_has_and_no_more() -> None:
    holder = wish("a", 4, *(replica(f"a{at}", [at]) for at in range(4)))
    allocation = allocate([holder, wish("b", 4, waiting_since=1.0)], nodes(4), 1000)
    assert len(drained(allocation)) == 2
    assert allocation.grants["b"].awaited == 2


def test_room_is_taken_where_the_least_is_lost() -> None:
    busy = PlacedReplica(replica_id="busy", state=READY, node_id="n0", gpus=(0,), ready_at=0.0, in_flight=9)
    calm = PlacedReplica(replica_id="calm", state=READY, node_id="n1", gpus=(0,), ready_at=0.0, in_flight=1)
    high = wish("high", 1, priority=1, waiting_since=1.0)
    assert drained(allocate([wish("a", 2, busy, calm), high], nodes(1, 1), 100)) == ["calm"]


def test_no_more_is_taken_than_is_needed() -> None:
    low = wish("low", 3, *(replica(f"l{at}", [at]) for at in range(3)))
    high = wish("high", 1, priority=1, gpus_per_replica=2.0, waiting_since=1.0)
    assert len(drained(allocate([low, high], nodes(3), 100))) == 2


def test_what_is_too_much_drains_cordoned_first() -> None:
    cordoned = replica("c", [1], state=ReplicaState.CORDONED)
    assert drained(allocate([wish("a", 1, replica("r"), cordoned)], nodes(2), 0)) == ["c"]


def test_a_place_that_is_spoken_for_is_not_given_away() -> None:
    large = wish("large", 1, gpus_per_replica=2.0, priority=1, waiting_since=1.0)
    leaving = wish("gone", 0, replica("g", [0], state=DRAINING))
    allocation = allocate([large, leaving, wish("small", 1)], nodes(2), 0)
    assert started(allocation) == []
    assert allocation.grants["large"].awaited == 1
