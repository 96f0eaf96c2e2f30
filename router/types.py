"""What the router reads from the store, and what its pure functions speak of. PURE.

Writers: the orchestrator writes catalog and credentials; replicas write endpoints (`replicas.types`).
"""

from enum import StrEnum

from msgspec import Struct

CATALOG_KEY = "roundhouse:catalog"
"""Hash: public model name -> `CatalogEntry`."""
CREDENTIALS_KEY = "roundhouse:credentials"
"""Hash: SHA-256 digest (hex) of a key or session token -> `Credential`."""


class ModelStatus(StrEnum):
    """The one word that clients see beside a model."""

    STARTING = "starting"
    READY = "ready"
    ASLEEP = "asleep"
    SWAPPING = "swapping"
    STOPPED = "stopped"
    FAILED = "failed"


class CatalogEntry(Struct, frozen=True, kw_only=True):
    """A model that clients may name, whether or not a replica of it is up."""

    name: str
    created: int
    """Unix seconds."""
    status: ModelStatus
    detail: str = ""
    """Why it is not ready, or what it is doing, in words for a person."""
    revision: str = ""
    max_model_len: int | None = None
    description: str = ""
    simulated: bool = False
    retry_after_s: int = 10
    """What a client is told to wait when no replica is ready: the time left of a start, as measured before."""


class Role(StrEnum):
    ADMIN = "admin"
    USER = "user"


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
