"""What there is of a deployment, as a swap looks at it. PURE."""

from collections.abc import Iterable, Mapping, Sequence

from msgspec import structs

from orchestrator.canary import beside, name_beside
from orchestrator.load import total_canary
from orchestrator.reconcile import gave_up, spec_digest
from orchestrator.sentences import Saying, Sentence, heard, say
from orchestrator.swap import Seen
from orchestrator.swap_strategy import has_spare
from orchestrator.types import Deployment, ObservedState
from replicas.types import Endpoint, ReplicaFailure, ReplicaState
from router.types import RouterReport


def seen_of(
    deployment: Deployment,
    endpoints: Sequence[Endpoint],
    failures: Mapping[str, ReplicaFailure],
    observed: ObservedState,
) -> Seen:
    """Without what only a swap with a canary wants to know. `endpoints`, `failures`: newer than `observed`."""
    digest = spec_digest(deployment)
    # Those that sleep are no matter: they end once other weights are active.
    mine = [each for each in endpoints if each.deployment == deployment.name and each.state is not ReplicaState.ASLEEP]
    return Seen(
        active=deployment.revision,
        generation=deployment.generation,
        wanted_replicas=deployment.replicas,
        endpoints=tuple(each for each in mine if each.spec_digest == digest),
        outgoing=sum(each.spec_digest != digest and each.state is ReplicaState.READY for each in mine),
        failure=_why_not_started(deployment, failures, observed),
        canary=deployment.canary,
    )


def with_canary(
    seen: Seen,
    deployment: Deployment,
    endpoints: Sequence[Endpoint],
    failures: Mapping[str, ReplicaFailure],
    observed: ObservedState,
    reports: Iterable[RouterReport],
    closed: frozenset[str],
) -> Seen:
    """`seen`, and what there is of the deployment's canary and how it fares. `closed`: nodes that take nothing new."""
    own, canary = beside(deployment), deployment.canary
    name, digest = name_beside(deployment.name), None if own is None else spec_digest(own)
    return structs.replace(
        seen,
        # Those that end are still there when no more are wanted.
        beside=tuple(each for each in endpoints if each.deployment == name and digest in (None, each.spec_digest)),
        beside_failure=None if own is None else _why_not_started(own, failures, observed),
        counts=total_canary(reports, deployment.name, canary.id) if canary is not None and canary.id else None,
        spare=has_spare(deployment, observed, closed),
    )


def _why_not_started(
    deployment: Deployment, failures: Mapping[str, ReplicaFailure], observed: ObservedState
) -> Sentence | None:
    """Why its replicas do not start, once nobody tries any more; else None."""
    stuck = gave_up(deployment, observed)
    failure = failures.get(deployment.name)
    wanted = (spec_digest(deployment), deployment.revision)
    if failure is not None and (failure.spec_digest, failure.revision) == wanted and (failure.permanent or stuck):
        return heard(failure.reason)
    return say(Saying.SERVE_GAVE_THEM_UP) if stuck else None
