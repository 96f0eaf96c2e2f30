"""From records to what the API shows."""

from collections.abc import Collection, Iterable, Mapping

from msgspec import structs

from orchestrator.api.model_schemas import ModelView, ProgressView, RevisionView
from orchestrator.api.node_schemas import FetchRefusalView, FetchView, GpuView, NodeView, NodeWeightsView
from orchestrator.api.problem_schemas import FixView, ProblemView
from orchestrator.api.scaling_schemas import Scaling
from orchestrator.api.schemas import (
    CatalogView,
    DeploymentView,
    ExternalView,
    KeyView,
    ModelLoadView,
    PriorityName,
    ReplicaView,
    Routing,
    SimulationBody,
)
from orchestrator.api.sentence_schemas import english, sentences, value_views
from orchestrator.api.swap_schemas import CanaryBody, SwapView
from orchestrator.placement import Room
from orchestrator.problems import Problem
from orchestrator.rooms import all_rooms
from orchestrator.scaling_views import override_view
from orchestrator.sentences import Saying, heard, say
from orchestrator.status import reason_for_admins
from orchestrator.swap_types import Swap
from orchestrator.types import (
    Deployment,
    DeploymentState,
    DeploymentStatus,
    KeyUse,
    Model,
    ObservedNode,
    ObservedState,
    Progress,
    Revision,
)
from replicas.host_types import FetchProgress, HostRecord
from replicas.types import Endpoint
from router.types import CatalogEntry, Credential, ExternalEngine, ModelLoad, Priority

_DISK_STEP_BYTES = 64 * 2**20
_UNSEEN = DeploymentStatus(
    state=DeploymentState.STARTING, reason=say(Saying.JUST_DEPLOYED), ready_replicas=0, starting_replicas=0
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
        reason=english(model.reason),
        sentences=sentences(reason=model.reason),
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
        reason=english(revision.reason),
        sentences=sentences(reason=revision.reason),
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
        phase=str(progress.phase),
        sentences=sentences(phase=progress.phase),
        done=progress.done,
        total=progress.total,
        unit=progress.unit,
        eta_s=progress.eta_s,
    )


def deployment_view(deployment: Deployment, statuses: Mapping[str, DeploymentStatus]) -> DeploymentView:
    status = statuses.get(deployment.name, _UNSEEN)
    if status.described_at != deployment.updated_at:
        status = _UNSEEN  # the loop has not looked at the change yet
    reason = reason_for_admins(deployment, status)
    return DeploymentView(
        name=deployment.name,
        model=deployment.model,
        engine=deployment.engine.value if deployment.engine else "external",
        revision=deployment.revision,
        state=status.state.value,
        reason=str(reason),
        sentences=sentences(reason=reason),
        eta_s=None if status.eta_s is None else round(status.eta_s),
        replicas=deployment.replicas,
        scaling=Scaling.of(deployment.scaling) if deployment.scaling else None,
        override=override_view(deployment.override),
        ready_replicas=status.ready_replicas,
        starting_replicas=status.starting_replicas,
        gpus_per_replica=deployment.gpus_per_replica,
        max_model_len=status.max_model_len,
        asked_max_model_len=deployment.max_model_len,
        engine_args=deployment.engine_args,
        simulation=SimulationBody.model_validate(deployment.simulation, from_attributes=True),
        drain_deadline_s=deployment.drain_deadline_s,
        placement=deployment.placement.value,
        node_labels=deployment.node_labels,
        sleep_mode=deployment.sleep_mode,
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
        why=str(swap.why),
        canary=CanaryBody(**structs.asdict(swap.canary)) if swap.canary else None,
        verdict=english(swap.verdict),
        step=swap.step.value,
        detail=english(swap.detail),
        reason=english(swap.reason),
        sentences=sentences(why=swap.why, verdict=swap.verdict, detail=swap.detail, reason=swap.reason),
        replica=swap.replica,
        by=swap.by,
        active=swap.active,
        started_at=swap.started_at,
        ended_at=swap.ended_at,
    )


def replica_view(endpoint: Endpoint, cordons: Collection[str]) -> ReplicaView:
    """`cordons`: ids of the replicas that were cordoned by hand."""
    return ReplicaView(
        id=endpoint.replica_id,
        deployment=endpoint.deployment,
        model=endpoint.model,
        revision=endpoint.revision,
        engine=endpoint.engine.value,
        state=endpoint.state.value,
        detail=endpoint.detail,
        sentences=sentences(detail=heard(endpoint.detail) if endpoint.detail else None),
        address=f"{endpoint.host}:{endpoint.port}" if endpoint.port else endpoint.host,
        node_id=endpoint.node_id,
        gpus=list(endpoint.gpus),
        in_flight=endpoint.in_flight,
        running=endpoint.load.running,
        waiting=endpoint.load.waiting,
        kv_usage=round(endpoint.load.kv_usage, 4),
        max_running=endpoint.max_running,
        kv_capacity_tokens=endpoint.kv_capacity_tokens,
        generation_tokens_total=endpoint.load.generation_tokens_total,
        cordoned=endpoint.replica_id in cordons,
        started_at=endpoint.started_at,
        state_since=endpoint.state_since,
    )


def node_views(observed: ObservedState, cordoned: Collection[str], drained: Collection[str]) -> list[NodeView]:
    """`cordoned`, `drained`: addresses of nodes of which an admin wanted that."""
    hosts, rooms = {host.address: host for host in observed.hosts}, all_rooms(observed)
    return [
        _node_view(
            node,
            rooms.get(node.address) if node.alive else None,
            hosts.get(node.address),
            cordoned=node.address in cordoned,
            drained=node.address in drained,
        )
        for node in observed.nodes
    ]


def _node_view(
    node: ObservedNode, room: Room | None, host: HostRecord | None, *, cordoned: bool, drained: bool
) -> NodeView:
    return NodeView(
        **structs.asdict(node),
        cpus_free=room.cpus if room else 0.0,
        gpus_free=sum(room.gpus) if room else 0.0,
        gpu_devices=[GpuView(**structs.asdict(gpu)) for gpu in host.gpus] if host else [],
        weights=_weights_view(host) if host else None,
        cordoned=cordoned,
        drained=drained,
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


def problem_view(problem: Problem) -> ProblemView:
    fix = problem.fix
    return ProblemView(
        kind=problem.kind,
        severity=problem.severity.value,
        subject=problem.subject,
        message=problem.message,
        values=value_views(problem.values),
        fix=FixView(remedy=fix.remedy.value, name=fix.name, replicas=fix.replicas, page=fix.page) if fix else None,
        log=problem.log,
    )


def key_view(credential: Credential, use: KeyUse) -> KeyView:
    return KeyView(
        id=credential.id,
        name=credential.name,
        role=credential.role.value,
        hint=credential.hint,
        created_at=credential.created_at,
        tenant=credential.tenant,
        weight=credential.tenant_weight,
        max_priority=_PRIORITY_NAMES[credential.max_priority],
        requests=use.requests,
        prompt_tokens=use.prompt_tokens,
        generated_tokens=use.generated_tokens,
        last_used_at=use.last_used_at,
    )


def catalog_view(entry: CatalogEntry, status: DeploymentStatus | None) -> CatalogView:
    """`status`: of the deployment that the entry tells of, if it is known."""
    reason = status.reason if status is not None and str(status.reason) == entry.detail else None
    return CatalogView(
        name=entry.name,
        status=entry.status.value,
        detail=entry.detail,
        sentences=sentences(detail=reason),
        max_model_len=entry.max_model_len,
        simulated=entry.simulated,
        images=entry.images,
        revision=entry.revision,
        retry_after_s=entry.retry_after_s,
    )
