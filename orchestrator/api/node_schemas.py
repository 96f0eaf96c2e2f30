"""Bodies of the admin API about machines and the weights on them."""

from typing import Literal

from pydantic import BaseModel, Field

from orchestrator.api.body import Body


class GpuView(BaseModel):
    index: int
    name: str
    memory_bytes: int
    free_bytes: int
    driver: str
    usage: float | None
    """Share of the time just past in which it computed, 0 to 1; None where the driver does not tell."""
    slices: list[str]
    """Parts that it is divided into, in the driver's words."""


class FetchView(BaseModel):
    """A revision on its way to a node."""

    revision: str
    done_bytes: int
    total_bytes: int
    """Of the files that the node lacked; 0 until that is known."""
    bytes_per_s: float
    eta_s: float | None = None
    sources: list[str]
    """Addresses of the nodes that files come from now."""


class FetchRefusalView(BaseModel):
    revision: str
    reason: str
    at: float


class NodeWeightsView(BaseModel):
    library: bool
    """These are the library's own files and no cache."""
    revisions: list[str]
    used_bytes: int
    limit_bytes: int | None = None
    disk_free_bytes: int
    """To the next 64 MiB."""
    fetches: list[FetchView]
    refusals: list[FetchRefusalView]
    """Of the last hour, oldest first."""


class NodeView(BaseModel):
    id: str
    address: str
    hostname: str
    alive: bool
    head: bool
    cordoned: bool
    drained: bool = Field(description="Its replicas move elsewhere, and none starts there")
    labels: dict[str, str]
    """By hand: no new replica starts there."""
    cpus: float
    cpus_free: float
    gpus: float
    gpus_free: float
    memory_bytes: int
    gpu_devices: list[GpuView]
    weights: NodeWeightsView | None = None
    """None while the node's process for weights does not report."""


class PrefetchBody(Body):
    nodes: list[str] | None = Field(default=None, min_length=1)
    """Addresses; left out: every node."""


class PrefetchView(BaseModel):
    node: str
    state: Literal["present", "fetching", "refused"]
    """What the node said at first; `GET /nodes` and its events show how far it is."""
    reason: str = ""
