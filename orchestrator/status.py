"""What people and clients are told of a deployment. PURE."""

from collections.abc import Iterable

from msgspec import structs

from orchestrator.canary import split_of
from orchestrator.library.verification.facts import ModelFacts
from orchestrator.placement import place, why_not
from orchestrator.reconcile import applications_of, gave_up, sleepers_of, spec_digest, wakes
from orchestrator.rooms import GOING, free_rooms
from orchestrator.sentences import Saying, Sentence, heard, say
from orchestrator.types import Deployment, DeploymentState, DeploymentStatus, DesiredState, Model, ObservedState
from replicas.types import Endpoint, EngineKind, ReplicaState
from router.types import CatalogEntry, ModelStatus

_DEFAULT_START_S: dict[EngineKind | None, float] = {EngineKind.VLLM: 60.0, EngineKind.SIMULATED: 6.0, None: 0.0}

_STATUS_OF = {
    DeploymentState.STARTING: ModelStatus.STARTING,
    DeploymentState.READY: ModelStatus.READY,
    DeploymentState.DEGRADED: ModelStatus.READY,
    DeploymentState.SWAPPING: ModelStatus.SWAPPING,
    DeploymentState.ASLEEP: ModelStatus.ASLEEP,
    DeploymentState.STOPPED: ModelStatus.STOPPED,
    DeploymentState.FAILED: ModelStatus.FAILED,
}


def describe(
    deployment: Deployment, desired: DesiredState, observed: ObservedState, start_s: float | None, now: float
) -> DeploymentStatus:
    """The state of `deployment`, one of `desired`, in one word and one sentence.

    `start_s` is what the last start of such an engine took, or waking it where one sleeps, in seconds; None before the
    first.
    """
    digest = spec_digest(deployment)
    mine = [
        endpoint
        for endpoint in observed.endpoints
        if endpoint.deployment == deployment.name and endpoint.spec_digest == digest
    ]
    ready = sum(endpoint.state is ReplicaState.READY for endpoint in mine)
    starting = [endpoint for endpoint in mine if endpoint.state is ReplicaState.STARTING]
    swapping = [endpoint for endpoint in mine if endpoint.state is ReplicaState.CORDONED]
    shortage = None if ready >= deployment.replicas else _shortage(deployment, desired, observed)
    state, reason = _state_and_reason(deployment, observed, shortage, ready, starting, swapping)
    eta_s = None
    if state in (DeploymentState.STARTING, DeploymentState.ASLEEP):
        expected_s = start_s if start_s is not None else _DEFAULT_START_S[deployment.engine]
        since = min((endpoint.state_since for endpoint in starting), default=now)
        if starting or not (deployment.shortage or shortage):
            eta_s = max(1.0, expected_s - (now - since))
    served = next((endpoint.max_model_len for endpoint in mine if endpoint.max_model_len), None)
    return DeploymentStatus(
        state=state,
        reason=reason,
        ready_replicas=ready,
        starting_replicas=len(starting),
        eta_s=eta_s,
        described_at=deployment.updated_at,
        max_model_len=served or deployment.max_model_len,
    )


def _state_and_reason(
    deployment: Deployment,
    observed: ObservedState,
    shortage: Sentence | None,
    ready: int,
    starting: list[Endpoint],
    swapping: list[Endpoint],
) -> tuple[DeploymentState, Sentence]:
    """Ordered early returns: what serves comes first, then what failed, then what is on its way."""
    wanted = deployment.replicas
    if wanted == 0:
        return _without_replicas(deployment, observed)
    if ready >= wanted:
        return DeploymentState.READY, say(Saying.REPLICAS_READY, ready=ready, wanted=wanted)
    failure = observed.failures.get(deployment.name)
    if failure is not None and (failure.spec_digest, failure.revision) != (
        spec_digest(deployment),
        deployment.revision,
    ):
        failure = None  # of what was wanted before
    stuck = gave_up(deployment, observed)
    if swapping and not ready:
        return DeploymentState.SWAPPING, _swap_in_words(swapping[0])
    if ready:
        why = heard(failure.reason) if failure else shortage
        if why is None:
            return DeploymentState.DEGRADED, say(Saying.REPLICAS_READY, ready=ready, wanted=wanted)
        return DeploymentState.DEGRADED, say(Saying.REPLICAS_READY_BUT, ready=ready, wanted=wanted, why=why)
    if failure is not None and (failure.permanent or stuck):
        return DeploymentState.FAILED, heard(failure.reason)
    if stuck:
        told = next((each.message for each in applications_of(deployment, observed) if each.message), "")
        return DeploymentState.FAILED, say(Saying.RAY_SAYS, said=told) if told else say(Saying.SERVE_GAVE_UP)
    if starting:
        doing = starting[0].detail
        return DeploymentState.STARTING, heard(doing) if doing else say(Saying.ENGINE_STARTS)
    return DeploymentState.STARTING, shortage or say(Saying.WAITS_FOR_RAY)


def _without_replicas(deployment: Deployment, observed: ObservedState) -> tuple[DeploymentState, Sentence]:
    if deployment.external:
        return DeploymentState.READY, say(Saying.SERVED_OUTSIDE, urls=_urls(deployment))
    if deployment.shortage:
        return DeploymentState.STARTING, say(Saying.WAITS_FOR_ROOM, why=deployment.shortage)
    if deployment.may_sleep and deployment.override is None:
        in_memory = sleepers_of(deployment, observed)
        return DeploymentState.ASLEEP, say(Saying.ASLEEP_IN_MEMORY if in_memory else Saying.ASLEEP)
    return DeploymentState.STOPPED, say(Saying.STOPPED)


def _swap_in_words(endpoint: Endpoint) -> Sentence:
    told = endpoint.swap.detail if endpoint.swap else ""
    return say(Saying.SWAPPING_NOW, doing=heard(told)) if told else say(Saying.SWAPPING)


def _shortage(deployment: Deployment, desired: DesiredState, observed: ObservedState) -> Sentence | None:
    """Why no node can take a replica that is missing, or None."""
    if len(applications_of(deployment, observed)) >= deployment.replicas:
        return None
    # Room that is about to be free counts.
    later = {name: each for name, each in observed.applications.items() if each.status != GOING}
    observed = structs.replace(observed, applications=later)
    rooms = tuple(free_rooms(deployment, desired, observed).values())
    if not rooms or place(deployment.need, rooms, deployment.placement) is not None:
        return None
    if any(wakes(deployment, desired, observed)):
        return None
    return why_not(deployment.need, rooms)


def reason_for_admins(deployment: Deployment, status: DeploymentStatus) -> Sentence:
    """The reason, and who serves meanwhile where our own replicas do not. URLs of engines are not for clients."""
    if not deployment.external or status.ready_replicas or not deployment.replicas:
        return status.reason
    return say(Saying.MEANWHILE_OUTSIDE, reason=status.reason, urls=_urls(deployment))


def _urls(deployment: Deployment) -> str:
    return ", ".join(engine.url for engine in deployment.external)


def _facts(deployment: Deployment, model: Model | None) -> ModelFacts | None:
    revision = model.find(deployment.revision) if model else None
    return revision.facts if revision else None


def catalog_entry(
    deployment: Deployment, status: DeploymentStatus, model: Model | None, cordoned: Iterable[Endpoint] = ()
) -> CatalogEntry:
    """What routers and clients are told of this deployment. `cordoned`: replicas, of any, that an admin cordoned.

    With an engine outside it counts as ready whatever our own replicas do: routers ask that engine themselves, and
    tell clients that the model is ready only while somebody answers.
    """
    simulated = deployment.engine is EngineKind.SIMULATED
    facts = _facts(deployment, model)
    # Until a replica says what it serves, what the weights were made for.
    context = status.max_model_len or (facts.max_model_len if facts else None)
    return CatalogEntry(
        name=deployment.name,
        created=int(deployment.created_at),
        status=ModelStatus.READY if deployment.external else _STATUS_OF[status.state],
        detail="" if status.state is DeploymentState.READY else str(status.reason),
        revision=deployment.revision,
        max_model_len=context,
        description="SIMULATED ENGINE: answers are made up, no model is running" if simulated else "",
        simulated=simulated,
        images=facts is not None and facts.sees_images,
        retry_after_s=int(status.eta_s or 10),
        routing=deployment.routing,
        cordoned=tuple(sorted(each.replica_id for each in cordoned if each.model == deployment.name)),
        external=deployment.external,
        canary=split_of(deployment),
    )
