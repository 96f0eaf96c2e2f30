"""What people and clients are told of a deployment. PURE."""

from orchestrator.reconcile import application_name, spec_digest
from orchestrator.types import Deployment, DeploymentState, DeploymentStatus, Model, ObservedState
from replicas.types import Endpoint, EngineKind, ReplicaState
from router.types import CatalogEntry, ModelStatus

_DEFAULT_START_S: dict[EngineKind | None, float] = {EngineKind.VLLM: 60.0, EngineKind.SIMULATED: 6.0, None: 0.0}

_STATUS_OF = {
    DeploymentState.STARTING: ModelStatus.STARTING,
    DeploymentState.READY: ModelStatus.READY,
    DeploymentState.DEGRADED: ModelStatus.READY,
    DeploymentState.SWAPPING: ModelStatus.SWAPPING,
    DeploymentState.STOPPED: ModelStatus.STOPPED,
    DeploymentState.FAILED: ModelStatus.FAILED,
}


def describe(deployment: Deployment, observed: ObservedState, start_s: float | None, now: float) -> DeploymentStatus:
    """The state of `deployment` in one word and one sentence.

    `start_s` is what the last start of such an engine took, in seconds; None before the first.
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
    state, reason = _state_and_reason(deployment, observed, ready, starting, swapping)
    eta_s = None
    if state is DeploymentState.STARTING:
        expected_s = start_s if start_s is not None else _DEFAULT_START_S[deployment.engine]
        since = min((endpoint.started_at for endpoint in starting), default=now)
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
    deployment: Deployment, observed: ObservedState, ready: int, starting: list[Endpoint], swapping: list[Endpoint]
) -> tuple[DeploymentState, str]:
    """Ordered early returns: what serves comes first, then what failed, then what is on its way."""
    wanted = deployment.replicas
    if wanted == 0:
        return _without_replicas(deployment)
    if ready >= wanted:
        return DeploymentState.READY, f"{ready} of {wanted} replicas ready"
    failure = observed.failures.get(deployment.name)
    if failure is not None and (failure.spec_digest, failure.revision) != (
        spec_digest(deployment),
        deployment.revision,
    ):
        failure = None  # of what was wanted before
    application = observed.applications.get(application_name(deployment.name, spec_digest(deployment)))
    gave_up = application is not None and application.status == "DEPLOY_FAILED"
    if swapping and not ready:
        return DeploymentState.SWAPPING, _swap_in_words(swapping[0])
    if ready:
        why = f": {failure.reason}" if failure else ""
        return DeploymentState.DEGRADED, f"{ready} of {wanted} replicas ready{why}"
    if failure is not None and (failure.permanent or gave_up):
        return DeploymentState.FAILED, failure.reason
    if gave_up and application is not None:
        return DeploymentState.FAILED, application.message or "Ray Serve gave up starting it; see the replica's log"
    if starting:
        return DeploymentState.STARTING, starting[0].detail or "the engine is starting"
    shortage = _shortage(deployment, observed)
    if shortage:
        return DeploymentState.STARTING, shortage
    return DeploymentState.STARTING, "waiting for Ray to start the replica"


def _without_replicas(deployment: Deployment) -> tuple[DeploymentState, str]:
    if deployment.external:
        return DeploymentState.READY, f"served outside by {_urls(deployment)}"
    return DeploymentState.STOPPED, "scaled to zero; scale it up to serve it"


def _swap_in_words(endpoint: Endpoint) -> str:
    told = endpoint.swap.detail if endpoint.swap else ""
    return f"other weights are being loaded, requests wait{f' ({told.lower()})' if told else ''}"


def _shortage(deployment: Deployment, observed: ObservedState) -> str:
    """Why no node can take a replica, or nothing."""
    alive = [node for node in observed.nodes if node.alive]
    if not alive:
        return ""
    if deployment.gpus_per_replica > 0:
        if any(node.gpus_free >= deployment.gpus_per_replica for node in alive):
            return ""
        free = " + ".join(f"{node.gpus_free:g}" for node in alive)
        return f"waiting for {deployment.gpus_per_replica:g} GPUs on one node; free: {free}"
    if any(node.cpus_free >= deployment.cpus_per_replica for node in alive):
        return ""
    free = " + ".join(f"{node.cpus_free:g}" for node in alive)
    return f"waiting for {deployment.cpus_per_replica:g} CPUs on one node; free: {free}"


def reason_for_admins(deployment: Deployment, status: DeploymentStatus) -> str:
    """The reason, and who serves meanwhile where our own replicas do not. URLs of engines are not for clients."""
    if not deployment.external or status.ready_replicas or not deployment.replicas:
        return status.reason
    return f"{status.reason.rstrip('.')}. Meanwhile requests go to {_urls(deployment)}"


def _urls(deployment: Deployment) -> str:
    return ", ".join(engine.url for engine in deployment.external)


def _made_for(deployment: Deployment, model: Model | None) -> int | None:
    """The context length in tokens that the weights were made for."""
    revision = model.find(deployment.revision) if model else None
    return revision.facts.max_model_len if revision and revision.facts else None


def catalog_entry(deployment: Deployment, status: DeploymentStatus, model: Model | None) -> CatalogEntry:
    """What routers and clients are told of this deployment.

    With an engine outside it counts as ready whatever our own replicas do: routers ask that engine themselves, and
    tell clients that the model is ready only while somebody answers.
    """
    simulated = deployment.engine is EngineKind.SIMULATED
    context = status.max_model_len or _made_for(deployment, model)
    return CatalogEntry(
        name=deployment.name,
        created=int(deployment.created_at),
        status=ModelStatus.READY if deployment.external else _STATUS_OF[status.state],
        detail="" if status.state is DeploymentState.READY else status.reason,
        revision=deployment.revision,
        max_model_len=context,
        description="SIMULATED ENGINE: answers are made up, no model is running" if simulated else "",
        simulated=simulated,
        retry_after_s=int(status.eta_s or 10),
        routing=deployment.routing,
        external=deployment.external,
    )
