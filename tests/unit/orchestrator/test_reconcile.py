from typing import Any

import pytest
from msgspec import structs

from orchestrator.application_names import NamedApplication, application_name, parse_application
from orchestrator.reconcile import plan, spec_digest
from orchestrator.types import (
    Action,
    Deployment,
    DesiredState,
    Need,
    ObservedApplication,
    ObservedState,
    StartApplication,
    StopApplication,
)
from router.types import PolicyName, RoutingSettings
from tests.unit.orchestrator.builders import application, deployment, endpoint, failure, node, outside


def kinds(desired: list[Any], observed: list[ObservedApplication]) -> list[str]:
    actions = plan(
        DesiredState(deployments={each.name: each for each in desired}),
        ObservedState(applications={each.name: each for each in observed}, nodes=(node(),)),
        now=0.0,
    )
    return [type(action).__name__ for action in actions]


SAME = spec_digest(deployment())
RUNS = application_name("chat", SAME, 0)
RUNNING = {RUNS: application(digest=SAME)}


@pytest.mark.parametrize(
    ("desired", "observed", "expected"),
    [
        ([], [], []),
        ([deployment()], [], ["StartApplication"]),
        ([deployment()], [application(digest=SAME)], []),
        ([deployment(replicas=3)], [application(digest=SAME)], ["StartApplication", "StartApplication"]),
        ([deployment()], [application(digest=SAME), application(digest=SAME, slot=1)], ["StopApplication"]),
        ([deployment()], [application(digest=SAME, node="10.0.0.9")], ["StopApplication", "StartApplication"]),
        ([deployment(gpus_per_replica=1.0)], [], []),
        ([deployment()], [application(digest="ffffffff")], ["StopApplication", "StartApplication"]),
        ([deployment(surge=True)], [application(digest="ffffffff")], ["StartApplication"]),
        ([deployment(replicas=0, surge=True)], [application(digest="ffffffff")], ["StopApplication"]),
        ([deployment(replicas=0)], [], []),
        ([deployment(replicas=0, engine=None, external=(outside(),))], [], []),
        ([deployment(replicas=0, engine=None, external=(outside(),))], [application(digest=SAME)], ["StopApplication"]),
        ([deployment(routing=RoutingSettings(max_in_flight=1))], [application(digest=SAME)], []),
        ([deployment(external=(outside(),))], [application(digest=SAME)], []),
        ([deployment(replicas=0)], [application(digest=SAME)], ["StopApplication"]),
        ([deployment(replicas=0)], [application(digest=SAME, status="DELETING")], []),
        ([deployment()], [application(digest=SAME, status="DELETING")], ["StartApplication"]),
        ([deployment()], [application(digest=SAME, status="DEPLOY_FAILED")], ["StopApplication", "StartApplication"]),
        ([], [application(digest=SAME)], ["StopApplication"]),
        ([], [application(digest=SAME, status="DELETING")], []),
        ([deployment("new")], [application("old", SAME)], ["StopApplication", "StartApplication"]),
    ],
)
def test_plan_for_each_difference_takes_the_one_action_that_mends_it(
    desired: list[Any], observed: list[ObservedApplication], expected: list[str]
) -> None:
    assert kinds(desired, observed) == expected


@pytest.mark.parametrize(
    ("field", "value", "replaces"),
    [
        ("replicas", 5, False),
        ("revision", "sha256:b", False),
        ("updated_at", 999.0, False),
        ("routing", RoutingSettings(policy=PolicyName.LEAST_LOADED, queue_requests=1), False),
        ("external", (outside(key="secret"),), False),
        ("generation", 2, True),
        ("gpus_per_replica", 1.0, True),
        ("max_model_len", 512, True),
        ("engine_args", {"max_num_seqs": 4}, True),
    ],
)
def test_spec_digest_after_a_change_differs_only_if_replicas_must_be_replaced(
    field: str, value: Any, replaces: bool
) -> None:
    changed = structs.replace(deployment(), **{field: value})
    assert (spec_digest(changed) != SAME) is replaces


@pytest.mark.parametrize(
    ("observed", "expected"),
    [
        ({"applications": RUNNING}, ["StopApplication"]),
        ({"applications": {RUNS: application(digest=SAME, status="DELETING")}}, []),
        ({}, []),
        ({"applications": RUNNING, "endpoints": (endpoint(),)}, []),
    ],
)
def test_plan_after_a_permanent_failure_stops_trying_unless_a_replica_serves(
    observed: dict[str, Any], expected: list[str]
) -> None:
    desired = DesiredState(deployments={"chat": deployment()})
    told = ObservedState(failures={"chat": failure(permanent=True)}, **observed)
    assert [type(action).__name__ for action in plan(desired, told, 0.0)] == expected


def test_plan_after_a_permanent_failure_tries_again_once_the_deployment_is_changed() -> None:
    desired = DesiredState(deployments={"chat": deployment(max_model_len=512)})
    told = ObservedState(failures={"chat": failure(permanent=True)}, nodes=(node(),))
    assert [type(action).__name__ for action in plan(desired, told, 0.0)] == ["StartApplication"]


def test_spec_digest_before_and_after_the_store_is_the_same_for_whole_numbers_too() -> None:
    assert spec_digest(deployment(gpus_per_replica=1, drain_deadline_s=5)) == spec_digest(
        deployment(gpus_per_replica=1.0, drain_deadline_s=5.0)
    )


def planned(desired: Deployment, *observed: ObservedApplication, **more: Any) -> tuple[Action, ...]:
    told = {"nodes": (node(),)} | more
    return plan(
        DesiredState(deployments={desired.name: desired}),
        ObservedState(applications={each.name: each for each in observed}, **told),
        now=0.0,
    )


def test_plan_of_more_replicas_takes_free_slots_and_says_where() -> None:
    running = application(digest=SAME, slot=1)
    going = application(digest=SAME, slot=0, status="DELETING")
    starts = planned(deployment(replicas=3), running, going)
    assert [(each.slot, each.node) for each in starts if isinstance(each, StartApplication)] == [
        (2, "127.0.0.1"),
        (3, "127.0.0.1"),
    ]


def test_plan_of_fewer_replicas_ends_the_one_with_least_to_do() -> None:
    busy, idle = application(digest=SAME, slot=0), application(digest=SAME, slot=1)
    endpoints = (
        endpoint(number=1, application=busy.name, in_flight=5),
        endpoint(number=2, application=idle.name, in_flight=1),
    )
    stop = StopApplication(name=idle.name, reason="2 → 1 replicas")
    assert planned(deployment(), busy, idle, endpoints=endpoints) == (stop,)


def test_plan_without_room_waits_and_in_a_cluster_that_grows_starts_anywhere() -> None:
    wanted = deployment(gpus_per_replica=2.0)
    observed = ObservedState(nodes=(node(gpus=1.0), node(id="n2", address="10.0.0.2", gpus=1.0)))
    fixed = DesiredState(deployments={"chat": wanted})
    assert plan(fixed, observed, 0.0) == ()
    (start,) = plan(structs.replace(fixed, can_grow=True), observed, 0.0)
    assert isinstance(start, StartApplication)
    assert (start.node, start.reason) == ("", "the cluster must grow: a replica needs 2 GPUs on one node; free: 1 + 1")


def test_plan_on_a_cordoned_node_starts_nothing_and_ends_nothing() -> None:
    desired = DesiredState(deployments={"chat": deployment(replicas=2)}, cordoned_nodes=frozenset({"127.0.0.1"}))
    assert plan(desired, ObservedState(applications=RUNNING, nodes=(node(),)), 0.0) == ()


FAR = "10.0.0.2"


def drained(*applications: ObservedApplication, replicas: int = 1, **more: Any) -> list[tuple[str, str]]:
    """What is planned while the first of two nodes is drained: what is done, and to which application or where."""
    desired = DesiredState(deployments={"chat": deployment(replicas=replicas)}, drained_nodes=frozenset({"127.0.0.1"}))
    told = {"nodes": (node(), node(id="n2", address=FAR))} | more
    observed = ObservedState(applications={each.name: each for each in applications}, **told)
    return [
        ("start", each.node) if isinstance(each, StartApplication) else ("stop", each.name)
        for each in plan(desired, observed, 0.0)
    ]


def test_plan_of_a_drained_node_moves_a_replica_and_ends_it_once_the_other_is_ready() -> None:
    old, new = application(digest=SAME), application(digest=SAME, slot=1, node=FAR)
    assert drained(old) == [("start", FAR)]
    serving = endpoint(number=1, application=old.name)
    assert drained(old, new, endpoints=(serving,)) == []
    both = (serving, endpoint(number=2, application=new.name))
    assert drained(old, new, endpoints=both) == [("stop", old.name)]
    assert drained(new, endpoints=both[1:]) == []


def test_plan_of_a_drained_node_without_room_elsewhere_ends_its_replicas() -> None:
    old = application(digest=SAME)
    assert drained(old, nodes=(node(),)) == [("stop", old.name)]
    assert drained(nodes=(node(),)) == []


def test_plan_of_a_drained_node_waits_for_room_that_is_about_to_be_free() -> None:
    old = application(digest=SAME)
    going = application("other", "x", node=FAR, status="DELETING", need=Need(cpus=8.0))
    assert drained(old, going, nodes=(node(), node(id="n2", address=FAR))) == []


def test_plan_of_a_drained_node_moves_also_what_ray_has_placed_by_itself() -> None:
    old = application(digest=SAME, node="")
    serving = (endpoint(number=1, application=old.name, host="127.0.0.1"),)
    assert drained(old, endpoints=serving) == [("start", FAR)]


def test_plan_takes_two_nodes_of_one_address_for_one_machine() -> None:
    desired = DesiredState(deployments={"chat": deployment(replicas=4)})
    observed = ObservedState(nodes=(node(cpus=2.0), node(id="n2", cpus=2.0)))
    assert len(plan(desired, observed, 0.0)) == 4


def test_plan_sees_which_gpus_replicas_hold() -> None:
    """A half of each of two GPUs is taken: a whole one is free on the other node alone."""
    halves = [application("half", "x", slot, node="127.0.0.1", need=Need(gpus=0.5)) for slot in range(2)]
    desired = DesiredState(
        deployments={
            "half": deployment("half", replicas=0),
            "chat": deployment(gpus_per_replica=1.0),
        }
    )
    observed = ObservedState(
        applications={each.name: each for each in halves},
        endpoints=tuple(endpoint("half", slot, application=halves[slot].name, gpus=(str(slot),)) for slot in range(2)),
        nodes=(node(gpus=2.0), node(id="n2", address=FAR, gpus=2.0)),
    )
    starts = [each for each in plan(desired, observed, 0.0) if isinstance(each, StartApplication)]
    assert [each.node for each in starts] == [FAR]


def test_plan_of_a_drained_node_moves_as_many_as_there_is_room_for() -> None:
    old = [application(digest=SAME, slot=slot) for slot in range(3)]
    room_for_two = (node(), node(id="n2", address=FAR, cpus=2.0))
    planned_now = drained(*old, replicas=3, nodes=room_for_two)
    assert sorted(kind for kind, _ in planned_now) == ["start", "start", "stop"]


def test_plan_of_two_deployments_does_not_give_the_same_gpu_twice() -> None:
    desired = DesiredState(
        deployments={name: deployment(name, gpus_per_replica=1.0) for name in ("chat", "code", "more")}
    )
    starts = plan(desired, ObservedState(nodes=(node(gpus=1.0), node(id="n2", address="10.0.0.2", gpus=1.0))), 0.0)
    assert [each.node for each in starts if isinstance(each, StartApplication)] == ["10.0.0.2", "127.0.0.1"]


def test_application_name_is_read_back_and_a_foreign_one_does_no_harm() -> None:
    assert parse_application(application_name("chat", SAME, 12)) == NamedApplication(
        deployment="chat", spec_digest=SAME, slot=12
    )
    need = Need(cpus=2.0, gpus=0.25)
    assert parse_application(
        application_name("chat", SAME, 3, node="fd00::2", need=need, gpus=(0, 5))
    ) == NamedApplication(deployment="chat", spec_digest=SAME, slot=3, node="fd00::2", need=need, gpus=(0, 5))
    for foreign in ("somebody-elses", "chat~x", "chat~x~1~host", "chat~x~1~host~a~b~c"):
        assert parse_application(foreign) == NamedApplication(deployment=foreign.partition("~")[0])


def test_actions_are_distinct_types_when_encoded() -> None:
    assert {each.__struct_config__.tag for each in (StartApplication, StopApplication)} == {
        "StartApplication", "StopApplication",
    }  # fmt: skip
