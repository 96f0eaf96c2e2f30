"""Bodies of the admin API, as OpenAPI shows them and the web client is generated from."""

from typing import Any, Literal

from pydantic import BaseModel, Field, field_validator

from orchestrator.api.alias_schemas import AliasView
from orchestrator.api.body import Body
from orchestrator.api.model_schemas import ModelView, UploadSummary
from orchestrator.api.node_schemas import NodeView
from orchestrator.api.problem_schemas import ProblemView
from orchestrator.api.scaling_schemas import OverrideView, Scaling
from orchestrator.api.sentence_schemas import Sentences, SentenceView
from orchestrator.api.swap_schemas import SwapView
from orchestrator.external import ENGINE_NAME_PATTERN, normal_url
from router.types import ExternalEngine, PolicyName, RoutingSettings

DeploymentStateName = Literal["starting", "ready", "degraded", "swapping", "asleep", "stopped", "failed"]
ReplicaStateName = Literal["starting", "ready", "cordoned", "draining", "asleep"]
ModelStatusName = Literal["starting", "ready", "asleep", "swapping", "stopped", "failed"]
EngineName = Literal["vllm", "simulated"]
ServedByName = Literal["vllm", "simulated", "external"]
PlacementName = Literal["spread", "pack"]
RoleName = Literal["admin", "user"]
PriorityName = Literal["low", "normal", "high"]


class SimulationBody(Body):
    start_s: float = Field(default=0, ge=0, le=600)
    prefill_tokens_per_s: float = Field(default=8000, gt=0)
    inter_token_s: float = Field(default=0.02, ge=0, le=60)
    inter_token_per_running_s: float = Field(default=0.0005, ge=0, le=60)
    swap_s: float = Field(default=0, ge=0, le=600)
    wake_s: float = Field(default=0, ge=0, le=600)
    weights_bytes: int = Field(default=0, ge=0, description="Host memory that a replica takes while it sleeps")
    kv_capacity_tokens: int = Field(default=65536, gt=0)
    block_tokens: int = Field(default=16, gt=0)
    max_running: int = Field(default=64, gt=0)


_ROUTING = RoutingSettings()


class Routing(Body):
    """How the requests of one deployment are routed and queued. A change reaches routers within a second."""

    policy: PolicyName = _ROUTING.policy
    target_ttft_s: float = Field(
        default=_ROUTING.target_ttft_s, gt=0, le=600, description="Time to first token that users should see"
    )
    max_in_flight: int | None = Field(
        default=_ROUTING.max_in_flight, ge=1, le=100_000, description="Per replica; None follows the engine's own limit"
    )
    queue_requests: int = Field(
        default=_ROUTING.queue_requests, ge=0, le=1_000_000, description="More that wait than this are refused with 429"
    )
    queue_tokens: int = Field(default=_ROUTING.queue_tokens, ge=0, le=10**12)
    queue_bytes: int = Field(default=_ROUTING.queue_bytes, ge=0, le=2**40)
    queue_timeout_s: float = Field(
        default=_ROUTING.queue_timeout_s, ge=0, le=3600, description="Longest wait for a replica that is busy"
    )
    cold_start_timeout_s: float = Field(
        default=_ROUTING.cold_start_timeout_s, ge=0, le=3600, description="Longest wait for the first replica to start"
    )
    continue_streams: bool = Field(
        default=_ROUTING.continue_streams, description="Go on with a stream elsewhere when its replica is lost"
    )


_OUTSIDE = ExternalEngine(name="", url="")


class ExternalBody(Body):
    """An OpenAI-compatible server that somebody else runs."""

    name: str = Field(pattern=ENGINE_NAME_PATTERN, description="Tells it from the deployment's other ones")
    url: str = Field(description="Base URL up to and including `/v1` or whatever stands in its place")
    key: str | None = Field(
        default=None,
        pattern=r"^[\x21-\x7e]{0,4096}$",
        description="Sent as bearer token, never shown again. None keeps the key that an engine of this name and URL "
        "has; empty sends none",
        json_schema_extra={"writeOnly": True, "format": "password"},
    )
    model: str = Field(
        default=_OUTSIDE.model, max_length=512, description="What the model is called there; empty: as here"
    )
    weight: float = Field(
        default=_OUTSIDE.weight,
        ge=0,
        le=1000,
        description="Share of the requests relative to one replica of ours; 0: only when no replica has room",
    )
    max_in_flight: int = Field(default=_OUTSIDE.max_in_flight, ge=1, le=100_000)
    health_path: str = Field(
        default=_OUTSIDE.health_path,
        pattern=r"^/[\x21\x22\x24-\x5b\x5d-\x7e]{0,500}$",
        description="Below `url`; any answer under 400 is healthy",
    )

    @field_validator("url")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        return normal_url(value)


class ExternalView(BaseModel):
    name: str
    url: str
    has_key: bool
    model: str
    weight: float
    max_in_flight: int
    health_path: str


class DeploymentBody(Body):
    model: str | None = Field(default=None, description="Name in the library; for vLLM alone")
    revision: str | None = Field(default=None, description="Digest of one of its revisions; None: the newest")
    engine: ServedByName = Field(default="vllm", description="`external`: no replicas, engines outside alone serve it")
    replicas: int | None = Field(
        default=None, ge=0, le=1024, description="None: 1, 0 for engine `external`, or with `scaling` as many as before"
    )
    scaling: Scaling | None = Field(default=None, description="None: the number of replicas is fixed")
    gpus_per_replica: float | None = Field(
        default=None, ge=0, description="None: 1 for vLLM where the cluster has GPUs, else 0 (the CPU)"
    )
    max_model_len: int | None = Field(default=None, ge=16)
    engine_args: dict[str, Any] = Field(default_factory=dict)
    simulation: SimulationBody = SimulationBody()
    drain_deadline_s: float = Field(default=60, ge=0, le=3600)
    placement: PlacementName = Field(
        default="spread", description="New replicas on as many hosts as there are, or on as few as possible"
    )
    node_labels: dict[str, str] = Field(
        default_factory=dict, max_length=20, description="That a node must carry to take a replica"
    )
    sleep_mode: bool = Field(
        default=False,
        description="Replicas that are not needed now keep their weights in the host's memory and give their GPUs up",
    )
    routing: Routing = Routing()
    external: list[ExternalBody] = Field(default_factory=list, max_length=16)
    even_if_too_large: bool = Field(default=False, description="Try also what cannot fit by the estimate")

    @field_validator("gpus_per_replica")
    @classmethod
    def _can_be_placed(cls, value: float | None) -> float | None:
        """Ray counts GPUs in ten-thousandths below one, and whole above."""
        if value is not None and (round(value, 4) != value if value < 1 else value != int(value)):
            raise ValueError("a share of one GPU with at most four decimals, or a whole number")
        return value

    @field_validator("external")
    @classmethod
    def _have_names_of_their_own(cls, value: list[ExternalBody]) -> list[ExternalBody]:
        if len({each.name for each in value}) < len(value):
            raise ValueError("two engines have the same name; give each one its own")
        return value


class DeploymentView(BaseModel):
    name: str
    model: str
    engine: ServedByName
    revision: str
    state: DeploymentStateName
    reason: str
    sentences: Sentences
    eta_s: float | None
    replicas: int
    scaling: Scaling | None
    override: OverrideView | None
    ready_replicas: int
    starting_replicas: int
    gpus_per_replica: float
    max_model_len: int | None = Field(description="As its replicas say")
    asked_max_model_len: int | None = Field(description="None leaves it to the engine")
    engine_args: dict[str, Any]
    simulation: SimulationBody
    drain_deadline_s: float
    placement: PlacementName
    node_labels: dict[str, str]
    sleep_mode: bool
    routing: Routing
    external: list[ExternalView]
    created_at: float
    updated_at: float


class ReplicaView(BaseModel):
    id: str
    deployment: str
    model: str
    revision: str
    engine: EngineName
    state: ReplicaStateName
    detail: str
    sentences: Sentences
    address: str
    node_id: str
    gpus: list[str]
    in_flight: int
    running: int
    waiting: int
    kv_usage: float
    max_running: int | None
    """Requests that its engine decodes at once; more wait inside it."""
    kv_capacity_tokens: int | None
    generation_tokens_total: int
    cordoned: bool
    """By hand: it gets nothing new until it is uncordoned."""
    started_at: float
    state_since: float


class ModelLoadView(BaseModel):
    """What all routers together see of one model."""

    model: str
    queued: int
    queued_tokens: int
    oldest_wait_s: float
    in_flight: int
    arrivals_per_s: float
    prompt_tokens_per_s: float
    generated_tokens_per_s: float


class LoadView(BaseModel):
    routers: int = Field(description="How many report; with none of them nothing is known of the load")
    models: list[ModelLoadView] = Field(description="Every deployed model")


class KeyCreate(Body):
    name: str = Field(pattern=r"^[^/?#%\x00-\x1f]{1,80}$", description="Whose key it is; without / ? # %")
    role: RoleName = "user"
    tenant: str = Field(
        default="",
        pattern=r"^[^\x00-\x1f]{0,80}$",
        description="Who shares one fair share of the queue; empty: this key alone",
    )
    weight: float = Field(default=1, gt=0, le=1000, description="Size of that share relative to other tenants'")
    max_priority: PriorityName = Field(default="normal", description="Highest priority that its requests may ask for")


class KeyView(BaseModel):
    id: str
    name: str
    role: RoleName
    hint: str
    created_at: float
    tenant: str
    weight: float
    max_priority: PriorityName
    requests: int
    """So far, as the two below; routers add to them every few seconds."""
    prompt_tokens: int
    generated_tokens: int
    last_used_at: float | None


class KeyCreated(KeyView):
    key: str = Field(description="Shown once; only its digest is kept")


class SessionCreate(Body):
    token: str | None = Field(default=None, description="One-time token of a login link")
    key: str | None = Field(default=None, description="An API key")


class SessionView(BaseModel):
    name: str
    role: RoleName
    csrf_token: str = Field(description="Send as `x-roundhouse-csrf` with every request that is not a GET")


class LoginLinkView(BaseModel):
    token: str
    expires_in_s: int


class CatalogView(BaseModel):
    """A model as a chat page shows it."""

    name: str
    status: ModelStatusName
    detail: str
    sentences: Sentences
    max_model_len: int | None
    simulated: bool
    images: bool = Field(description="It takes pictures beside text")
    revision: str
    retry_after_s: int


class SystemView(BaseModel):
    version: str
    started_at: float
    ray_connected: bool
    devices: Literal["gpu", "cpu"]
    gpus: float
    simulated: bool = Field(description="True when any deployment runs on the simulated engine")
    problems: list[str]


class JoinView(BaseModel):
    command: str
    reachable: bool
    note: str


class EventSnapshot(BaseModel):
    """Data of each server-sent event: the whole list, so that a lost event costs nothing.

    Event `catalog` goes to everyone; the others only to admins.
    """

    catalog: list[CatalogView] | None = None
    models: list[ModelView] | None = None
    uploads: list[UploadSummary] | None = None
    deployments: list[DeploymentView] | None = None
    swaps: list[SwapView] | None = None
    aliases: list[AliasView] | None = None
    replicas: list[ReplicaView] | None = None
    nodes: list[NodeView] | None = None
    problems: list[ProblemView] | None = None


class ErrorDetail(BaseModel):
    message: str
    type: str
    param: str | None
    code: str | None
    sentence: SentenceView | None


class ErrorView(BaseModel):
    type: Literal["error"]
    error: ErrorDetail
