from typing import Any

import pytest

from orchestrator.library.verification.facts import ModelFacts
from orchestrator.reconcile import spec_digest
from orchestrator.status import catalog_entry, describe, reason_for_admins
from orchestrator.types import (
    Deployment,
    DeploymentState,
    DeploymentStatus,
    DesiredState,
    Model,
    ModelState,
    Need,
    ObservedState,
    Revision,
)
from replicas.types import EngineKind, ReplicaState
from router.types import ModelStatus, PolicyName, RoutingSettings
from tests.unit.orchestrator.builders import application, deployment, endpoint, failure, node, outside

_STUCK = application(digest=spec_digest(deployment()), status="DEPLOY_FAILED")
GAVE_UP = {_STUCK.name: _STUCK}
_FULL = application("other", node="127.0.0.1", need=Need(cpus=8, gpus=1))

STARTING: dict[str, Any] = {"state": ReplicaState.STARTING, "detail": "loading the weights"}


def described(one: Deployment, observed: ObservedState, start_s: float | None, now: float) -> DeploymentStatus:
    return describe(one, DesiredState(deployments={one.name: one}), observed, start_s, now)


@pytest.mark.parametrize(
    ("changes", "observed", "state", "reason"),
    [
        ({"replicas": 0}, {}, DeploymentState.STOPPED, "scaled to zero"),
        (
            {"replicas": 0, "external": (outside(), outside("near", url="http://10.0.0.9:8000/v1"))},
            {},
            DeploymentState.READY,
            "served outside by https://far.example/v1, http://10.0.0.9:8000/v1",
        ),
        ({"replicas": 0, "engine": None, "external": (outside(),)}, {}, DeploymentState.READY, "served outside by"),
        ({"external": (outside(),)}, {}, DeploymentState.STARTING, "waiting for Ray"),
        (
            {"external": (outside(),)},
            {"failures": {"chat": failure(permanent=True)}},
            DeploymentState.FAILED,
            "no memory",
        ),
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
            {"failures": {"chat": failure()}, "applications": GAVE_UP},
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
        (
            {},
            {"nodes": (node(),), "applications": {_FULL.name: _FULL}},
            DeploymentState.STARTING,
            "a replica needs 1 CPUs on one node; free: 0",
        ),
        (
            {"replicas": 2},
            {"nodes": (node(),), "applications": {_FULL.name: _FULL}, "endpoints": (endpoint(),)},
            DeploymentState.DEGRADED,
            "1 of 2 replicas ready: a replica needs 1 CPUs on one node; free: 0",
        ),
        (
            {"gpus_per_replica": 2},
            {"nodes": (node(gpus=2), node(id="n2", address="n2", gpus=1)), "applications": {_FULL.name: _FULL}},
            DeploymentState.STARTING,
            "a replica needs 2 GPUs on one node; free: 1 + 1",
        ),
        ({}, {"endpoints": (endpoint(state=ReplicaState.DRAINING),)}, DeploymentState.STARTING, "waiting for Ray"),
    ],
)
def test_describe_for_each_observation_says_state_and_reason(
    changes: dict[str, Any], observed: dict[str, Any], state: DeploymentState, reason: str
) -> None:
    status = described(deployment(**changes), ObservedState(**observed), None, now=250.0)
    assert status.state is state
    assert reason in str(status.reason)


def test_describe_of_a_start_counts_down_from_the_last_measured_start() -> None:
    observed = ObservedState(endpoints=(endpoint(**STARTING, state_since=100.0),))
    status = described(deployment(), observed, 40.0, now=110.0)
    assert status.eta_s == pytest.approx(30.0)
    late = described(deployment(), observed, 40.0, now=500.0)
    assert late.eta_s == 1.0


def test_catalog_entry_of_a_start_tells_clients_when_to_come_back() -> None:
    one = deployment()
    entry = catalog_entry(one, described(one, ObservedState(), 33.0, now=100.0), None)
    assert (entry.status, entry.retry_after_s) == (ModelStatus.STARTING, 33)
    assert not entry.simulated


def test_catalog_entry_of_a_simulated_engine_says_so_loudly() -> None:
    one = deployment(engine=EngineKind.SIMULATED)
    entry = catalog_entry(one, described(one, ObservedState(), None, now=100.0), None)
    assert entry.simulated
    assert "SIMULATED" in entry.description


@pytest.mark.parametrize(
    ("changes", "observed", "status"),
    [
        ({"replicas": 0}, {}, ModelStatus.READY),
        ({"replicas": 0, "engine": None}, {}, ModelStatus.READY),
        ({}, {}, ModelStatus.READY),
        ({}, {"failures": {"chat": failure(permanent=True)}}, ModelStatus.READY),
    ],
)
def test_catalog_entry_with_an_engine_outside_is_ready_whatever_our_own_replicas_do(
    changes: dict[str, Any], observed: dict[str, Any], status: ModelStatus
) -> None:
    engine = outside(key="secret")
    one = deployment(external=(engine,), **changes)
    entry = catalog_entry(one, described(one, ObservedState(**observed), None, now=100.0), None)
    assert entry.status is status
    assert entry.external == (engine,)
    assert engine.url not in entry.detail, "where it runs is not for clients"


@pytest.mark.parametrize("sees_images", [False, True])
def test_catalog_entry_says_whether_the_weights_take_pictures(sees_images: bool) -> None:
    facts = ModelFacts(
        architecture="A", task="generate", max_model_len=4096, weights_bytes=1, parameters=1, dtype="BF16",
        dtype_bytes=2, tensors=1, sees_images=sees_images,
    )  # fmt: skip
    one = deployment()
    revision = Revision(
        digest=one.revision, arrival="a", source="upload", state=ModelState.READY, created_at=0.0, facts=facts
    )
    model = Model(name=one.model, created_at=0.0, revisions=(revision,))
    entry = catalog_entry(one, described(one, ObservedState(), None, now=100.0), model)
    assert (entry.images, entry.max_model_len) == (sees_images, 4096)


def test_catalog_entry_carries_the_routing_settings() -> None:
    one = deployment(routing=RoutingSettings(policy=PolicyName.POWER_OF_TWO, max_in_flight=3))
    entry = catalog_entry(one, described(one, ObservedState(), None, now=100.0), None)
    assert entry.routing == one.routing


@pytest.mark.parametrize(
    ("changes", "observed", "reason"),
    [
        ({}, {}, "waiting for Ray to start the replica"),
        (
            {"external": (outside(),)},
            {"failures": {"chat": failure(permanent=True, reason="No memory.")}},
            "No memory. Meanwhile requests go to https://far.example/v1",
        ),
        ({"external": (outside(),)}, {"endpoints": (endpoint(),)}, "1 of 1 replicas ready"),
        ({"external": (outside(),), "replicas": 0}, {}, "served outside by https://far.example/v1"),
    ],
)
def test_reason_for_admins_says_who_serves_while_no_replica_of_ours_does(
    changes: dict[str, Any], observed: dict[str, Any], reason: str
) -> None:
    one = deployment(**changes)
    assert str(reason_for_admins(one, described(one, ObservedState(**observed), None, now=100.0))) == reason
