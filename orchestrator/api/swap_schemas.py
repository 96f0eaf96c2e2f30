"""Bodies of the admin API that are about swaps."""

from typing import Literal

from pydantic import BaseModel, Field

from orchestrator.api.body import Body
from orchestrator.api.sentence_schemas import Sentences

StrategyName = Literal["in-place", "surge", "restart"]
StepName = Literal[
    "queued", "preparing", "first", "canary", "returning", "rolling", "restarting", "undoing", "done", "failed"
]


class CanaryBody(Body):
    """A trial beside the old revision, after which the new one is promoted or goes back by how it fared."""

    share: float = Field(gt=0, lt=1, description="Of the sessions that the new revision gets")
    for_s: float = Field(default=600, ge=0, le=604_800, description="It is promoted no sooner")
    requests: int = Field(default=100, ge=1, le=10**9, description="Nor before each revision has given so many answers")


class SwapBody(Body):
    revision: str = Field(max_length=128, description="Digest of a ready revision of the deployment's model")
    strategy: StrategyName | None = Field(default=None, description="None: what the two revisions allow")
    deadline_s: float | None = Field(
        default=None, ge=0, le=3600, description="For requests in flight to end; None: the deployment's drain deadline"
    )
    canary: CanaryBody | None = Field(default=None, description="None: the new revision follows at once")
    queue: bool = Field(default=False, description="Behind a swap that is on, instead of being refused")


class SwapView(BaseModel):
    id: str
    deployment: str
    from_revision: str
    to_revision: str
    strategy: StrategyName
    why: str
    """Why this strategy."""
    canary: CanaryBody | None
    verdict: str
    """How the canary fared."""
    step: StepName
    detail: str
    reason: str
    """Why it failed, and what to do."""
    sentences: Sentences
    replica: str
    by: str
    active: bool
    started_at: float
    ended_at: float | None
