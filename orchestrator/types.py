"""The orchestrator's own facts: desired state, observed state, and the actions between them. PURE.

Keys are hashes of name -> JSON record; the orchestrator is the only writer of all of them.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from msgspec import Struct, field

from orchestrator.library.verification.facts import ModelFacts
from replicas.host_types import HostRecord
from replicas.types import Endpoint, EngineKind, ReplicaFailure, SimulationSettings
from router.types import ExternalEngine, RoutingSettings

MODELS_KEY = "roundhouse:models"
DEPLOYMENTS_KEY = "roundhouse:deployments"
SWAPS_KEY = "roundhouse:swaps"
"""Hash: deployment name -> its last swaps, oldest first: the journal."""
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
    """Weights of a model, from the moment at which all of them were here. Immutable once ready."""

    digest: str
    """`sha256:` digest of the manifest."""
    arrival: str
    """Id of the upload or import that brought it."""
    source: str
    """Where it came from: `upload`, `builtin:…`, `hf:ID@COMMIT`, `modelscope:ID@COMMIT`, `s3://…`, a path."""
    state: ModelState
    reason: str = ""
    """Why it was rejected, and what to do."""
    author: str = ""
    notes: str = ""
    created_at: float
    size_bytes: int = 0
    path: str = ""
    """Folder on the orchestrator's host; empty until it is ready."""
    facts: ModelFacts | None = None
    """None until it is ready."""


class Import(Struct, frozen=True, kw_only=True):
    """Weights on their way in from elsewhere."""

    id: str
    source: str
    """As it was asked for; a revision's says which commit it turned out to be."""
    author: str = ""
    notes: str = ""
    link: bool = False
    """Share a folder's files instead of copying them, where the file system can."""
    even_if_too_large: bool = False
    """Fetch also what no machine here can serve."""
    progress: Progress


class Model(Struct, frozen=True, kw_only=True):
    """A name in the library, its revisions, and the one that it stands for."""

    name: str
    created_at: float
    description: str = ""
    tags: tuple[str, ...] = ()
    licence: str = ""
    task: str = ""
    """What an admin says that it is for; empty: what the architecture tells."""
    revision: str = ""
    """Digest of the revision that it stands for: what is deployed when nobody names one. Empty if there is none."""
    revisions: tuple[Revision, ...] = ()
    """Oldest first."""
    importing: Import | None = None
    failure: str = ""
    """Why the last import ended without a revision, and what to do."""

    @property
    def standing(self) -> Revision | None:
        """The revision that it stands for."""
        return self.find(self.revision) if self.revision else None

    def find(self, digest: str) -> Revision | None:
        """The revision of that digest, in whatever state."""
        return next((each for each in self.revisions if each.digest == digest), None)

    @property
    def state(self) -> ModelState:
        if self.standing is not None:
            return ModelState.READY
        if any(each.state is ModelState.VERIFYING for each in self.revisions):
            return ModelState.VERIFYING
        return ModelState.REJECTED if self.importing is None else ModelState.RECEIVING

    @property
    def reason(self) -> str:
        """Why it is rejected, or why the last import of one that is ready came to nothing."""
        if self.failure or self.state is not ModelState.REJECTED:
            return self.failure
        last = next((each.reason for each in reversed(self.revisions) if each.reason), "")
        return last or "Its revision was removed. Push or import it again."


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
    surge: bool = False
    """Replicas of the generation before stay until those of this one are ready."""
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


class SwapStrategy(StrEnum):
    IN_PLACE = "in-place"
    """Each replica reloads its weights, one after the other; requests wait or go to the others meanwhile."""
    SURGE = "surge"
    """New replicas start beside the old ones, which end once the new ones are ready."""
    RESTART = "restart"
    """Replicas end and start again with the new weights; requests wait."""


class SwapStep(StrEnum):
    QUEUED = "queued"
    """Another swap of the deployment goes first."""
    PREPARING = "preparing"
    """The new files are fetched and read; nothing is cordoned."""
    FIRST = "first"
    """One replica swaps. Until it has proved the new weights, the old ones are what the deployment serves."""
    ROLLING = "rolling"
    """The new weights are proved and active; the other replicas follow."""
    RESTARTING = "restarting"
    """New replicas start, beside the old ones or in their place."""
    UNDOING = "undoing"
    """The new weights did not start; replicas start again with the old ones."""
    DONE = "done"
    FAILED = "failed"
    """The old weights are active."""


class Weights(Struct, frozen=True):
    """A revision, and where it is."""

    revision: str
    path: str


class Swap(Struct, frozen=True, kw_only=True):
    """One change of a deployment's weights: an entry of the journal, written before each step is taken."""

    id: str
    deployment: str
    before: Weights
    after: Weights
    strategy: SwapStrategy
    why: str
    """Why this strategy, in words for a person."""
    asked: SwapStrategy | None = None
    """The one that was asked for; None leaves it to what is possible."""
    generation: int = 1
    """Of the deployment before the swap."""
    deadline_s: float = 60.0
    """How long requests in flight may take to end in each replica."""
    by: str = ""
    """Name of the key that asked for it."""
    step: SwapStep = SwapStep.PREPARING
    detail: str = ""
    """What is going on, in words for a person."""
    reason: str = ""
    """Why it failed, and what to do."""
    replica: str = ""
    """That is swapping now."""
    missing_since: float | None = None
    """Since when that one is not seen any more."""
    started_at: float
    step_since: float
    ended_at: float | None = None

    @property
    def active(self) -> bool:
        return self.ended_at is None


class PrepareReplica(Struct, frozen=True, tag=True):
    """Have a replica fetch and read the new weights."""

    replica_id: str


class SwapReplica(Struct, frozen=True, tag=True):
    """Have a replica serve the new weights."""

    replica_id: str


class EndReplica(Struct, frozen=True, tag=True):
    """Have a replica end, so that it starts again with the weights that are active."""

    replica_id: str


class Activate(Struct, frozen=True, tag=True):
    """Make weights those that the deployment serves and new replicas load."""

    weights: Weights
    generation: int
    """Of the deployment from then on: with another one than before, replicas are replaced."""
    surge: bool = False
    """Those that run stay until the new ones are ready."""


SwapAction = PrepareReplica | SwapReplica | EndReplica | Activate


class DesiredState(Struct, frozen=True, kw_only=True):
    deployments: Mapping[str, Deployment]


class ObservedApplication(Struct, frozen=True, kw_only=True):
    """One Ray Serve application, as `serve.status()` tells it."""

    name: str
    deployment: str
    spec_digest: str
    """Both read off the name."""
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
    hosts: tuple[HostRecord, ...] = ()
    """What the processes of hosts tell: weights, disks, GPUs."""


class StartApplication(Struct, frozen=True, kw_only=True, tag=True):
    """Create the Serve application of a deployment, or replace it by one of another spec."""

    deployment: Deployment
    spec_digest: str
    reason: str


class ScaleApplication(Struct, frozen=True, kw_only=True, tag=True):
    name: str
    """Of the application, which names deployment and spec."""
    replicas: int
    reason: str


class StopApplication(Struct, frozen=True, kw_only=True, tag=True):
    name: str
    """Of the application, as in `ScaleApplication`."""
    reason: str


Action = StartApplication | ScaleApplication | StopApplication


class DeploymentState(StrEnum):
    STARTING = "starting"
    READY = "ready"
    DEGRADED = "degraded"
    """Some replicas are ready, fewer than wanted."""
    SWAPPING = "swapping"
    """No replica takes requests while weights are swapped: they wait."""
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
