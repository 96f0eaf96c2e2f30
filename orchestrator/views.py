"""From records to what the API shows."""

from collections.abc import Iterable, Mapping

from msgspec import structs

from orchestrator.api.schemas import (
    CatalogView,
    DeploymentView,
    ExternalView,
    KeyView,
    ModelLoadView,
    ModelView,
    NodeView,
    PriorityName,
    ProgressView,
    ReplicaView,
    RevisionView,
    Routing,
)
from orchestrator.status import reason_for_admins
from orchestrator.types import Deployment, DeploymentState, DeploymentStatus, Model, ObservedNode, Progress, Revision
from replicas.types import Endpoint
from router.types import CatalogEntry, Credential, ExternalEngine, ModelLoad, Priority

_UNSEEN = DeploymentStatus(
    state=DeploymentState.STARTING, reason="just deployed", ready_replicas=0, starting_replicas=0
)
_PRIORITY_NAMES: dict[Priority, PriorityName] = {Priority.LOW: "low", Priority.NORMAL: "normal", Priority.HIGH: "high"}


def model_view(model: Model, deployments: Iterable[Deployment]) -> ModelView:
    serving = [each for each in deployments if each.model == model.name]
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
        description=model.description,
        deployments=[each.name for each in serving],
        revisions=[revision_view(each, serving) for each in model.revisions],
    )


def revision_view(revision: Revision, serving: Iterable[Deployment]) -> RevisionView:
    return RevisionView(
        digest=revision.digest,
        state=revision.state.value,
        reason=revision.reason,
        author=revision.author,
        notes=revision.notes,
        created_at=revision.created_at,
        size_bytes=revision.size_bytes,
        architecture=revision.architecture,
        max_model_len=revision.max_model_len,
        warnings=list(revision.warnings),
        deployments=[each.name for each in serving if each.revision == revision.digest],
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
        engine=deployment.engine.value if deployment.engine else "external",
        revision=deployment.revision,
        state=status.state.value,
        reason=reason_for_admins(deployment, status),
        eta_s=None if status.eta_s is None else round(status.eta_s),
        replicas=deployment.replicas,
        ready_replicas=status.ready_replicas,
        starting_replicas=status.starting_replicas,
        gpus_per_replica=deployment.gpus_per_replica,
        max_model_len=status.max_model_len,
        engine_args=deployment.engine_args,
        drain_deadline_s=deployment.drain_deadline_s,
        routing=Routing(**structs.asdict(deployment.routing)),
        external=[external_view(engine) for engine in deployment.external],
        created_at=deployment.created_at,
        updated_at=deployment.updated_at,
    )


def external_view(engine: ExternalEngine) -> ExternalView:
    """Everything but the key, which nobody gets to see again."""
    return ExternalView(
        name=engine.name,
        url=engine.url,
        has_key=bool(engine.key),
        model=engine.model,
        weight=engine.weight,
        max_in_flight=engine.max_in_flight,
        health_path=engine.health_path,
    )


def load_view(model: str, load: ModelLoad) -> ModelLoadView:
    return ModelLoadView(
        model=model,
        queued=load.queued,
        queued_tokens=load.queued_tokens,
        oldest_wait_s=round(load.oldest_wait_s, 3),
        in_flight=load.in_flight,
        arrivals_per_s=round(load.arrivals_per_s, 2),
        prompt_tokens_per_s=round(load.prompt_tokens_per_s, 1),
        generated_tokens_per_s=round(load.generated_tokens_per_s, 1),
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
        tenant=credential.tenant,
        weight=credential.tenant_weight,
        max_priority=_PRIORITY_NAMES[credential.max_priority],
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
