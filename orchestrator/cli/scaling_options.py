"""Options of `deploy` that say how many replicas there are, and where."""

import dataclasses
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from msgspec import structs
from typer import Option

from orchestrator.cli.durations import parse_duration
from orchestrator.cli.node_labels import labels_of
from orchestrator.errors import InvalidRequestError
from orchestrator.scaling.schedules import parse_schedule

_HOW, _WHERE = "Scaling", "Placement"


@dataclass(frozen=True)
class ScalingOptions:
    """With none of them given the number of replicas is fixed. Fields are named as in the API."""

    min_replicas: Annotated[
        int | None, Option(min=0, help="Least replicas; 0: it sleeps while nobody asks.", rich_help_panel=_HOW)
    ] = None
    max_replicas: Annotated[int | None, Option(min=1, help="Most replicas.", rich_help_panel=_HOW)] = None
    target_wait_s: Annotated[
        float | None,
        Option(
            "--target-wait",
            parser=parse_duration,
            metavar="TIME",
            help="How long a request may wait for its first token.",
            rich_help_panel=_HOW,
        ),
    ] = None
    idle_timeout_s: Annotated[
        float | None,
        Option(
            "--idle-timeout",
            parser=parse_duration,
            metavar="TIME",
            help="Sleep after so long without a request, like 10m.",
            rich_help_panel=_HOW,
        ),
    ] = None
    priority: Annotated[
        int | None, Option(help="Where GPUs are short, a higher one goes first.", rich_help_panel=_HOW)
    ] = None
    weight: Annotated[
        float | None, Option(min=0, help="Share of the GPUs among equal priorities.", rich_help_panel=_HOW)
    ] = None
    schedules: Annotated[
        list[str] | None,
        Option("--schedule", help="Replicas in a window, as '0 8 * * 1-5 for 10h: 2'.", rich_help_panel=_HOW),
    ] = None

    def body(self) -> dict[str, Any] | None:
        """`scaling` of a deployment's body; None if no option says anything of it. Raises InvalidRequestError."""
        said = {name: value for name, value in dataclasses.asdict(self).items() if value not in (None, [])}
        if not said:
            return None
        if self.max_replicas is None:
            raise InvalidRequestError("Say also how many replicas there may be: --max-replicas.")
        if self.schedules:
            said["schedules"] = [structs.asdict(parse_schedule(text)) for text in self.schedules]
        return said


@dataclass(frozen=True)
class PlacementOptions:
    placement: Annotated[
        Literal["spread", "pack"],
        Option(help="New replicas on as many hosts as there are, or on as few as possible.", rich_help_panel=_WHERE),
    ] = "spread"
    node_labels: Annotated[
        list[str] | None,
        Option("--node-label", help="NAME=VALUE that a host must carry (`join --label`).", rich_help_panel=_WHERE),
    ] = None

    def body(self) -> dict[str, Any]:
        """Their part of a deployment's body. Raises InvalidRequestError."""
        return {"placement": self.placement, "node_labels": labels_of(self.node_labels or [])}
