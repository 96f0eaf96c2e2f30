"""What `up` is doing and how long it will still take. PURE but for the file of measured times.

`up` reports events; a display folds them. The detached `up` writes the same events as JSON lines, so that the
terminal that started it shows the same display.
"""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

import msgspec
from msgspec import Struct


class Stage(StrEnum):
    INSTALL = "install"
    STORE = "store"
    RAY = "ray"
    MODEL = "model"
    ENGINE = "engine"


TITLES = {
    Stage.INSTALL: "Install",
    Stage.STORE: "Store",
    Stage.RAY: "Ray",
    Stage.MODEL: "Model",
    Stage.ENGINE: "Engine",
}
EXPECTED_S = {Stage.INSTALL: 90.0, Stage.STORE: 1.0, Stage.RAY: 12.0, Stage.MODEL: 35.0, Stage.ENGINE: 45.0}
"""First guesses, measured on two cores; later runs use this machine's own times."""


class StageStarted(Struct, frozen=True, tag=True):
    stage: Stage
    at: float
    expected_s: float


class StageAdvanced(Struct, frozen=True, tag=True):
    stage: Stage
    at: float
    detail: str
    done: float = 0
    total: float = 0
    left_s: float | None = None


class StageFinished(Struct, frozen=True, tag=True):
    stage: Stage
    at: float
    detail: str = ""


class Failed(Struct, frozen=True, tag=True):
    message: str


class Ready(Struct, frozen=True, tag=True):
    url: str
    login_url: str
    model: str
    simulated: bool
    no_auth: bool
    problem: str = ""
    """Why what was deployed before is not served."""


Event = StageStarted | StageAdvanced | StageFinished | Failed | Ready


class StageView(Struct, frozen=True):
    state: str = "waiting"
    """`waiting`, `running` or `done`."""
    detail: str = ""
    started_at: float = 0
    took_s: float = 0
    expected_s: float = 0
    done: float = 0
    total: float = 0
    left_s: float | None = None
    told_at: float = 0


def initial(stages: tuple[Stage, ...], expected: Mapping[Stage, float]) -> dict[Stage, StageView]:
    return {stage: StageView(expected_s=expected.get(stage, EXPECTED_S[stage])) for stage in stages}


def fold(views: dict[Stage, StageView], event: Event) -> dict[Stage, StageView]:
    """The display after `event`."""
    match event:
        case StageStarted(stage, at, expected_s):
            view = StageView("running", started_at=at, expected_s=expected_s, told_at=at)
        case StageAdvanced(stage, at, detail, done, total, left_s):
            view = msgspec.structs.replace(
                views[stage], detail=detail, done=done, total=total, left_s=left_s, told_at=at
            )
        case StageFinished(stage, at, detail):
            view = msgspec.structs.replace(
                views[stage], state="done", detail=detail, took_s=at - views[stage].started_at
            )
        case _:
            return views
    return {**views, stage: view}


def stage_left_s(view: StageView, now: float) -> float:
    """Seconds until the stage ends: what its work says of itself, else what it took before."""
    if view.state == "done":
        return 0.0
    if view.state == "waiting":
        return view.expected_s
    if view.left_s is not None:
        return max(0.0, view.left_s - (now - view.told_at))
    return max(0.0, view.expected_s - (now - view.started_at))


def stage_share(view: StageView, now: float) -> float:
    """How much of the stage is done, 0 to 1; below 1 until it has really ended."""
    if view.state == "done":
        return 1.0
    if view.state == "waiting":
        return 0.0
    if view.total:
        return min(0.99, view.done / view.total)
    passed = now - view.started_at
    left = stage_left_s(view, now)
    return min(0.95, passed / max(0.001, passed + left))


def total_left_s(views: Mapping[Stage, StageView], now: float) -> float:
    return sum(stage_left_s(view, now) for view in views.values())


def duration(seconds: float) -> str:
    """`8 s`, `1 min 20 s`, `2 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def read_timings(path: Path) -> dict[Stage, float]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[Stage, float])
    except (FileNotFoundError, msgspec.DecodeError):
        return {}


def write_timings(path: Path, views: Mapping[Stage, StageView]) -> None:
    """Keep what each stage took; one that was over at once (a model that is there) says nothing about the next."""
    kept = read_timings(path)
    kept |= {stage: round(view.took_s, 2) for stage, view in views.items() if view.took_s > 0.5}
    path.write_bytes(msgspec.json.encode(kept))
