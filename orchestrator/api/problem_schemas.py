"""Bodies of the admin API about what is wrong."""

from typing import Literal

from pydantic import BaseModel

from orchestrator.api.sentence_schemas import SentenceView


class FixView(BaseModel):
    remedy: Literal["open", "retry", "scale", "uncordon"]
    name: str
    """Of the deployment or the replica that it is done to."""
    replicas: int | None
    page: str
    """Of `open`: path below the admin pages."""


class ProblemView(BaseModel):
    kind: str
    """One word for the sentence; `values` has what it says beside its words."""
    severity: Literal["bad", "warning"]
    subject: str
    message: str
    values: dict[str, str | float | SentenceView]
    fix: FixView | None
    log: str
    """Id of the replica whose log says more."""
