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
    ObservedApplication,
    ObservedState,
    ScaleApplication,
    StartApplication,
    StopApplication,
)
from replicas.types import ReplicaState

_GOING = "DELETING"
_OF = "~"
"""Between a deployment's name and its spec's digest in the name of a Serve application; in no deployment's name."""
GAVE_UP = "DEPLOY_FAILED"
"""Status of an application whose replicas Serve does not start any more."""


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


def application_name(deployment: str, digest: str) -> str:
    """Each spec of a deployment has an application of its own, so that two can run side by side."""
    return f"{deployment}{_OF}{digest}"


def deployment_and_digest(application: str) -> tuple[str, str]:
    """What the name of an application says."""
    name, _, digest = application.partition(_OF)
    return name, digest


def plan(desired: DesiredState, observed: ObservedState, now: float) -> tuple[Action, ...]:
    """The actions that bring `observed` to `desired`, stops first so that they free what starts need.

    `now` (Unix seconds) is there for rules with time in them; today's rules have none.
    """
    stops = [
        StopApplication(name=application.name, reason=reason)
        for application in observed.applications.values()
        if application.status != _GOING and (reason := _superfluous(application, desired, observed))
    ]
    changes = [
        action
        for name, deployment in desired.deployments.items()
        if (action := _change(deployment, observed)) is not None
    ]
    return (*stops, *changes)


def _superfluous(application: ObservedApplication, desired: DesiredState, observed: ObservedState) -> str:
    """Why an application is not wanted any more, or nothing."""
    deployment = desired.deployments.get(application.deployment)
    if deployment is None:
        return "no longer deployed"
    if application.spec_digest == spec_digest(deployment):
        return ""
    if deployment.surge and deployment.replicas and not _is_carried(deployment, observed):
        return ""
    return "its settings changed"


def _is_carried(deployment: Deployment, observed: ObservedState) -> bool:
    """Whether as many replicas of the newest spec are ready as there shall be."""
    digest = spec_digest(deployment)
    ready = sum(
        endpoint.deployment == deployment.name
        and endpoint.spec_digest == digest
        and endpoint.state is ReplicaState.READY
        for endpoint in observed.endpoints
    )
    return ready >= deployment.replicas


def _change(deployment: Deployment, observed: ObservedState) -> Action | None:
    digest = spec_digest(deployment)
    name = application_name(deployment.name, digest)
    application = observed.applications.get(name)
    if is_hopeless(deployment, observed):
        if application is None or application.status == _GOING:
            return None
        return StopApplication(name=name, reason="its replicas say that trying again cannot help")
    if application is None:
        if deployment.replicas == 0:
            return None
        return StartApplication(deployment=deployment, spec_digest=digest, reason="not running yet")
    if application.status == _GOING:
        return None  # the name is free again in a later tick
    if deployment.replicas == 0:
        return StopApplication(name=name, reason="scaled to zero")
    if application.status == GAVE_UP and deployment.name not in observed.failures:
        # Deployed again, or the reason has aged out: Serve tries again only from a new application.
        return StopApplication(name=name, reason="Serve gave up on it; it is started afresh")
    if application.target_replicas != deployment.replicas:
        return ScaleApplication(
            name=name,
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
    if failure is None or not failure.permanent:
        return False
    if (failure.spec_digest, failure.revision) != (digest, deployment.revision):
        return False
    return not any(
        endpoint.deployment == deployment.name
        and endpoint.spec_digest == digest
        and endpoint.state is ReplicaState.READY
        for endpoint in observed.endpoints
    )
