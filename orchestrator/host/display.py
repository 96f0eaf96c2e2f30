"""The progress display in a terminal, and its plain-text form where there is none."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from orchestrator.host.progress import (
    TITLES,
    Event,
    Failed,
    Ready,
    Stage,
    StageAdvanced,
    StageFinished,
    StageStarted,
    StageView,
    duration,
    fold,
    stage_left_s,
    stage_share,
    total_left_s,
)

_MARKS = {"waiting": ("·", "dim"), "running": ("▸", "bold cyan"), "done": ("✓", "green")}
_PLAIN_EVERY_S = 5.0


class Display:
    """Shows events as they come. `with Display(...) as display: display(event)`."""

    def __init__(self, console: Console, views: dict[Stage, StageView]) -> None:
        self._console = console
        self.views = views
        self._said: dict[Stage, tuple[str, float]] = {}
        self._live: Live | None = None

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live = Live(self, console=self._console, refresh_per_second=4)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def __call__(self, event: Event) -> None:
        self.views = fold(self.views, event)
        if self._live is None and not isinstance(event, Ready | Failed):
            self._say(event)

    def __rich__(self) -> Group:
        now = time.time()
        table = Table.grid(padding=(0, 1))
        for column in ({"width": 1}, {"width": 8}, {"width": 24}, {"width": 12, "justify": "right"}, {}):
            table.add_column(no_wrap=True, **column)
        for stage, view in self.views.items():
            mark, style = _MARKS[view.state]
            bar = ProgressBar(total=100, completed=100 * stage_share(view, now), width=24, finished_style="green")
            table.add_row(
                Text(mark, style), Text(TITLES[stage], style), bar, Text(_time_of(view, now), "dim"), Text(view.detail)
            )
        left = total_left_s(self.views, now)
        line = f"about {duration(left)} left" if left >= 1 else "nearly there"
        if all(view.state == "done" for view in self.views.values()):
            line = ""
        return Group(table, Text(line, "dim"))

    def _say(self, event: StageStarted | StageAdvanced | StageFinished) -> None:
        """One line when a stage starts and ends, and now and then in between."""
        now, title = time.time(), TITLES[event.stage]
        match event:
            case StageStarted():
                text = f"{title}: started, about {duration(total_left_s(self.views, now))} left in all"
            case StageAdvanced(detail=detail):
                last_detail, last_at = self._said.get(event.stage, ("", 0.0))
                if detail == last_detail or now - last_at < _PLAIN_EVERY_S:
                    return
                self._said[event.stage] = (detail, now)
                left = stage_left_s(self.views[event.stage], now)
                text = f"{title}: {detail}" + (f", about {duration(left)} left" if left >= 1 else "")
            case StageFinished(detail=detail):
                took = duration(self.views[event.stage].took_s)
                text = f"{title}: done in {took}" + (f" ({detail})" if detail else "")
        self._console.print(text, highlight=False, soft_wrap=True)


def _time_of(view: StageView, now: float) -> str:
    if view.state == "done":
        return duration(view.took_s)
    if view.state == "waiting":
        return f"~{duration(view.expected_s)}"
    left = stage_left_s(view, now)
    return f"{duration(left)} left" if left >= 1 else "any moment"
