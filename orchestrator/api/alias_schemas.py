"""Bodies of the admin API that are about aliases."""

from typing import Literal

from pydantic import BaseModel, Field, field_validator

from orchestrator.api.body import NAME_PATTERN, Body

ShownStatus = Literal["starting", "ready", "asleep", "swapping", "stopped", "failed"]


class AliasTargetBody(Body):
    model: str = Field(pattern=NAME_PATTERN, description="Public name of a deployment")
    weight: float = Field(gt=0, le=1_000_000, description="Its share relative to the other targets'")


class AliasBody(Body):
    """A public name whose requests go to deployments of other names."""

    targets: list[AliasTargetBody] = Field(min_length=1, max_length=16)

    @field_validator("targets")
    @classmethod
    def _are_different(cls, value: list[AliasTargetBody]) -> list[AliasTargetBody]:
        if len({each.model for each in value}) < len(value):
            raise ValueError("a deployment is named twice; add its weights up")
        return value


class AliasTargetView(BaseModel):
    model: str
    weight: float
    share: float
    """Of the sessions while every target serves, 0 to 1."""
    status: ShownStatus


class AliasView(BaseModel):
    name: str
    status: ShownStatus
    """The best of its targets'."""
    targets: list[AliasTargetView]
    created_at: float
    updated_at: float
