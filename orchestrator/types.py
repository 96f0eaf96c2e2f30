"""The orchestrator's own facts: desired state, observed state, and the actions between them. PURE.

Keys are hashes of name -> JSON record; the orchestrator is the only writer of all of them.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from msgspec import Struct, field

from orchestrator.library.verification.facts import ModelFacts
from orchestrator.scaling.types import Override, ScalingDecision, ScalingMemory, ScalingSettings
from orchestrator.sentences import Saying, Sentence, say
from replicas.host_types import HostRecord
from replicas.types import Endpoint, EngineKind, ReplicaFailure, SimulationSettings
from router.types import ExternalEngine, RoutingSettings

MODELS_KEY = "roundhouse:models"
DEPLOYMENTS_KEY = "roundhouse:deployments"
LOGIN_TOKEN_PREFIX = "roundhouse:login:"  # noqa: S105 - a key's name
SCALING_KEY = "roundhouse:scaling"
"""Hash: deployment name -> `ScalingLog`."""


class CordonKind(StrEnum):
    """What an admin has cordoned by hand."""

    REPLICAS = "replicas"
    """By id: they finish what they have and get nothing new."""
    NODES = "nodes"
    """By address: no new replica starts there."""
    DRAINED_NODES = "drained-nodes"
    """By address: replicas there start again elsewhere, then end."""


def cordons_key(kind: CordonKind) -> str:
    """Key of a set of names. Writer: the orchestrator."""
    return f"roundhouse:cordons:{kind}"


class ModelState(StrEnum):
    RECEIVING = "receiving"
    VERIFYING = "verifying"
    READY = "ready"
    REJECTED = "rejected"


class Progress(Struct, frozen=True, kw_only=True):
    """How far long work is. Amounts are bytes unless `unit` says otherwise; `total` 0 means not known."""

    phase: Sentence
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
    reason: Sentence | None = None
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
    failure: Sentence | None = None
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
    def reason(self) -> Sentence | None:
        """Why it is rejected, or why the last import of one that is ready came to nothing."""
        if self.failure or self.state is not ModelState.REJECTED:
            return self.failure
        last = next((each.reason for each in reversed(self.revisions) if each.reason), None)
        return last or say(Saying.REVISION_REMOVED)


class Placement(StrEnum):
    SPREAD = "spread"
    """Over as many hosts as there are, so that the loss of one takes few replicas."""
    PACK = "pack"
    """On as few hosts as possible, so that whole GPUs and hosts stay free for what needs them."""


class Need(Struct, frozen=True, kw_only=True):
    """What one replica asks of its node. `gpus` below 1 is a share of one GPU, above 1 whole GPUs."""

    cpus: float = 1.0
    gpus: float = 0.0
    labels: Mapping[str, str] = field(default_factory=dict)
    """That the node must carry."""


class DeploymentWish(Struct, frozen=True, kw_only=True):
    """What an admin asks for. What is left out has its default, also where a deployment is changed."""

    model: str | None = None
    revision: str | None = None
    """Digest of one of its revisions; None: the one that the model stands for."""
    engine: EngineKind | None = EngineKind.VLLM
    replicas: int | None = None
    """None: one, none where engines outside alone serve, or where the load decides as many as there were."""
    scaling: ScalingSettings | None = None
    """None: the number of replicas is what an admin says."""
    gpus_per_replica: float = 0.0
    max_model_len: int | None = None
    engine_args: dict[str, Any] = field(default_factory=dict)
    simulation: SimulationSettings = field(default_factory=SimulationSettings)
    drain_deadline_s: float = 60.0
    placement: Placement = Placement.SPREAD
    node_labels: dict[str, str] = field(default_factory=dict)
    sleep_mode: bool = False
    routing: RoutingSettings = RoutingSettings()
    external: tuple[ExternalEngine, ...] = ()
    keep_keys_of: frozenset[str] = frozenset()
    """Names of engines outside that go on with the key stored before, provided that their URL is the same."""


class Weights(Struct, frozen=True):
    """A revision, and where it is."""

    revision: str
    path: str


class DeployedCanary(Struct, frozen=True, kw_only=True):
    """A revision on trial beside the one that a deployment serves."""

    id: str = ""
    """Of the swap that wants to know how it fares; empty while nobody does."""
    weights: Weights
    share: float
    """Of the sessions that its replicas get; with 0 none, while others are ready."""
    replicas: int = 0
    """That it has of its own; 0: some of the deployment's hold it."""


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
    canary: DeployedCanary | None = None
    replicas: int = 1
    """Wanted now. Writer: whoever deploys or scales; with `scaling` the autoscaler."""
    scaling: ScalingSettings | None = None
    """How their number follows the load; None: it does not."""
    leaving: tuple[str, ...] = ()
    """Applications that end first, should any have to: their room is wanted. Writer: the autoscaler."""
    shortage: Sentence | None = None
    """Why there are fewer than the load wants. Writer: the autoscaler."""
    override: Override | None = None
    """In the place of what the load says."""
    gpus_per_replica: float = 0.0
    cpus_per_replica: float = 1
    max_model_len: int | None = None
    engine_args: dict[str, Any] = field(default_factory=dict)
    simulation: SimulationSettings = field(default_factory=SimulationSettings)
    drain_deadline_s: float = 60.0
    placement: Placement = Placement.SPREAD
    """Of replicas that start from now on."""
    node_labels: dict[str, str] = field(default_factory=dict)
    """That a node must carry to take a replica."""
    sleep_mode: bool = False
    """Replicas that are not needed now sleep, where they can, in place of ending."""
    routing: RoutingSettings = RoutingSettings()
    """Routers follow it within a second; replicas know nothing of it."""
    external: tuple[ExternalEngine, ...] = ()
    """Engines outside the cluster that take requests too, or when no replica of ours can."""
    created_at: float
    updated_at: float

    @property
    def may_sleep(self) -> bool:
        """Whether it may be without replicas, which start again when somebody asks."""
        return self.scaling is not None and self.scaling.min_replicas == 0

    @property
    def need(self) -> Need:
        """What one replica asks of its node."""
        return Need(cpus=self.cpus_per_replica, gpus=self.gpus_per_replica, labels=self.node_labels)


class KeyUse(Struct, frozen=True, kw_only=True):
    """What a key has used so far, its sessions' share included. Writer: routers, field by field."""

    requests: int = 0
    prompt_tokens: int = 0
    generated_tokens: int = 0
    last_used_at: float | None = None
    """Unix seconds, to a few seconds."""


class DesiredState(Struct, frozen=True, kw_only=True):
    deployments: Mapping[str, Deployment]
    cordoned_nodes: frozenset[str] = frozenset()
    """Addresses of nodes that take no new replica."""
    drained_nodes: frozenset[str] = frozenset()
    """Addresses of nodes that shall have none at all."""
    can_grow: bool = False
    """Whether Ray gets more nodes when replicas wait for one."""


class ObservedApplication(Struct, frozen=True, kw_only=True):
    """One Ray Serve application, which holds one replica, as Serve tells it."""

    name: str
    deployment: str
    spec_digest: str
    slot: int
    """All three read off the name."""
    node: str = ""
    """Address of the node that its replica must run on; empty: whichever Ray finds."""
    gpus: tuple[int, ...] = ()
    """Which GPUs of its node are its own; empty where Ray assigns them, or it needs none."""
    need: Need = Need()
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
    gpus: float
    memory_bytes: int
    labels: Mapping[str, str] = field(default_factory=dict)


class ObservedState(Struct, frozen=True, kw_only=True):
    applications: Mapping[str, ObservedApplication] = field(default_factory=dict)
    endpoints: tuple[Endpoint, ...] = ()
    failures: Mapping[str, ReplicaFailure] = field(default_factory=dict)
    nodes: tuple[ObservedNode, ...] = ()
    hosts: tuple[HostRecord, ...] = ()
    """What the processes of hosts tell: weights, disks, GPUs."""


class StartApplication(Struct, frozen=True, kw_only=True, tag=True):
    """Create the Serve application of one replica."""

    deployment: Deployment
    spec_digest: str
    slot: int
    node: str = ""
    """Address of the node that takes it; empty: whichever has or gets room."""
    gpus: tuple[int, ...] = ()
    """Which of its GPUs are the replica's own; empty where Ray assigns them, or it needs none."""
    reason: str


class StopApplication(Struct, frozen=True, kw_only=True, tag=True):
    name: str
    reason: str


class SleepReplica(Struct, frozen=True, kw_only=True, tag=True):
    """Have a replica give its GPUs back and keep its weights in the host's memory."""

    name: str
    """Of its application."""
    reason: str


class WakeReplica(Struct, frozen=True, kw_only=True, tag=True):
    """Have a replica that sleeps take its GPUs again."""

    name: str
    """Of its application."""
    reason: str


Action = StartApplication | StopApplication | SleepReplica | WakeReplica


class DeploymentState(StrEnum):
    STARTING = "starting"
    READY = "ready"
    DEGRADED = "degraded"
    """Some replicas are ready, fewer than wanted."""
    SWAPPING = "swapping"
    """No replica takes requests while weights are swapped: they wait."""
    ASLEEP = "asleep"
    """Without replicas; the next request starts one."""
    STOPPED = "stopped"
    FAILED = "failed"


class ScalingRecord(Struct, frozen=True, kw_only=True):
    """A decision of the autoscaler that changed something, or why."""

    at: float
    """Unix seconds."""
    before: int
    decision: ScalingDecision
    granted: int
    """Replicas that it gets, which is less than the decision's target where there is no room."""
    shortage: Sentence | None = None
    """Why it is less."""


class ScalingLog(Struct, frozen=True, kw_only=True):
    """What the autoscaler keeps of one deployment. Writer: the autoscaler."""

    memory: ScalingMemory = ScalingMemory()
    records: tuple[ScalingRecord, ...] = ()
    """Oldest first."""


class DeploymentStatus(Struct, frozen=True, kw_only=True):
    """A deployment in one word, with the reason and how many replicas stand behind it."""

    state: DeploymentState
    reason: Sentence
    ready_replicas: int
    starting_replicas: int
    eta_s: float | None = None
    """Time until the first replica is ready, from the last start that was measured."""
    described_at: float = 0
    """`updated_at` of the deployment that this describes: a status of what was wanted before is not shown."""
    max_model_len: int | None = None
    """Context length in tokens that the replicas really serve, or the one asked for until one does."""
