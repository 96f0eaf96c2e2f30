from typing import Any

import pytest

from orchestrator.application_names import application_name
from orchestrator.reconcile import plan, spec_digest
from orchestrator.sentences import Saying, say
from orchestrator.sharing import Ask, divide
from orchestrator.sleep import WAKE_S, StartTimes, beyond_bounds
from orchestrator.status import describe
from orchestrator.types import (
    Deployment,
    DeploymentState,
    DesiredState,
    ObservedApplication,
    ObservedNode,
    ObservedState,
    SleepReplica,
    StartApplication,
    StopApplication,
    WakeReplica,
)
from orchestrator.views import node_views
from replicas.doing import Doing
from replicas.types import Endpoint, ReplicaState
from tests.unit.orchestrator.builders import application, endpoint, node
from tests.unit.orchestrator.builders import deployment as any_deployment
from tests.unit.orchestrator.test_sharing import SCALED

ASLEEP, READY, DRAINING = ReplicaState.ASLEEP, ReplicaState.READY, ReplicaState.DRAINING
STARTING, CORDONED = ReplicaState.STARTING, ReplicaState.CORDONED
ONE_GPU = node(gpus=1.0, memory_bytes=100)


def deployment(name: str = "chat", **changes: Any) -> Deployment:
    return any_deployment(name, **({"gpus_per_replica": 1.0, "sleep_mode": True} | changes))


def app(one: Deployment, slot: int = 0, gpus: tuple[int, ...] = (0,), **changes: Any) -> ObservedApplication:
    given: dict[str, Any] = {"need": one.need, "gpus": gpus}
    return application(one.name, spec_digest(one), slot, **(given | changes))


def name(one: Deployment, slot: int = 0, gpus: tuple[int, ...] = (0,)) -> str:
    return app(one, slot, gpus).name


def replica(of: ObservedApplication, state: ReplicaState = READY, **changes: Any) -> Endpoint:
    told = {"spec_digest": of.spec_digest, "application": of.name, "state": state, "sleep_bytes": 20}
    return endpoint(of.deployment, of.slot, **(told | changes))


def seen(*pairs: tuple[ObservedApplication, Endpoint | None], nodes: tuple[ObservedNode, ...] = (ONE_GPU,)) -> Any:
    return ObservedState(
        applications={each.name: each for each, _ in pairs},
        endpoints=tuple(each for _, each in pairs if each is not None),
        nodes=nodes,
    )


def planned(
    *wanted: Deployment,
    there: ObservedState,
    cordoned: frozenset[str] = frozenset(),
    drained: frozenset[str] = frozenset(),
) -> list[tuple[str, str]]:
    """Kind and application of each action."""
    desired = DesiredState(
        deployments={each.name: each for each in wanted}, cordoned_nodes=cordoned, drained_nodes=drained
    )
    return [
        (type(each).__name__, each.deployment.name if isinstance(each, StartApplication) else each.name)
        for each in plan(desired, there, 0.0)
    ]


CHAT, IDLE = deployment(), deployment(replicas=0)
SLEEP, STOP = [("SleepReplica", name(CHAT))], [("StopApplication", name(CHAT))]


@pytest.mark.parametrize(
    ("wanted", "of", "told", "expected"),
    [
        (IDLE, {}, {}, SLEEP),
        (IDLE, {}, {"state": DRAINING}, SLEEP),  # it falls asleep, or hears it once more
        (IDLE, {}, {"state": STARTING}, SLEEP),  # it wakes: it has been asked before
        (IDLE, {}, {"state": STARTING, "port": 0}, STOP),
        (IDLE, {}, {"state": CORDONED}, STOP),
        (IDLE, {}, {"state": ASLEEP}, []),
        (IDLE, {}, {"sleep_bytes": None}, STOP),
        (IDLE, {}, {"sleep_bytes": 51}, STOP),  # more than half of the node's memory
        (IDLE, {}, {"revision": "sha256:b"}, STOP),
        (IDLE, {}, {"revision": "sha256:b", "state": ASLEEP}, STOP),
        (IDLE, {"gpus": ()}, {}, [("StopApplication", name(CHAT, gpus=()))]),  # Ray would not give its GPUs to others
        (IDLE, {"status": "DELETING"}, {}, []),
        (CHAT, {}, {}, []),
        (CHAT, {}, {"state": ASLEEP}, [("WakeReplica", name(CHAT))]),
        (CHAT, {}, {"state": DRAINING}, []),  # it is woken once it sleeps
    ],
)
def test_plan_of_one_replica_that_may_sleep(
    wanted: Deployment, of: dict[str, Any], told: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    one = app(CHAT, **of)
    assert planned(wanted, there=seen((one, replica(one, **told)))) == expected


def test_plan_starts_another_model_only_once_the_first_has_given_its_gpu_up() -> None:
    one, other = app(CHAT), deployment("other")
    assert planned(IDLE, other, there=seen((one, replica(one)))) == SLEEP
    assert planned(IDLE, other, there=seen((one, replica(one, DRAINING)))) == SLEEP
    assert planned(IDLE, other, there=seen((one, replica(one, ASLEEP)))) == [("StartApplication", "other")]


def test_plan_wakes_on_its_own_gpu_alone_and_starts_where_that_is_taken() -> None:
    other = deployment("other")
    sleeper, awake = app(CHAT), app(other)
    there = ((sleeper, replica(sleeper, ASLEEP)), (awake, replica(awake)))
    assert planned(CHAT, other, there=seen(*there)) == []
    two_gpus = (node(gpus=2.0, memory_bytes=100),)
    assert planned(CHAT, other, there=seen(*there, nodes=two_gpus)) == [("StartApplication", "chat")]
    free = (node(gpus=2.0, memory_bytes=100, cpus=1.0),)
    assert planned(CHAT, other, there=seen(*there, nodes=free)) == [], "no CPU is left for it"


def test_plan_leaves_gpus_to_those_that_sleep_on_them_while_there_are_others() -> None:
    sleeper, other = app(CHAT), deployment("other")
    there = seen((sleeper, replica(sleeper, ASLEEP)), nodes=(node(gpus=2.0, memory_bytes=100),))
    actions = plan(DesiredState(deployments={"other": other, "chat": IDLE}), there, 0.0)
    assert [each.gpus for each in actions if isinstance(each, StartApplication)] == [(1,)]


def test_plan_in_a_cluster_that_grows_leaves_gpus_to_ray() -> None:
    desired = DesiredState(deployments={"chat": deployment(sleep_mode=False)}, can_grow=True)
    (start,) = plan(desired, seen(), 0.0)
    assert isinstance(start, StartApplication)
    assert (start.node, start.gpus) == ("127.0.0.1", ())


@pytest.mark.parametrize("closed", ["cordoned", "drained"])
def test_plan_for_a_node_that_is_closed_wakes_nothing_there(closed: str) -> None:
    sleeper = app(CHAT)
    there = seen((sleeper, replica(sleeper, ASLEEP)))
    expected = STOP if closed == "drained" else []
    assert planned(CHAT, there=there, **{closed: frozenset({"127.0.0.1"})}) == expected


@pytest.mark.parametrize(
    "wanted",
    [
        [],
        [deployment(replicas=0, max_model_len=512)],
        [deployment(replicas=0, sleep_mode=False)],
        [deployment(replicas=1, generation=2, surge=True)],
    ],
)
def test_plan_stops_what_sleeps_for_nothing(wanted: list[Deployment]) -> None:
    sleeper = app(CHAT)
    assert STOP[0] in planned(*wanted, there=seen((sleeper, replica(sleeper, ASLEEP))))


def test_plan_stops_a_replica_that_died_in_its_sleep_and_came_back_on_a_gpu_that_is_in_use() -> None:
    other = deployment("other")
    back, awake = app(CHAT), app(other)
    there = seen((back, replica(back, STARTING, port=0)), (awake, replica(awake)))
    assert planned(CHAT, other, there=there) == STOP


def test_plan_with_no_memory_for_another_sleeper_stops_the_one_that_slept_longest() -> None:
    apps = [app(deployment(each, replicas=0), gpus=(number,)) for number, each in enumerate("abc")]
    old = replica(apps[0], ASLEEP, sleep_bytes=30, state_since=1.0)
    newer = replica(apps[1], ASLEEP, sleep_bytes=25, state_since=2.0)
    there = seen(
        (apps[0], old), (apps[1], newer), (apps[2], replica(apps[2], sleep_bytes=25)),
        nodes=(node(gpus=3.0, memory_bytes=100),),
    )  # fmt: skip
    wanted = [deployment(each, replicas=0) for each in "abc"]
    assert planned(*wanted, there=there) == [("StopApplication", apps[0].name), ("SleepReplica", apps[2].name)]


def test_replica_that_has_slept_and_woken_still_has_its_memory() -> None:
    other, tired = app(CHAT), app(deployment("tired"), gpus=(1,))
    for told, over in (({}, set()), ({"epoch": 1}, {tired.name}), ({"state": DRAINING}, {tired.name})):
        given: dict[str, Any] = {"sleep_bytes": 30, **told}
        there = seen((other, replica(other, **given)), (tired, replica(tired, sleep_bytes=30)))
        assert beyond_bounds([tired.name], there) == over, "one that falls asleep although it is wanted has it, too"


def test_sleepers_on_one_gpu_are_two_at_most() -> None:
    apps = [app(deployment(each)) for each in "abc"]
    there = seen(*((each, replica(each, ASLEEP, state_since=number)) for number, each in enumerate(apps)))
    assert beyond_bounds([each.name for each in apps], there) == {apps[0].name}


def test_shares_count_no_sleeper_and_take_one_that_falls_asleep_for_room_to_come() -> None:
    idle, busy = deployment("idle", scaling=SCALED, replicas=0), deployment("busy", scaling=SCALED, replicas=0)
    asks = [Ask(deployment=each, wanted=int(each is busy), needed=1, cold_start_s=3.0) for each in (idle, busy)]
    desired, one = DesiredState(deployments={"idle": idle, "busy": busy}), app(idle)
    for state, said in ((ASLEEP, None), (DRAINING, say(Saying.ROOM_IS_MADE))):
        found = divide(asks, desired, seen((one, replica(one, state))), 1000.0)
        assert (found["busy"].replicas, found["busy"].shortage) == (1, said)


def test_time_left_is_that_of_waking_while_one_sleeps_or_wakes() -> None:
    times, one = StartTimes({"chat": 60.0}, {"chat": 2.0}), app(CHAT)
    assert times.next_s(CHAT, seen((one, replica(one, ASLEEP)))) == 2.0
    assert times.next_s(CHAT, seen((one, replica(one, STARTING)))) == 2.0
    assert times.next_s(CHAT, seen((one, replica(one)))) == 60.0
    assert StartTimes({"chat": 60.0}, {}).next_s(CHAT, seen((one, replica(one, ASLEEP)))) == WAKE_S
    assert times.again_s(CHAT) == 2.0
    assert times.again_s(deployment(sleep_mode=False)) == 60.0
    assert StartTimes({}, {}).again_s(CHAT) is None


def test_describe_of_a_model_that_sleeps_says_what_waking_takes() -> None:
    one, idle = app(CHAT), deployment(replicas=0, scaling=SCALED)
    status = describe(idle, DesiredState(deployments={"chat": idle}), seen((one, replica(one, ASLEEP))), 2.0, 500.0)
    assert (status.state, status.eta_s) == (DeploymentState.ASLEEP, 2.0)
    assert "wakes it" in str(status.reason)
    waking = replica(one, STARTING, started_at=1.0, state_since=499.0, detail=Doing.WAKING_UP)
    status = describe(CHAT, DesiredState(deployments={"chat": CHAT}), seen((one, waking)), 4.0, 500.0)
    assert (status.state, str(status.reason), status.eta_s) == (DeploymentState.STARTING, "Waking up", 3.0)


def test_describe_of_a_model_that_can_wake_names_no_shortage() -> None:
    one, other = app(CHAT), deployment("other")
    small = (node(gpus=1.0, memory_bytes=100, cpus=1.0),)
    there = seen((one, replica(one, ASLEEP)), nodes=small)
    desired = DesiredState(deployments={"chat": CHAT, "other": other})
    assert "waiting for Ray" in str(describe(CHAT, desired, there, None, 0.0).reason)
    taken = app(other)
    there = seen((one, replica(one, ASLEEP)), (taken, replica(taken)), nodes=small)
    assert "free: 0" in str(describe(CHAT, desired, there, None, 0.0).reason)


def test_node_shows_the_gpus_of_sleepers_as_free() -> None:
    one, two = app(CHAT), app(CHAT, slot=1, gpus=(1,))
    there = seen((one, replica(one, ASLEEP)), (two, replica(two)), nodes=(node(gpus=2.0, cpus=4.0),))
    (view,) = node_views(there, (), ())
    assert (view.gpus_free, view.cpus_free) == (1.0, 3.0)


def test_actions_of_sleep_have_tags_of_their_own() -> None:
    actions = (StopApplication, SleepReplica, WakeReplica)
    assert len({each.__struct_config__.tag for each in actions}) == 3
    assert application_name("chat", "d", 0) == "chat~d~0"
