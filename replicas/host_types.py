"""What each host of the cluster tells of itself: the weights it has, what it fetches, its disk and its GPUs. PURE.

A host's process publishes its `HostRecord` under a lease, as replicas do their endpoints.
"""

from msgspec import Struct

HOST_ADDRESSES_KEY = "roundhouse:host-addresses"
"""Set of host addresses. Writer: hosts add, the orchestrator removes those whose lease has ended."""


def host_key(address: str) -> str:
    """Key of a `HostRecord`, set with an expiry: the lease. Writer: the host's process."""
    return f"roundhouse:host:{address}"


class Gpu(Struct, frozen=True, kw_only=True):
    index: int
    name: str
    memory_bytes: int
    free_bytes: int
    driver: str
    usage: float | None = None
    """Share of the time just past in which it computed, 0 to 1; None where the driver does not tell."""
    slices: tuple[str, ...] = ()
    """Parts that it is divided into, in the driver's words: `MIG 1g.18gb`. A vGPU's own name says what it is."""


class FetchProgress(Struct, frozen=True, kw_only=True, tag="fetching"):
    """A revision on its way to a host."""

    revision: str
    done_bytes: int = 0
    total_bytes: int = 0
    """Of the files that the host lacked when the fetch began; 0 until that is known."""
    bytes_per_s: float = 0.0
    """Since the fetch began."""
    sources: tuple[str, ...] = ()
    """Addresses of the hosts that files come from now."""


class Fetched(Struct, frozen=True, kw_only=True, tag="fetched"):
    """The end of a fetch: the revision is on the host."""

    path: str
    """Its folder there."""


class FetchRefused(Struct, frozen=True, kw_only=True, tag="refused"):
    """The end of a fetch that could not be."""

    revision: str
    code: str
    """As the error's class has it: `not_found`, `insufficient_storage`, `source_unavailable`…"""
    message: str
    at: float = 0.0
    """Unix seconds; in a host's record."""


FetchLine = FetchProgress | Fetched | FetchRefused
"""What a host answers with to one who wants a revision: a line of progress now and then, and one of the other two."""


class HostRecord(Struct, frozen=True, kw_only=True):
    """A host as the rest of the cluster sees it; valid while its lease lasts."""

    address: str
    """Of the node, as replicas and Ray have it."""
    port: int
    token: str
    """Bearer token that every request to the host's process must carry. Made at its start."""
    hostname: str
    folder: str
    """Where its weights are there."""
    is_library: bool = False
    """Whether these are the library's own files, which are not a cache."""
    revisions: tuple[str, ...] = ()
    """Digests of those that are here whole."""
    fetches: tuple[FetchProgress, ...] = ()
    refusals: tuple[FetchRefused, ...] = ()
    """The newest ones, for some time."""
    used_bytes: int = 0
    """On disk, files that are being fetched too; what revisions share counts once."""
    limit_bytes: int | None = None
    """What the cache may fill now: the limit set for it, or less if the disk has less. None for the library."""
    disk_free_bytes: int = 0
    sent_bytes: int = 0
    """Of contents, to other hosts, since the start."""
    received_bytes: int = 0
    gpus: tuple[Gpu, ...] = ()
    started_at: float
