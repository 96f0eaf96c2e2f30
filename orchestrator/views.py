"""From records to what the API shows."""

from collections.abc import Iterable, Mapping

from orchestrator.api.schemas import (
    CatalogView,
    DeploymentView,
    KeyView,
    ModelView,
    NodeView,
    ProgressView,
    ReplicaView,
)
from orchestrator.types import Deployment, DeploymentState, DeploymentStatus, Model, ObservedNode, Progress
from replicas.types import Endpoint
from router.types import CatalogEntry, Credential

_UNSEEN = DeploymentStatus(
    state=DeploymentState.STARTING, reason="just deployed", ready_replicas=0, starting_replicas=0
)


def model_view(model: Model, deployments: Iterable[Deployment]) -> ModelView:
    return ModelView(
        name=model.name,
        source=model.source,
        state=model.state.value,
        reason=model.reason,
        revision=model.revision,
        size_bytes=model.size_bytes,
        architecture=model.architecture,
        max_model_len=model.max_model_len,
        created_at=model.created_at,
        progress=progress_view(model.progress) if model.progress else None,
        deployments=[each.name for each in deployments if each.model == model.name],
    )


def progress_view(progress: Progress) -> ProgressView:
    return ProgressView(
        phase=progress.phase, done=progress.done, total=progress.total, unit=progress.unit, eta_s=progress.eta_s
    )


def deployment_view(deployment: Deployment, statuses: Mapping[str, DeploymentStatus]) -> DeploymentView:
    status = statuses.get(deployment.name, _UNSEEN)
    if status.described_at != deployment.updated_at:
        status = _UNSEEN  # the loop has not looked at the change yet
    return DeploymentView(
        name=deployment.name,
        model=deployment.model,
        engine=deployment.engine.value,
        revision=deployment.revision,
        state=status.state.value,
        reason=status.reason,
        eta_s=None if status.eta_s is None else round(status.eta_s),
        replicas=deployment.replicas,
        ready_replicas=status.ready_replicas,
        starting_replicas=status.starting_replicas,
        gpus_per_replica=deployment.gpus_per_replica,
        max_model_len=status.max_model_len,
        engine_args=deployment.engine_args,
        drain_deadline_s=deployment.drain_deadline_s,
        created_at=deployment.created_at,
        updated_at=deployment.updated_at,
    )


def replica_view(endpoint: Endpoint) -> ReplicaView:
    return ReplicaView(
        id=endpoint.replica_id,
        deployment=endpoint.deployment,
        model=endpoint.model,
        revision=endpoint.revision,
        engine=endpoint.engine.value,
        state=endpoint.state.value,
        detail=endpoint.detail,
        address=f"{endpoint.host}:{endpoint.port}" if endpoint.port else endpoint.host,
        node_id=endpoint.node_id,
        gpus=list(endpoint.gpus),
        in_flight=endpoint.in_flight,
        running=endpoint.load.running,
        waiting=endpoint.load.waiting,
        kv_usage=round(endpoint.load.kv_usage, 4),
        generation_tokens_total=endpoint.load.generation_tokens_total,
        started_at=endpoint.started_at,
        state_since=endpoint.state_since,
    )


def node_view(node: ObservedNode) -> NodeView:
    return NodeView(**{name: getattr(node, name) for name in NodeView.model_fields})


def key_view(credential: Credential) -> KeyView:
    return KeyView(
        id=credential.id,
        name=credential.name,
        role=credential.role.value,
        hint=credential.hint,
        created_at=credential.created_at,
    )


def catalog_view(entry: CatalogEntry) -> CatalogView:
    return CatalogView(
        name=entry.name,
        status=entry.status.value,
        detail=entry.detail,
        max_model_len=entry.max_model_len,
        simulated=entry.simulated,
        revision=entry.revision,
        retry_after_s=entry.retry_after_s,
    )
