"""Bodies of the admin API about the last 24 hours: columns, one value for each time."""

from typing import Literal

from pydantic import BaseModel, Field

WindowName = Literal["1h", "6h", "24h"]
Column = list[float | None]
"""None: nothing was recorded then."""


class ModelSeriesView(BaseModel):
    name: str
    """Empty: all models together."""
    requests_per_s: Column
    errors_per_s: Column
    refusals_per_s: Column
    prompt_tokens_per_s: Column
    generated_tokens_per_s: Column
    in_flight: Column
    queued: Column
    """The most at one time."""
    first_token_p50_s: Column
    first_token_p99_s: Column
    queue_p50_s: Column
    queue_p99_s: Column


class HostSeriesView(BaseModel):
    address: str
    gpu_usage: Column
    """0 to 1, the mean of its GPUs."""
    gpu_used_bytes: Column
    gpu_memory_bytes: Column
    disk_free_bytes: Column


class ReplicaSeriesView(BaseModel):
    id: str
    deployment: str
    running: Column
    kv_usage: Column
    """0 to 1."""


class HistoryView(BaseModel):
    window: WindowName
    step_s: int
    at: list[float] = Field(description="Unix seconds at which each value's time begins")
    total: ModelSeriesView
    models: list[ModelSeriesView]
    hosts: list[HostSeriesView]
