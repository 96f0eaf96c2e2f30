import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.placement import Room, fits, gpus_for, place, room_of, take, victims, why_not
from orchestrator.types import Need, Placement
from replicas.types import EngineLoad, ReplicaState
from tests.unit.orchestrator.builders import endpoint, node


def room(address: str = "a", **changes: Any) -> Room:
    values: dict[str, Any] = {"cpus": 8.0, "gpus": (1.0, 1.0)}
    return Room(address=address, **(values | changes))


@pytest.mark.parametrize(
    ("need", "rooms", "placement", "chosen"),
    [
        (Need(gpus=1), (room("a", replicas=1), room("b")), Placement.SPREAD, "b"),
        (Need(gpus=1), (room("a", replicas=1), room("b")), Placement.PACK, "a"),
        (Need(gpus=1), (room("a"), room("b", gpus=(1.0,))), Placement.SPREAD, "b"),  # the tighter fit
        (Need(gpus=2), (room("a", gpus=(1.0, 0.5)), room("b")), Placement.PACK, "b"),
        (Need(gpus=2), (room("a", gpus=(1.0,)), room("b", gpus=(1.0,))), Placement.SPREAD, None),
        (Need(gpus=0.5), (room("a", gpus=(1.0,)), room("b", gpus=(0.5,))), Placement.SPREAD, "b"),
        (Need(gpus=0.5), (room("a", gpus=(0.4, 0.4)),), Placement.SPREAD, None),
        (Need(cpus=4), (room("a", cpus=2.0), room("b", cpus=4.0)), Placement.PACK, "b"),
        (Need(), (room("a", cordoned=True), room("b")), Placement.SPREAD, "b"),
        (Need(labels={"gpu": "4090d"}), (room("a"), room("b", labels={"gpu": "4090d"})), Placement.PACK, "b"),
        (Need(), (), Placement.SPREAD, None),
    ],
)
def test_place_takes_the_room_that_fits_best(
    need: Need, rooms: tuple[Room, ...], placement: Placement, chosen: str | None
) -> None:
    found = place(need, rooms, placement)
    assert (found.address if found else None) == chosen


@pytest.mark.parametrize(
    ("need", "rooms", "words"),
    [
        (Need(gpus=2), (room("a", gpus=(1.0, 0.0)), room("b", gpus=(1.0,))), "needs 2 GPUs on one node; free: 1 + 1"),
        (Need(gpus=0.5), (room("a", gpus=(0.25, 0.25)),), "needs 0.5 GPU; free: 0.5"),
        (Need(gpus=1), (room("a", gpus=()),), "needs 1 GPU; free: 0"),
        (Need(cpus=4), (room("a", cpus=2.0), room("b", cpus=0.0)), "needs 4 CPUs on one node; free: 2 + 0"),
        (Need(), (room("a", cordoned=True),), "every node that could take a replica is cordoned"),
        (Need(labels={"gpu": "4090d"}), (room("a"),), "needs a node labelled gpu=4090d; there is none"),
    ],
)
def test_why_not_says_what_is_missing(need: Need, rooms: tuple[Room, ...], words: str) -> None:
    assert words in str(why_not(need, rooms))


NEEDS = st.builds(Need, cpus=st.sampled_from([0.0, 1.0, 2.0]), gpus=st.sampled_from([0.0, 0.25, 0.5, 1.0, 2.0]))


@given(st.integers(0, 4), st.lists(NEEDS, max_size=12), st.sampled_from(Placement))
def test_rooms_that_are_filled_never_hold_more_than_there_is(
    gpus: int, needs: list[Need], placement: Placement
) -> None:
    rooms = {
        name: room_of(node(address=name, gpus=float(gpus)), [], cordoned=False, replicas=0, sleepers={})
        for name in "ab"
    }
    taken: dict[str, list[Need]] = {"a": [], "b": []}
    for need in needs:
        found = place(need, tuple(rooms.values()), placement)
        if found is None:
            assert not any(fits(need, each) for each in rooms.values())
            continue
        chosen = gpus_for(need, found)
        assert chosen is not None
        rooms[found.address] = take(found, need, chosen)
        taken[found.address].append(need)
    for name, each in rooms.items():
        assert all(-1e-6 <= share <= 1 for share in each.gpus)
        assert math.isclose(gpus - sum(each.gpus), sum(need.gpus for need in taken[name]), abs_tol=1e-6)
        assert each.cpus >= -1e-6


def test_victims_are_those_whose_end_costs_least() -> None:
    replicas = {
        "busy": endpoint(number=1, in_flight=9),
        "warm": endpoint(number=2, load=EngineLoad(kv_usage=0.5)),
        "old": endpoint(number=3, started_at=1.0),
        "young": endpoint(number=4, started_at=2.0),
        "cordoned": endpoint(number=5, state=ReplicaState.CORDONED, in_flight=20),
        "starting": endpoint(number=6, state=ReplicaState.STARTING),
        "unseen": None,
    }
    order = ("unseen", "starting", "cordoned", "young", "old", "warm", "busy")
    assert [victims(replicas, count) for count in range(8)] == [order[:count] for count in range(8)]
