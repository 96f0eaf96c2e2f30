from typing import Any

import pytest
from msgspec import structs

from orchestrator.reconcile import application_name, plan, spec_digest
from orchestrator.types import (
    DesiredState,
    ObservedApplication,
    ObservedState,
    ScaleApplication,
    StartApplication,
    StopApplication,
)
from router.types import PolicyName, RoutingSettings
from tests.unit.orchestrator.builders import application, deployment, endpoint, failure, outside


def kinds(desired: list[Any], observed: list[ObservedApplication]) -> list[str]:
    actions = plan(
        DesiredState(deployments={each.name: each for each in desired}),
        ObservedState(applications={each.name: each for each in observed}),
        now=0.0,
    )
    return [type(action).__name__ for action in actions]


SAME = spec_digest(deployment())
RUNS = application_name("chat", SAME)
RUNNING = {RUNS: application(digest=SAME)}


@pytest.mark.parametrize(
    ("desired", "observed", "expected"),
    [
        ([], [], []),
        ([deployment()], [], ["StartApplication"]),
        ([deployment()], [application(digest=SAME)], []),
        ([deployment(replicas=3)], [application(digest=SAME)], ["ScaleApplication"]),
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
        ([deployment()], [application(digest=SAME, status="DELETING")], []),
        ([deployment()], [application(digest=SAME, status="DEPLOY_FAILED")], ["StopApplication"]),
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
    told = ObservedState(failures={"chat": failure(permanent=True)})
    assert [type(action).__name__ for action in plan(desired, told, 0.0)] == ["StartApplication"]


def test_spec_digest_before_and_after_the_store_is_the_same_for_whole_numbers_too() -> None:
    assert spec_digest(deployment(gpus_per_replica=1, drain_deadline_s=5)) == spec_digest(
        deployment(gpus_per_replica=1.0, drain_deadline_s=5.0)
    )


def test_plan_of_a_scale_names_the_running_spec_and_both_numbers() -> None:
    (action,) = plan(
        DesiredState(deployments={"chat": deployment(replicas=3)}),
        ObservedState(applications=RUNNING),
        now=0.0,
    )
    assert action == ScaleApplication(name=RUNS, replicas=3, reason="1 → 3 replicas")


def test_actions_are_distinct_types_when_encoded() -> None:
    assert {each.__struct_config__.tag for each in (StartApplication, ScaleApplication, StopApplication)} == {
        "StartApplication", "ScaleApplication", "StopApplication",
    }  # fmt: skip
