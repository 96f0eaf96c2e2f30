"""What the router reads from and writes to the store, and what its pure functions speak of. PURE.

Writers: the orchestrator writes catalog and credentials; replicas write endpoints (`replicas.types`); each router
writes its own load report.
"""

from enum import IntEnum, StrEnum

from msgspec import Struct

CATALOG_KEY = "roundhouse:catalog"
"""Hash: public model name -> `CatalogEntry`."""
ALIASES_KEY = "roundhouse:aliases"
"""Hash: alias -> `Alias`."""
CREDENTIALS_KEY = "roundhouse:credentials"
"""Hash: SHA-256 digest (hex) of a key or session token -> `Credential`."""
ROUTER_IDS_KEY = "roundhouse:router-ids"
"""Set of router ids. Writer: routers add, readers remove those whose report has expired."""


def router_report_key(router_id: str) -> str:
    """Key of a `RouterReport`, set with an expiry. Writer: that router, four times a second."""
    return f"roundhouse:router:{router_id}"


def key_use_key(key_id: str) -> str:
    """Key of a hash of what a key has used: requests, prompt_tokens, generated_tokens, last_used_at (Unix seconds).

    Writer: routers add to it, every few seconds; the orchestrator removes it with the key.
    """
    return f"roundhouse:key-use:{key_id}"


class ModelStatus(StrEnum):
    """The one word that clients see beside a model."""

    STARTING = "starting"
    READY = "ready"
    ASLEEP = "asleep"
    SWAPPING = "swapping"
    STOPPED = "stopped"
    FAILED = "failed"


class PolicyName(StrEnum):
    LEAST_LOADED = "least-loaded"
    POWER_OF_TWO = "power-of-two"
    SESSION_AFFINITY = "session-affinity"
    PREFIX_AWARE = "prefix-aware"


class RoutingSettings(Struct, frozen=True, kw_only=True):
    """How the requests of one deployment are routed and queued."""

    policy: PolicyName = PolicyName.PREFIX_AWARE
    target_ttft_s: float = 2.0
    """Time to first token that users of this model should see. A cached replica is left for another once it would
    cost a set share of this more."""
    max_in_flight: int | None = None
    """Requests inside one replica at once; None follows the engine's own limit."""
    queue_requests: int = 2000
    """More than this many waiting requests are refused with 429."""
    queue_tokens: int = 8_000_000
    queue_bytes: int = 256 * 1024 * 1024
    queue_timeout_s: float = 120.0
    """How long a request may wait for a replica that is there but busy."""
    cold_start_timeout_s: float = 300.0
    """How long a request may wait for the first replica to start or wake."""
    continue_streams: bool = True
    """Go on with a stream on another replica when its own is lost."""


class ExternalEngine(Struct, frozen=True, kw_only=True):
    """An OpenAI-compatible server that somebody else runs."""

    name: str
    url: str
    """Base URL up to and including `/v1` or whatever stands in its place."""
    key: str = ""
    """Sent as bearer token."""
    model: str = ""
    """What the model is called there; empty: as here."""
    weight: float = 0.0
    """Share of requests relative to one replica of ours; 0: only when no replica has room."""
    max_in_flight: int = 64
    health_path: str = "/models"
    """Below `url`; any answer under 400 is healthy."""


class AliasTarget(Struct, frozen=True):
    model: str
    weight: float
    """Its share relative to the other targets."""


class Alias(Struct, frozen=True, kw_only=True):
    """A public name whose requests go to models of other names."""

    name: str
    targets: tuple[AliasTarget, ...]
    created_at: float
    """Unix seconds, as is the next one."""
    updated_at: float


class Canary(Struct, frozen=True, kw_only=True):
    """A revision on trial: only a part of the sessions goes to its replicas."""

    id: str
    """Of the swap that it belongs to; empty: nobody wants to know how it fares."""
    revision: str
    share: float
    """Of the sessions, 0 to 1; with 0 they get nothing while others are ready."""


class CatalogEntry(Struct, frozen=True, kw_only=True):
    """A model that clients may name, whether or not a replica of it is up."""

    name: str
    created: int
    """Unix seconds."""
    status: ModelStatus
    detail: str = ""
    """Why it is not ready, or what it is doing, in words for a person."""
    revision: str = ""
    """What its replicas should serve now."""
    revisions: tuple[str, ...] = ()
    """Revisions whose replicas may take requests; empty: any. During a swap the old and the new one."""
    max_model_len: int | None = None
    description: str = ""
    simulated: bool = False
    images: bool = False
    """It takes pictures beside text."""
    retry_after_s: int = 10
    """What a client is told to wait when no replica is ready: the time left of a start, as measured before."""
    routing: RoutingSettings = RoutingSettings()
    cordoned: tuple[str, ...] = ()
    """Replica ids that get nothing new."""
    canary: Canary | None = None
    external: tuple[ExternalEngine, ...] = ()


class Role(StrEnum):
    ADMIN = "admin"
    USER = "user"


class Priority(IntEnum):
    """A band of the queue: everything in a higher one goes first."""

    LOW = 0
    NORMAL = 1
    HIGH = 2


class CredentialKind(StrEnum):
    KEY = "key"
    SESSION = "session"


class Credential(Struct, frozen=True, kw_only=True):
    """Who may come in. The secret itself is never stored; its digest is the hash field."""

    id: str
    name: str
    role: Role
    kind: CredentialKind
    created_at: float
    expires_at: float | None = None
    parent: str = ""
    """Of a session: id of the key that opened it, with which it is revoked."""
    hint: str = ""
    """The secret's first characters, for a person to recognise it by."""
    tenant: str = ""
    """Who shares one fair share of the queue; empty: this key alone."""
    tenant_weight: float = 1.0
    """Size of the share relative to other tenants'."""
    max_priority: Priority = Priority.NORMAL
    """Highest band that a request with this key may ask for."""

    @property
    def fair_share_of(self) -> str:
        """Name of the tenant that requests with this credential are counted for."""
        return self.tenant or self.parent or self.id


class ModelLoad(Struct, frozen=True, kw_only=True):
    """What one router sees of one model: the autoscaler's signals. Totals never fall while the router lives."""

    queued: int = 0
    queued_tokens: int = 0
    oldest_wait_s: float = 0.0
    in_flight: int = 0
    arrivals_total: int = 0
    prompt_tokens_total: int = 0
    generated_tokens_total: int = 0
    sheds_total: int = 0
    arrivals_per_s: float = 0.0
    """Of the last seconds, as are the two rates below."""
    prompt_tokens_per_s: float = 0.0
    generated_tokens_per_s: float = 0.0


class ModelTotals(Struct, frozen=True, kw_only=True):
    """What one router has measured of one model's requests that ended. Nothing of it falls while the router lives."""

    requests: int = 0
    errors: int = 0
    """Of those: answers with a status of 500 or more, and answers that broke off."""
    refusals: int = 0
    """Of those: turned away with 429."""
    prompt_tokens: int = 0
    generated_tokens: int = 0
    first_token_s: tuple[int, ...] = ()
    """Counts by bucket of `router.histogram.SECONDS`, as is the next one. From the request's headers on."""
    queue_s: tuple[int, ...] = ()


class RevisionCounts(Struct, frozen=True, kw_only=True):
    """What became of what one router sent to one revision while a canary was on."""

    answered: int = 0
    """Answers that came whole, with a status under 400."""
    failed: int = 0
    """Attempts that ended without a whole answer, and answers with a status of 500 or more."""
    refused: int = 0
    """Answers with a status from 400 to 499."""
    finishes: dict[str, int] = {}
    """Of those answered, as far as it is known: `stop`, `length`, `tool`, `other`; `empty` where there is no text."""
    first_token_s: tuple[int, ...] = ()
    """Counts by bucket of `router.histogram.SECONDS`, as is the next one: of streams, from their sending on."""
    whole_s: tuple[int, ...] = ()
    """Of answers in one piece."""


class CanaryCounts(Struct, frozen=True, kw_only=True):
    """How the old and the new revision fare side by side, since the canary of this id began."""

    id: str
    old: RevisionCounts = RevisionCounts()
    new: RevisionCounts = RevisionCounts()


class RouterReport(Struct, frozen=True, kw_only=True):
    """One router's load by public model name. Models without any traffic since its start are left out."""

    router_id: str
    at: float
    """Unix seconds."""
    models: dict[str, ModelLoad]
    totals: dict[str, ModelTotals] = {}
    canaries: dict[str, CanaryCounts] = {}
    """Of models that have one on."""
