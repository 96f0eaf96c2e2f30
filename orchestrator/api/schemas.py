"""Bodies of the admin API, as OpenAPI shows them and the web client is generated from."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}$"

ModelStateName = Literal["receiving", "verifying", "ready", "rejected"]
DeploymentStateName = Literal["starting", "ready", "degraded", "stopped", "failed"]
ReplicaStateName = Literal["starting", "ready", "draining"]
ModelStatusName = Literal["starting", "ready", "asleep", "swapping", "stopped", "failed"]
EngineName = Literal["vllm", "simulated"]
RoleName = Literal["admin", "user"]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ProgressView(BaseModel):
    phase: str
    done: int
    total: int
    unit: str
    eta_s: float | None


class ModelView(BaseModel):
    name: str
    source: str
    state: ModelStateName
    reason: str
    revision: str
    size_bytes: int
    architecture: str
    max_model_len: int | None
    created_at: float
    progress: ProgressView | None
    deployments: list[str]


class ModelImport(Body):
    source: str = Field(
        description="`builtin:smollm2`, `hf:OWNER/NAME`, `modelscope:OWNER/NAME`, `OWNER/NAME`, or a folder's path"
    )
    name: str | None = Field(default=None, pattern=NAME_PATTERN)


class SimulationBody(Body):
    start_s: float = Field(default=0, ge=0, le=600)
    prefill_tokens_per_s: float = Field(default=8000, gt=0)
    inter_token_s: float = Field(default=0.02, ge=0, le=60)
    inter_token_per_running_s: float = Field(default=0.0005, ge=0, le=60)
    kv_capacity_tokens: int = Field(default=65536, gt=0)
    block_tokens: int = Field(default=16, gt=0)
    max_running: int = Field(default=64, gt=0)


class DeploymentBody(Body):
    model: str | None = Field(default=None, description="Name in the library; not for the simulated engine")
    engine: EngineName = "vllm"
    replicas: int = Field(default=1, ge=0, le=1024)
    gpus_per_replica: float | None = Field(
        default=None, ge=0, description="None: 1 where the cluster has GPUs, else 0 (the CPU)"
    )
    max_model_len: int | None = Field(default=None, ge=16)
    engine_args: dict[str, Any] = Field(default_factory=dict)
    simulation: SimulationBody = SimulationBody()
    drain_deadline_s: float = Field(default=60, ge=0, le=3600)

    @field_validator("gpus_per_replica")
    @classmethod
    def _can_be_placed(cls, value: float | None) -> float | None:
        """Ray counts GPUs in ten-thousandths below one, and whole above."""
        if value is not None and (round(value, 4) != value if value < 1 else value != int(value)):
            raise ValueError("a share of one GPU with at most four decimals, or a whole number")
        return value


class DeploymentView(BaseModel):
    name: str
    model: str
    engine: EngineName
    revision: str
    state: DeploymentStateName
    reason: str
    eta_s: float | None
    replicas: int
    ready_replicas: int
    starting_replicas: int
    gpus_per_replica: float
    max_model_len: int | None
    engine_args: dict[str, Any]
    drain_deadline_s: float
    created_at: float
    updated_at: float


class ScaleBody(Body):
    replicas: int = Field(ge=0, le=1024)


class ReplicaView(BaseModel):
    id: str
    deployment: str
    model: str
    revision: str
    engine: EngineName
    state: ReplicaStateName
    detail: str
    address: str
    node_id: str
    gpus: list[str]
    in_flight: int
    running: int
    waiting: int
    kv_usage: float
    generation_tokens_total: int
    started_at: float
    state_since: float


class NodeView(BaseModel):
    id: str
    address: str
    hostname: str
    alive: bool
    head: bool
    cpus: float
    cpus_free: float
    gpus: float
    gpus_free: float
    memory_bytes: int


class KeyCreate(Body):
    name: str = Field(pattern=r"^[^/?#%\x00-\x1f]{1,80}$", description="Whose key it is; without / ? # %")
    role: RoleName = "user"


class KeyView(BaseModel):
    id: str
    name: str
    role: RoleName
    hint: str
    created_at: float


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
    max_model_len: int | None
    simulated: bool
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
    deployments: list[DeploymentView] | None = None
    replicas: list[ReplicaView] | None = None
    nodes: list[NodeView] | None = None


class ErrorDetail(BaseModel):
    message: str
    type: str
    param: str | None
    code: str | None


class ErrorView(BaseModel):
    type: Literal["error"]
    error: ErrorDetail
