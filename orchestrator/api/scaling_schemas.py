"""Bodies of the admin API that are about how many replicas there are."""

from typing import Self

from msgspec import structs
from pydantic import BaseModel, Field, model_validator

from orchestrator.api.body import Body
from orchestrator.api.sentence_schemas import Sentences
from orchestrator.errors import RoundhouseError
from orchestrator.scaling.schedules import check_settings
from orchestrator.scaling.types import Cause, ScalingSettings, Schedule

_SETTINGS = ScalingSettings()


class ScheduleBody(Body):
    """A window that comes again and again, in which there are at least so many replicas."""

    cron: str = Field(max_length=200, description="When it begins: five fields, minute first")
    duration_s: float = Field(gt=0)
    min_replicas: int = Field(ge=1, le=1024)
    time_zone: str = Field(default="UTC", max_length=64, description="As `Asia/Shanghai`")


class Scaling(Body):
    """How the number of replicas follows the load."""

    min_replicas: int = Field(default=_SETTINGS.min_replicas, ge=0, le=1024, description="0: it may sleep")
    max_replicas: int = Field(default=_SETTINGS.max_replicas, ge=1, le=1024)
    target_wait_s: float | None = Field(
        default=_SETTINGS.target_wait_s,
        gt=0,
        le=3600,
        description="How long a request may wait for its first token; None: the deployment's target_ttft_s",
    )
    idle_timeout_s: float | None = Field(
        default=_SETTINGS.idle_timeout_s,
        ge=0,
        le=30 * 86400,
        description="It sleeps after so long without a request; None: from what a start costs",
    )
    priority: int = Field(
        default=_SETTINGS.priority, ge=-1000, le=1000, description="Where GPUs are short, a higher one goes first"
    )
    weight: float = Field(
        default=_SETTINGS.weight, gt=0, le=1000, description="Share of the GPUs among deployments of one priority"
    )
    schedules: list[ScheduleBody] = Field(default_factory=list, max_length=50)

    @model_validator(mode="after")
    def _can_be_followed(self) -> Self:
        try:
            check_settings(self.settings())
        except RoundhouseError as error:
            raise ValueError(error.message) from error
        return self

    def settings(self) -> ScalingSettings:
        plain = self.model_dump(exclude={"schedules"})
        return ScalingSettings(**plain, schedules=tuple(Schedule(**each.model_dump()) for each in self.schedules))

    @classmethod
    def of(cls, settings: ScalingSettings) -> Self:
        return cls(**structs.asdict(settings) | {"schedules": [structs.asdict(each) for each in settings.schedules]})


class OverrideView(BaseModel):
    """A number of replicas that an admin set by hand."""

    replicas: int
    until: float | None = Field(description="Unix seconds; None: until it is taken back")


class ScaleBody(Body):
    """Either a number of replicas or `auto`."""

    replicas: int | None = Field(default=None, ge=0, le=1024)
    for_s: float | None = Field(
        default=None, gt=0, le=366 * 86400, description="Then the load decides again; None: until it is taken back"
    )
    auto: bool = Field(default=False, description="Take back what was set by hand")

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if self.auto is (self.replicas is not None):
            raise ValueError("say either how many replicas, or auto")
        if self.auto and self.for_s is not None:
            raise ValueError("auto needs no time")
        return self


class ScalingInputsView(BaseModel):
    """The figures behind a decision."""

    arrivals_per_s: float
    prompt_tokens: float = Field(description="Mean of a request, as is the next")
    output_tokens: float
    demand: float = Field(description="Replicas that the traffic keeps busy")
    backlog_s: float = Field(description="Work that is queued, in seconds of one replica's time")
    queued: int
    in_flight: int
    oldest_wait_s: float
    expected_wait_s: float = Field(description="By the time at which a replica started now would be ready, without it")
    needed: float = Field(description="Replicas for the demand, with room for its fluctuation")
    recent_need: float = Field(description="The most of those lately")
    ready: int
    starting: int
    cold_start_s: float
    target_wait_s: float
    idle_s: float


class ScalingRecordView(BaseModel):
    """A decision that changed something, or why."""

    at: float
    before: int
    target: int
    granted: int = Field(description="Less than the target where there is no room")
    reason: str
    cause: Cause = Field(description="One word for the reason, so that pages can say it in their own language")
    values: dict[str, float] = Field(description="What the reason has beside its words; names of times end in `_s`")
    shortage: str
    sentences: Sentences
    inputs: ScalingInputsView


class ScalingView(BaseModel):
    """How many replicas a deployment has, and why."""

    deployment: str
    replicas: int
    scaling: Scaling | None = Field(description="None: the number is fixed")
    override: OverrideView | None
    records: list[ScalingRecordView] = Field(description="Oldest first")
