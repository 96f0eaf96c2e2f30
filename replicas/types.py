"""What a replica reads and what it publishes. PURE: plain data, no I/O.

Records are JSON in the store (never pickle). The writer of each key stands beside it; everyone else reads.
Times are Unix seconds as floats.
"""

from enum import StrEnum
from typing import Any

from msgspec import Struct, field

ROUTER_ID_HEADER = "x-roundhouse-router"
"""Header in which a router tells a replica who it is; behind the replica's token, so nobody else can."""
REVISION_HEADER = "x-roundhouse-revision"
"""Header of every answer: the weights that gave it."""
PREPARE_SWAP_PATH = "/-/swap/prepare"
SWAP_PATH = "/-/swap"
"""Of a replica's HTTP server, for a `SwapOrder` by POST, behind the replica's token."""
END_PATH = "/-/end"
"""By POST: finish what is in flight, then end; a new replica starts in this one's place."""
SLEEP_PATH = "/-/sleep"
"""By POST: finish what is in flight, then give the GPUs back and keep the weights in the host's memory."""
WAKE_PATH = "/-/wake"
"""By POST: take the same GPUs again. Answered once the store says that they are taken."""
LOG_PATH = "/-/log"
"""By GET: a `LogPart` of what the replica writes down, behind `?after=` if that is given."""
ENDPOINT_IDS_KEY = "roundhouse:endpoint-ids"
"""Set of replica ids. Writer: replicas add, the orchestrator removes those whose lease has ended."""
CHANGES_CHANNEL = "roundhouse:changes"
"""Pub/sub channel. A message names what changed (`endpoints`, `catalog`, `credentials`); readers read it again."""


def endpoint_key(replica_id: str) -> str:
    """Key of an `Endpoint` record, set with an expiry: the lease. Writer: the replica."""
    return f"roundhouse:endpoint:{replica_id}"


def spec_key(deployment: str) -> str:
    """Key of the `ReplicaSpec` that a replica of `deployment` must load when it starts. Writer: the orchestrator."""
    return f"roundhouse:spec:{deployment}"


def failure_key(deployment: str) -> str:
    """Key of the newest `ReplicaFailure` of `deployment`, kept for an hour. Writer: its replicas."""
    return f"roundhouse:failure:{deployment}"


def last_log_key(replica_id: str) -> str:
    """Key of the `LogPart` with which a replica that failed ended, kept as long as its failure. Writer: the replica."""
    return f"roundhouse:last-log:{replica_id}"


class EngineKind(StrEnum):
    VLLM = "vllm"
    SIMULATED = "simulated"


class ReplicaState(StrEnum):
    STARTING = "starting"
    READY = "ready"
    CORDONED = "cordoned"
    """Serves what it has and gets nothing new."""
    DRAINING = "draining"
    ASLEEP = "asleep"
    """Its weights are in the host's memory and its GPUs are free for others, until it is told to wake."""


class SimulationSettings(Struct, frozen=True, kw_only=True):
    """How the simulated engine behaves. Times grow with load as a real engine's do."""

    start_s: float = 0.0
    """Time between start and ready."""
    prefill_tokens_per_s: float = 8000.0
    inter_token_s: float = 0.02
    """Time between two tokens of one request when it runs alone."""
    inter_token_per_running_s: float = 0.0005
    """Added to `inter_token_s` for each further running request."""
    swap_s: float = 0.0
    """What a reload of other weights takes."""
    wake_s: float = 0.0
    """Time between being woken and ready."""
    weights_bytes: int = 0
    """Host memory that it takes while it sleeps."""
    kv_capacity_tokens: int = 65536
    block_tokens: int = 16
    max_running: int = 64


class ReplicaSpec(Struct, frozen=True, kw_only=True):
    """What one replica of a deployment serves, as the orchestrator wants it now."""

    deployment: str
    spec_digest: str = ""
    """Names what the orchestrator wants now; endpoints and failures repeat it, so that nobody takes old for new."""
    model: str
    """Public model name; the engine answers to it."""
    engine: EngineKind
    revision: str
    """Digest of the weights' manifest."""
    weights_path: str = ""
    """Folder that holds the revision. Empty for the simulated engine."""
    max_model_len: int | None = None
    """Context length in tokens; None leaves it to the engine."""
    gpus_per_replica: float = 0
    """0 serves on the CPU."""
    cpu_threads: int | None = None
    """OpenMP threads of an engine on the CPU; None takes every core that the replica may use."""
    kv_cache_bytes: int | None = None
    """KV cache of an engine on the CPU; None is 1 GiB."""
    engine_args: dict[str, Any] = field(default_factory=dict)
    """Further vLLM engine arguments, by their Python names."""
    sleep_mode: bool = False
    """The engine must be able to sleep."""
    drain_deadline_s: float = 60.0
    """How long in-flight requests may take to end once the replica is told to stop."""
    canary_interval_s: float = 30.0
    canary_timeout_s: float = 60.0
    """A generation of one token that takes longer than this makes the replica unhealthy."""
    simulation: SimulationSettings = field(default_factory=SimulationSettings)


class SwapPhase(StrEnum):
    """How far a replica is with the swap that it was told last."""

    PREPARING = "preparing"
    """Fetching and checking the files; requests go on."""
    PREPARED = "prepared"
    DRAINING = "draining"
    """Cordoned; new requests wait, those in flight end."""
    RELOADING = "reloading"
    DONE = "done"
    REFUSED = "refused"
    """Nothing was touched: what it serves, it serves on."""
    FAILED = "failed"
    """The old weights are back, and proved."""


class SwapOrder(Struct, frozen=True, kw_only=True):
    """What the orchestrator tells a replica; the same one twice changes nothing."""

    swap_id: str
    revision: str
    weights_path: str
    deadline_s: float = 60.0
    """How long requests in flight may take to end; then they are cut."""
    fetch_only: bool = False
    """Of a preparation: bring the files to the host; another process will load them."""


class SwapReport(Struct, frozen=True, kw_only=True):
    """A replica's answer, in its endpoint."""

    swap_id: str
    revision: str
    phase: SwapPhase
    detail: str = ""
    """What it is doing, or why it would not, in words for a person."""
    drained_s: float | None = None
    """What it took until nothing was in flight, in seconds; None until then."""
    loaded_s: float | None = None
    """What loading the new weights took, in seconds; None until it is done."""
    reloaded_s: float | None = None
    """The same, with the proof."""


class EngineLoad(Struct, frozen=True, kw_only=True):
    """What an engine says of itself at one moment."""

    running: int = 0
    waiting: int = 0
    kv_usage: float = 0.0
    """Share of the KV cache in use, 0 to 1."""
    prompt_tokens_total: int = 0
    generation_tokens_total: int = 0


class EngineCapacity(Struct, frozen=True, kw_only=True):
    """What an engine that has started can take. None: not known."""

    max_model_len: int | None = None
    """Context length in tokens, as the engine decided it."""
    max_running: int | None = None
    """Requests that it decodes at once; more wait inside it."""
    kv_tokens: int | None = None
    """Tokens that its KV cache holds."""
    generates: bool = True
    """False: it embeds, classifies or scores."""
    takes_token_ids: bool = False
    """Completions from token ids give the text that the same tokens gave in a chat."""
    sleep_bytes: int | None = None
    """Host memory that its weights take while it sleeps; None: it cannot sleep."""


class Endpoint(Struct, frozen=True, kw_only=True):
    """A replica as the rest of the cluster sees it; valid while its lease lasts."""

    replica_id: str
    deployment: str
    spec_digest: str = ""
    model: str
    revision: str
    engine: EngineKind
    state: ReplicaState
    detail: str = ""
    """What a starting replica is doing now, in words for a person."""
    host: str
    port: int = 0
    """0 until the replica listens."""
    token: str = ""
    """Bearer token that every request to this replica must carry. Made by the replica at its start."""
    node_id: str = ""
    application: str = ""
    """Serve application that holds the replica; it holds no other."""
    gpus: tuple[str, ...] = ()
    """Accelerator ids; empty on the CPU."""
    pid: int = 0
    max_model_len: int | None = None
    epoch: int = 0
    """Raised when the engine's prefix cache was emptied (a swap, a sleep): what routers believe to be cached is not."""
    max_running: int | None = None
    """Requests that the engine decodes at once; more wait inside it. None: not known."""
    kv_capacity_tokens: int | None = None
    """Tokens that the engine's KV cache holds. None: not known."""
    takes_token_ids: bool = False
    """Completions from token ids give the text that the same tokens gave in the chat: streams can be continued here."""
    sleep_bytes: int | None = None
    """Host memory that it takes while it sleeps; None: it cannot sleep."""
    in_flight: int = 0
    """Requests inside the replica's HTTP server."""
    in_flight_by_router: dict[str, int] = field(default_factory=dict)
    """The same, by the id that each router sends along."""
    load: EngineLoad = EngineLoad()
    swap: SwapReport | None = None
    """The last swap that it was told of; None before the first."""
    started_at: float
    state_since: float


class ReplicaFailure(Struct, frozen=True, kw_only=True):
    """Why a replica could not start or had to stop."""

    replica_id: str
    deployment: str
    spec_digest: str = ""
    revision: str
    reason: str
    """A sentence that a user understands and what to do."""
    permanent: bool
    """True when trying again with the same spec cannot help (not a model, unknown architecture)."""
    at: float


class LogLine(Struct, frozen=True):
    stream: str
    """`out` or `err`."""
    text: str


class LogPart(Struct, frozen=True, kw_only=True):
    """Lines that a replica and its engine have written; in their order within each stream."""

    lines: tuple[LogLine, ...]
    position: str
    """Behind them: what to ask for the next ones with."""
