"""What `allocate` reads and decides: GPUs, who wants them, who has them. PURE: plain data."""

from msgspec import Struct

from orchestrator.sentences import Sentence
from replicas.types import ReplicaState


class GpuNode(Struct, frozen=True, kw_only=True):
    """A node and its GPUs."""

    id: str
    gpus: tuple[float, ...] = ()
    """What of each GPU is ours to give: 1.0 all of it. Includes what our own replicas hold."""
    cordoned: bool = False
    """It gets nothing new."""
    labels: dict[str, str] = {}


class PlacedReplica(Struct, frozen=True, kw_only=True):
    """A replica that runs, starts or drains, and what it holds."""

    replica_id: str
    state: ReplicaState
    node_id: str
    gpus: tuple[int, ...] = ()
    """Indices into the node's `gpus`; one index where it holds a share of a GPU."""
    started_at: float = 0.0
    ready_at: float | None = None
    in_flight: int = 0
    kv_usage: float = 0.0
    """Share of its KV cache in use: what is lost with it."""


class Wish(Struct, frozen=True, kw_only=True):
    """What one deployment would like to have."""

    deployment: str
    wanted: int
    """`ScalingDecision.target`."""
    needed: int
    """`ScalingDecision.needed`: what is beyond that may go where others need room."""
    min_replicas: int = 0
    priority: int = 0
    weight: float = 1.0
    gpus_per_replica: float = 1.0
    """Whole GPUs of one node, or a share of one GPU, or 0."""
    labels: dict[str, str] = {}
    """That a node must have."""
    spread: bool = False
    """Replicas on as many nodes as possible; else on as few GPUs as possible."""
    cold_start_s: float = 30.0
    waiting_since: float | None = None
    """When the oldest request that waits came; None: none waits."""
    replicas: tuple[PlacedReplica, ...] = ()


class Place(Struct, frozen=True, kw_only=True):
    """Where a replica goes."""

    node_id: str
    gpus: tuple[int, ...] = ()


class Start(Struct, frozen=True, kw_only=True):
    deployment: str
    place: Place
    reason: str


class Drain(Struct, frozen=True, kw_only=True):
    """Cordon a replica, let what is in flight end, then stop it."""

    deployment: str
    replica_id: str
    reason: str


class Grant(Struct, frozen=True, kw_only=True):
    """What a deployment gets of what it wanted."""

    replicas: int
    """Running, starting, or to be started now."""
    awaited: int = 0
    """For which room is being made."""
    reason: Sentence | None = None
    """Why it is not all; None where it is."""


class Allocation(Struct, frozen=True, kw_only=True):
    grants: dict[str, Grant]
    """By deployment."""
    starts: tuple[Start, ...] = ()
    drains: tuple[Drain, ...] = ()
    gpus_wanted: float = 0.0
    """That no node has and nobody could give: more hosts would help."""
