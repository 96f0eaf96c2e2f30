"""The replicas that a canary has of its own, beside those of its deployment. PURE."""

from math import ceil
from zlib import crc32

from msgspec import structs

from orchestrator.types import Deployment, DesiredState
from router.types import Canary

_BESIDE = "+canary"
"""After a deployment's name; in no deployment's name."""


def name_beside(deployment: str) -> str:
    """Under which a canary's own replicas run."""
    return deployment + _BESIDE


def beside(deployment: Deployment) -> Deployment | None:
    """The canary's own replicas as a deployment: other weights under the same public name. None: it has none."""
    canary = deployment.canary
    if canary is None or not canary.replicas:
        return None
    return structs.replace(
        deployment,
        name=name_beside(deployment.name),
        revision=canary.weights.revision,
        weights_path=canary.weights.path,
        # That the deployment's own changes is no reason to start them again; another revision on trial is.
        generation=crc32(canary.weights.revision.encode()),
        surge=False,
        replicas=canary.replicas,
        external=(),
        canary=None,
    )


def with_canaries(desired: DesiredState) -> DesiredState:
    """All that shall run."""
    more = {each.name: each for deployment in desired.deployments.values() if (each := beside(deployment)) is not None}
    return structs.replace(desired, deployments={**desired.deployments, **more}) if more else desired


def split_of(deployment: Deployment) -> Canary | None:
    """What routers are told of its canary."""
    canary = deployment.canary
    return None if canary is None else Canary(id=canary.id, revision=canary.weights.revision, share=canary.share)


def replicas_for(share: float, replicas: int) -> int:
    """How many carry a `share` (0 to 1) of what `replicas` carry; one at least."""
    return max(1, ceil(share * replicas - 1e-9))
