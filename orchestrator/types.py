"""The orchestrator's own facts: desired state, observed state, and the actions between them. PURE.

Keys are hashes of name -> JSON record; the orchestrator is the only writer of all of them.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from msgspec import Struct, field

from replicas.types import Endpoint, EngineKind, ReplicaFailure, SimulationSettings
from router.types import ExternalEngine, RoutingSettings

MODELS_KEY = "roundhouse:models"
DEPLOYMENTS_KEY = "roundhouse:deployments"
LOGIN_TOKEN_PREFIX = "roundhouse:login:"  # noqa: S105 - a key's name
START_TIMES_KEY = "roundhouse:start-times"
"""Hash: deployment name -> seconds that its last start took."""


class ModelState(StrEnum):
    RECEIVING = "receiving"
    VERIFYING = "verifying"
    READY = "ready"
    REJECTED = "rejected"


class Progress(Struct, frozen=True, kw_only=True):
    """How far long work is. Amounts are bytes unless `unit` says otherwise; `total` 0 means not known."""

    phase: str
    done: int = 0
    total: int = 0
    unit: str = "bytes"
    started_at: float
    eta_s: float | None = None


class Revision(Struct, frozen=True, kw_only=True):
    """Weights of a model that were uploaded, from the moment at which all of them were here. Immutable once ready."""

    digest: str
    """`sha256:` digest of the manifest."""
    upload_id: str
    state: ModelState
    reason: str = ""
    """Why it was rejected, and what to do."""
    author: str = ""
    notes: str = ""
    created_at: float
    path: str = ""
    """Empty until it is ready, as is what follows."""
    size_bytes: int = 0
    architecture: str = ""
    max_model_len: int | None = None
    warnings: tuple[str, ...] = ()


class Model(Struct, frozen=True, kw_only=True):
    """A name in the library and the revision that it stands for now."""

    name: str
    source: str
    """Where the weights come from: `builtin:…`, `hf:ID`, `modelscope:ID`, a folder's path, or `upload`."""
    state: ModelState
    reason: str = ""
    """Why it was rejected, and what to do."""
    revision: str = ""
    """`sha256:` digest of the manifest; empty until verified."""
    path: str = ""
    size_bytes: int = 0
    architecture: str = ""
    max_model_len: int | None = None
    """Context length that the weights were made for, in tokens."""
    created_at: float
    progress: Progress | None = None
    description: str = ""
    revisions: tuple[Revision, ...] = ()
    """That were uploaded, oldest first. The model stands for the newest that is ready."""


class DeploymentWish(Struct, frozen=True, kw_only=True):
    """What an admin asks for. What is left out has its default, also where a deployment is changed."""

    model: str | None = None
    revision: str | None = None
    """Digest of one of its revisions; None: the one that the model stands for."""
    engine: EngineKind | None = EngineKind.VLLM
    replicas: int = 1
    gpus_per_replica: float = 0.0
    max_model_len: int | None = None
    engine_args: dict[str, Any] = field(default_factory=dict)
    simulation: SimulationSettings = field(default_factory=SimulationSettings)
    drain_deadline_s: float = 60.0
    routing: RoutingSettings = RoutingSettings()
    external: tuple[ExternalEngine, ...] = ()
    keep_keys_of: frozenset[str] = frozenset()
    """Names of engines outside that go on with the key stored before, provided that their URL is the same."""


class Deployment(Struct, frozen=True, kw_only=True):
    """What should be served: one row of desired state."""

    name: str
    """Also the public model name that clients use."""
    model: str
    """Name in the library; empty where no weights of ours are served."""
    engine: EngineKind | None = EngineKind.VLLM
    """Of our own replicas; None: there are none, engines outside alone serve it."""
    revision: str = ""
    weights_path: str = ""
    generation: int = 1
    """Raised when replicas must be replaced to follow a change."""
    replicas: int = 1
    gpus_per_replica: float = 0.0
    cpus_per_replica: float = 1
    max_model_len: int | None = None
    engine_args: dict[str, Any] = field(default_factory=dict)
    simulation: SimulationSettings = field(default_factory=SimulationSettings)
    drain_deadline_s: float = 60.0
    routing: RoutingSettings = RoutingSettings()
    """Routers follow it within a second; replicas know nothing of it."""
    external: tuple[ExternalEngine, ...] = ()
    """Engines outside the cluster that take requests too, or when no replica of ours can."""
    created_at: float
    updated_at: float


class DesiredState(Struct, frozen=True, kw_only=True):
    deployments: Mapping[str, Deployment]


class ObservedApplication(Struct, frozen=True, kw_only=True):
    """One Ray Serve application, as `serve.status()` tells it."""

    name: str
    spec_digest: str
    """Read off the Serve deployment's name; empty while Serve has none to show."""
    target_replicas: int
    status: str
    """Serve's word: DEPLOYING, RUNNING, DEPLOY_FAILED, UNHEALTHY, DELETING."""
    message: str = ""


class ObservedNode(Struct, frozen=True, kw_only=True):
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


class ObservedState(Struct, frozen=True, kw_only=True):
    applications: Mapping[str, ObservedApplication] = field(default_factory=dict)
    endpoints: tuple[Endpoint, ...] = ()
    failures: Mapping[str, ReplicaFailure] = field(default_factory=dict)
    nodes: tuple[ObservedNode, ...] = ()


class StartApplication(Struct, frozen=True, kw_only=True, tag=True):
    """Create the Serve application of a deployment, or replace it by one of another spec."""

    deployment: Deployment
    spec_digest: str
    reason: str


class ScaleApplication(Struct, frozen=True, kw_only=True, tag=True):
    name: str
    spec_digest: str
    replicas: int
    reason: str


class StopApplication(Struct, frozen=True, kw_only=True, tag=True):
    name: str
    reason: str


Action = StartApplication | ScaleApplication | StopApplication


class DeploymentState(StrEnum):
    STARTING = "starting"
    READY = "ready"
    DEGRADED = "degraded"
    """Some replicas are ready, fewer than wanted."""
    STOPPED = "stopped"
    FAILED = "failed"


class DeploymentStatus(Struct, frozen=True, kw_only=True):
    """A deployment in one word, with the reason and how many replicas stand behind it."""

    state: DeploymentState
    reason: str
    ready_replicas: int
    starting_replicas: int
    eta_s: float | None = None
    """Time until the first replica is ready, from the last start that was measured."""
    described_at: float = 0
    """`updated_at` of the deployment that this describes: a status of what was wanted before is not shown."""
    max_model_len: int | None = None
    """Context length in tokens that the replicas really serve, or the one asked for until one does."""
