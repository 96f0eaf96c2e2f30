"""Bodies of the admin API that are about the library of weights."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from orchestrator.api.body import NAME_PATTERN, Body
from orchestrator.api.sentence_schemas import Sentences

ModelStateName = Literal["receiving", "verifying", "ready", "rejected"]
UploadStateName = Literal["receiving", "complete", "expired"]


class ProgressView(BaseModel):
    phase: str
    sentences: Sentences
    done: int
    total: int
    unit: str
    eta_s: float | None


class RevisionView(BaseModel):
    digest: str
    state: ModelStateName
    reason: str
    sentences: Sentences
    source: str
    author: str
    notes: str
    created_at: float
    size_bytes: int
    architecture: str
    max_model_len: int | None
    parameters: int | None
    dtype: str
    quantization: str
    warnings: list[str]
    deployments: list[str]


class UploadSummary(BaseModel):
    id: str
    name: str
    author: str
    description: str
    notes: str
    state: UploadStateName
    created_at: float
    updated_at: float
    expires_at: float
    received_bytes: int
    total_bytes: int
    revision: str
    """Digest of the manifest, once complete."""


class FitView(BaseModel):
    """Bytes are those of each GPU, or of a replica's processes on the CPU."""

    fits: bool = Field(description="Whether the engine would start now")
    reason: str
    sentences: Sentences
    weights_bytes: int
    activation_bytes: int
    engine_bytes: int
    kv_cache_bytes: int = Field(description="For all the requests at once")
    kv_request_bytes: int = Field(description="For one of them, without which the engine does not start")
    kv_available_bytes: int
    needed_bytes: int
    room_bytes: int
    context_tokens: int
    longest_context_tokens: int | None = Field(description="With which the engine starts")
    max_context_tokens: int | None = Field(description="Of which that many requests run at once")
    max_concurrency: int = Field(description="Requests of that length that run at once; more wait")
    gpus_needed: int | None
    error: float = Field(description="Relative, of all but the KV cache")
    calibrated: bool
    assumptions: list[str]


class GcView(BaseModel):
    freed_bytes: int
    revisions: list[str]
    contents: int
    partial: int
    dry_run: bool


class ModelView(BaseModel):
    name: str
    source: str
    state: ModelStateName
    reason: str
    sentences: Sentences
    revision: str
    size_bytes: int
    architecture: str
    max_model_len: int | None
    created_at: float
    progress: ProgressView | None
    description: str
    tags: list[str]
    licence: str
    task: str
    deployments: list[str]
    revisions: list[RevisionView]


class ModelImport(Body):
    source: str = Field(
        max_length=4096,
        description="`hf:OWNER/NAME`, `modelscope:OWNER/NAME`, `OWNER/NAME`, each with `@REVISION` where one is meant; "
        "`s3://BUCKET/PREFIX`; a folder's or a `.gguf` file's path on the orchestrator's host; `builtin:smollm2`",
    )
    name: str | None = Field(default=None, pattern=NAME_PATTERN, description="None: the source's own")
    description: str = Field(default="", max_length=4096)
    notes: str = Field(default="", max_length=4096, description="What is new in this revision")
    link: bool = Field(
        default=False, description="Share a folder's files instead of copying them; nobody may write to them any more"
    )
    only_if_missing: bool = Field(default=False, description="Leave a model of this source that is ready as it is")
    even_if_too_large: bool = Field(default=False, description="Fetch also what no machine here could serve")


class ModelChange(Body):
    """What is left out stays."""

    description: str | None = Field(default=None, max_length=4096)
    tags: list[Annotated[str, Field(pattern=r"^[^\x00-\x1f,]{1,64}$")]] | None = Field(default=None, max_length=32)
    licence: str | None = Field(default=None, max_length=128)
    task: str | None = Field(default=None, max_length=64, description="Empty: what the architecture tells")
