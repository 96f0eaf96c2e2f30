"""From records to what the API shows."""

from collections.abc import Iterable, Mapping

from msgspec import structs

from orchestrator.api.model_schemas import ModelView, ProgressView, RevisionView
from orchestrator.api.node_schemas import FetchRefusalView, FetchView, GpuView, NodeView, NodeWeightsView
from orchestrator.api.schemas import (
    CatalogView,
    DeploymentView,
    ExternalView,
    KeyView,
    ModelLoadView,
    PriorityName,
    ReplicaView,
    Routing,
)
from orchestrator.api.swap_schemas import SwapView
from orchestrator.status import reason_for_admins
from orchestrator.types import (
    Deployment,
    DeploymentState,
    DeploymentStatus,
    Model,
    ObservedNode,
    ObservedState,
    Progress,
    Revision,
    Swap,
)
from replicas.host_types import FetchProgress, HostRecord
from replicas.types import Endpoint
from router.types import CatalogEntry, Credential, ExternalEngine, ModelLoad, Priority

_DISK_STEP_BYTES = 64 * 2**20
_UNSEEN = DeploymentStatus(
    state=DeploymentState.STARTING, reason="just deployed", ready_replicas=0, starting_replicas=0
)
_PRIORITY_NAMES: dict[Priority, PriorityName] = {Priority.LOW: "low", Priority.NORMAL: "normal", Priority.HIGH: "high"}


def model_view(model: Model, deployments: Iterable[Deployment]) -> ModelView:
    serving = [each for each in deployments if each.model == model.name]
    revision = model.standing or (model.revisions[-1] if model.revisions else None)
    facts = revision.facts if revision else None
    return ModelView(
        name=model.name,
        source=model.importing.source if model.importing else revision.source if revision else "",
        state=model.state.value,
        reason=model.reason,
        revision=model.revision,
        size_bytes=revision.size_bytes if revision else 0,
        architecture=facts.architecture if facts else "",
        max_model_len=facts.max_model_len if facts else None,
        created_at=model.created_at,
        progress=progress_view(model.importing.progress) if model.importing else None,
        description=model.description,
        tags=list(model.tags),
        licence=model.licence,
        task=model.task or (facts.task if facts else ""),
        deployments=[each.name for each in serving],
        revisions=[revision_view(each, serving) for each in model.revisions],
    )


def revision_view(revision: Revision, serving: Iterable[Deployment]) -> RevisionView:
    facts = revision.facts
    return RevisionView(
        digest=revision.digest,
        state=revision.state.value,
        reason=revision.reason,
        source=revision.source,
        author=revision.author,
        notes=revision.notes,
        created_at=revision.created_at,
        size_bytes=revision.size_bytes,
        architecture=facts.architecture if facts else "",
        max_model_len=facts.max_model_len if facts else None,
        parameters=facts.parameters if facts else None,
        dtype=facts.dtype if facts else "",
        quantization=facts.quantization if facts else "",
        warnings=list(facts.warnings) if facts else [],
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


def swap_view(swap: Swap) -> SwapView:
    return SwapView(
        id=swap.id,
        deployment=swap.deployment,
        from_revision=swap.before.revision,
        to_revision=swap.after.revision,
        strategy=swap.strategy.value,
        why=swap.why,
        step=swap.step.value,
        detail=swap.detail,
        reason=swap.reason,
        replica=swap.replica,
        by=swap.by,
        active=swap.active,
        started_at=swap.started_at,
        ended_at=swap.ended_at,
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


def node_views(observed: ObservedState) -> list[NodeView]:
    hosts = {host.address: host for host in observed.hosts}
    return [_node_view(node, hosts.get(node.address)) for node in observed.nodes]


def _node_view(node: ObservedNode, host: HostRecord | None) -> NodeView:
    return NodeView(
        **structs.asdict(node),
        gpu_devices=[GpuView(**structs.asdict(gpu)) for gpu in host.gpus] if host else [],
        weights=_weights_view(host) if host else None,
    )


def _weights_view(host: HostRecord) -> NodeWeightsView:
    return NodeWeightsView(
        library=host.is_library,
        revisions=list(host.revisions),
        used_bytes=host.used_bytes,
        limit_bytes=host.limit_bytes,
        # It changes all the time, and a page need not be told of each change.
        disk_free_bytes=host.disk_free_bytes // _DISK_STEP_BYTES * _DISK_STEP_BYTES,
        fetches=[_fetch_view(fetch) for fetch in host.fetches],
        refusals=[FetchRefusalView(revision=each.revision, reason=each.message, at=each.at) for each in host.refusals],
    )


def _fetch_view(fetch: FetchProgress) -> FetchView:
    left_bytes = fetch.total_bytes - fetch.done_bytes
    return FetchView(
        revision=fetch.revision,
        done_bytes=fetch.done_bytes,
        total_bytes=fetch.total_bytes,
        bytes_per_s=round(fetch.bytes_per_s),
        eta_s=round(left_bytes / fetch.bytes_per_s, 1) if fetch.bytes_per_s else None,
        sources=list(fetch.sources),
    )


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
