"""What is known of an upload. PURE."""

from enum import StrEnum

from msgspec import Struct, field

GIB = 2**30


class SessionState(StrEnum):
    RECEIVING = "receiving"
    COMPLETE = "complete"
    """All files are whole and handed over to be verified."""
    EXPIRED = "expired"


class DeclaredFile(Struct, frozen=True):
    """A file that a client says it will send."""

    path: str
    size_bytes: int
    sha256: str = ""
    """What the content must hash to; empty when the client does not say."""


class Session(Struct, frozen=True, kw_only=True):
    """One revision being received; written to disk at every change."""

    id: str
    name: str
    """Of the model."""
    author: str
    description: str = ""
    notes: str = ""
    files: tuple[DeclaredFile, ...]
    created_at: float
    updated_at: float
    state: SessionState = SessionState.RECEIVING
    received: dict[int, str] = field(default_factory=dict)
    """SHA-256 of each file that is whole and synced, by its place in `files`."""
    parts: dict[str, int] = field(default_factory=dict)
    """Sizes in bytes of partial uploads, by their names."""
    joins: dict[int, tuple[str, ...]] = field(default_factory=dict)
    """Files that are being put together of parts, in this order."""
    revision: str = ""
    """Digest of the manifest, once complete."""
    finished: bool = False
    """The files were taken over or turned down; only this record is left."""

    @property
    def total_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)


class UploadLimits(Struct, frozen=True, kw_only=True):
    """How much is taken, and for how long it is kept."""

    ttl_s: float = 7 * 86_400
    """A session that nothing was sent to for so long expires."""
    reserve_bytes: int = GIB
    """Stays free on the disk."""
    files: int = 4_096
    sessions: int = 256
    """That are being received at once."""
    parts: int = 64
    """Partial uploads of one session at once."""
    idle_s: float = 60
    """A request that brings nothing for so long ends; what it brought is kept."""
    archive_ratio: float = 100
    """Unpacked bytes for each byte of an archive."""
    archive_members: int = 20_000
