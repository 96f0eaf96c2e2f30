"""Desired × observed → actions. PURE.

Level-triggered: `plan` looks at states, never at events, so a lost event costs one tick of the loop. Planning
after a full apply plans nothing.
"""

import hashlib

import msgspec

from orchestrator.types import (
    Action,
    Deployment,
    DesiredState,
    ObservedState,
    ScaleApplication,
    StartApplication,
    StopApplication,
)
from replicas.types import ReplicaState

_GOING = "DELETING"
_GAVE_UP = "DEPLOY_FAILED"


def spec_digest(deployment: Deployment) -> str:
    """Eight hex digits that name everything for which a replica must be replaced.

    Not the number of replicas (Serve scales in place), and not the revision either: a replica asks at its start
    which revision is wanted, so that a crash after an in-place swap does not bring the old weights back. A change of
    revision that needs new processes raises `generation`.
    """
    # As the store gives it back: 0 and 0.0 must not be two specs.
    deployment = msgspec.json.decode(msgspec.json.encode(deployment), type=Deployment)
    parts = (
        deployment.engine,
        deployment.generation,
        deployment.gpus_per_replica,
        deployment.cpus_per_replica,
        deployment.max_model_len,
        deployment.engine_args,
        deployment.simulation,
        deployment.drain_deadline_s,
    )
    return hashlib.sha256(msgspec.json.encode(parts, order="sorted")).hexdigest()[:8]


def plan(desired: DesiredState, observed: ObservedState, now: float) -> tuple[Action, ...]:
    """The actions that bring `observed` to `desired`, stops first so that they free what starts need.

    `now` (Unix seconds) is there for rules with time in them; today's rules have none.
    """
    stops = [
        StopApplication(name=name, reason="no longer deployed")
        for name, application in observed.applications.items()
        if name not in desired.deployments and application.status != _GOING
    ]
    changes = [
        action
        for name, deployment in desired.deployments.items()
        if (action := _change(deployment, observed)) is not None
    ]
    return (*stops, *changes)


def _change(deployment: Deployment, observed: ObservedState) -> Action | None:
    application = observed.applications.get(deployment.name)
    digest = spec_digest(deployment)
    if is_hopeless(deployment, observed):
        if application is None or application.status == _GOING:
            return None
        return StopApplication(name=deployment.name, reason="its replicas say that trying again cannot help")
    if application is None:
        if deployment.replicas == 0:
            return None
        return StartApplication(deployment=deployment, spec_digest=digest, reason="not running yet")
    if application.status == _GOING:
        return None  # the name is free again in a later tick
    if deployment.replicas == 0:
        return StopApplication(name=deployment.name, reason="scaled to zero")
    if application.status == _GAVE_UP and deployment.name not in observed.failures:
        # Deployed again, or the reason has aged out: Serve tries again only from a new application.
        return StopApplication(name=deployment.name, reason="Serve gave up on it; it is started afresh")
    if application.spec_digest != digest:
        return StartApplication(deployment=deployment, spec_digest=digest, reason="its settings changed")
    if application.target_replicas != deployment.replicas:
        return ScaleApplication(
            name=deployment.name,
            spec_digest=digest,
            replicas=deployment.replicas,
            reason=f"{application.target_replicas} → {deployment.replicas} replicas",
        )
    return None


def is_hopeless(deployment: Deployment, observed: ObservedState) -> bool:
    """Whether a replica of this very spec failed for good, and none of it serves.

    Serve would try again and again; what would help is a change of the deployment, or deploying it again after the
    cause is mended: both clear the verdict.
    """
    digest = spec_digest(deployment)
    failure = observed.failures.get(deployment.name)
    if failure is None or not failure.permanent or failure.spec_digest != digest:
        return False
    return not any(
        endpoint.deployment == deployment.name
        and endpoint.spec_digest == digest
        and endpoint.state is ReplicaState.READY
        for endpoint in observed.endpoints
    )
