from typing import Any

import pytest

from orchestrator.status import catalog_entry, describe
from orchestrator.types import DeploymentState, ObservedState
from replicas.types import EngineKind, ReplicaState
from router.types import ModelStatus
from tests.unit.orchestrator.builders import application, deployment, endpoint, failure, node

STARTING = {"state": ReplicaState.STARTING, "detail": "loading the weights"}


@pytest.mark.parametrize(
    ("changes", "observed", "state", "reason"),
    [
        ({"replicas": 0}, {}, DeploymentState.STOPPED, "scaled to zero"),
        ({}, {"endpoints": (endpoint(),)}, DeploymentState.READY, "1 of 1"),
        ({"replicas": 2}, {"endpoints": (endpoint(),)}, DeploymentState.DEGRADED, "1 of 2"),
        ({"max_model_len": 512}, {"endpoints": (endpoint(),)}, DeploymentState.STARTING, "waiting for Ray"),
        (
            {"replicas": 2},
            {"endpoints": (endpoint(),), "failures": {"chat": failure()}},
            DeploymentState.DEGRADED,
            "no memory",
        ),
        ({}, {"failures": {"chat": failure(permanent=True)}}, DeploymentState.FAILED, "no memory"),
        ({}, {"failures": {"chat": failure(permanent=False)}}, DeploymentState.STARTING, "waiting for Ray"),
        (
            {},
            {"failures": {"chat": failure()}, "applications": {"chat": application(status="DEPLOY_FAILED")}},
            DeploymentState.FAILED,
            "no memory",
        ),
        (
            {"max_model_len": 512},
            {"failures": {"chat": failure(permanent=True)}},
            DeploymentState.STARTING,
            "waiting for Ray",
        ),
        ({}, {"endpoints": (endpoint(**STARTING),)}, DeploymentState.STARTING, "loading the weights"),
        ({}, {"nodes": (node(cpus_free=0),)}, DeploymentState.STARTING, "waiting for 1 CPUs on one node; free: 0"),
        (
            {"gpus_per_replica": 2},
            {"nodes": (node(gpus=2, gpus_free=1), node(id="n2", gpus=2, gpus_free=1))},
            DeploymentState.STARTING,
            "waiting for 2 GPUs on one node; free: 1 + 1",
        ),
        ({}, {"endpoints": (endpoint(state=ReplicaState.DRAINING),)}, DeploymentState.STARTING, "waiting for Ray"),
    ],
)
def test_describe_for_each_observation_says_state_and_reason(
    changes: dict[str, Any], observed: dict[str, Any], state: DeploymentState, reason: str
) -> None:
    status = describe(deployment(**changes), ObservedState(**observed), None, now=250.0)
    assert status.state is state
    assert reason in status.reason


def test_describe_of_a_start_counts_down_from_the_last_measured_start() -> None:
    observed = ObservedState(endpoints=(endpoint(**STARTING, started_at=100.0),))
    status = describe(deployment(), observed, 40.0, now=110.0)
    assert status.eta_s == pytest.approx(30.0)
    late = describe(deployment(), observed, 40.0, now=500.0)
    assert late.eta_s == 1.0


def test_catalog_entry_of_a_start_tells_clients_when_to_come_back() -> None:
    one = deployment()
    entry = catalog_entry(one, describe(one, ObservedState(), 33.0, now=100.0), None)
    assert (entry.status, entry.retry_after_s) == (ModelStatus.STARTING, 33)
    assert not entry.simulated


def test_catalog_entry_of_a_simulated_engine_says_so_loudly() -> None:
    one = deployment(engine=EngineKind.SIMULATED)
    entry = catalog_entry(one, describe(one, ObservedState(), None, now=100.0), None)
    assert entry.simulated
    assert "SIMULATED" in entry.description
