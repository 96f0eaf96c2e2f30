"""Bodies of the admin API that are about swaps."""

from typing import Literal

from pydantic import BaseModel, Field

from orchestrator.api.body import Body

StrategyName = Literal["in-place", "surge", "restart"]
StepName = Literal["queued", "preparing", "first", "rolling", "restarting", "undoing", "done", "failed"]


class SwapBody(Body):
    revision: str = Field(max_length=128, description="Digest of a ready revision of the deployment's model")
    strategy: StrategyName | None = Field(default=None, description="None: what the two revisions allow")
    deadline_s: float | None = Field(
        default=None, ge=0, le=3600, description="For requests in flight to end; None: the deployment's drain deadline"
    )
    queue: bool = Field(default=False, description="Behind a swap that is on, instead of being refused")


class SwapView(BaseModel):
    id: str
    deployment: str
    from_revision: str
    to_revision: str
    strategy: StrategyName
    why: str
    """Why this strategy."""
    step: StepName
    detail: str
    reason: str
    """Why it failed, and what to do."""
    replica: str
    by: str
    active: bool
    started_at: float
    ended_at: float | None
