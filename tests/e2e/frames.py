"""How smoothly a page draws: its frames, its long tasks, and the processor time of its main thread."""

from collections.abc import Sequence
from dataclasses import dataclass

from playwright.sync_api import Page

_WATCH = """() => {
    const watch = (window.watch = { frames: [], long: [] });
    let last = performance.now();
    const step = (now) => {
        watch.frames.push([now, now - last]);
        last = now;
        requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
    const note = (list) => list.getEntries().forEach((each) => watch.long.push([each.startTime, each.duration]));
    new PerformanceObserver(note).observe({ entryTypes: ["longtask"] });
}"""
_SINCE = """(from) => [performance.now(), ...[window.watch.frames, window.watch.long].map(
    (all) => all.filter(([at]) => at >= from).map(([, lasted]) => lasted))]"""
_PARTS = {"script": "ScriptDuration", "layout": "LayoutDuration", "style": "RecalcStyleDuration", "all": "TaskDuration"}


@dataclass(frozen=True)
class Stretch:
    """What happened between two looks."""

    lasted_s: float
    gaps_ms: Sequence[float]
    """Between one frame and the next."""
    long_tasks_ms: Sequence[float]
    """Those over 50 ms."""
    cpu_s: dict[str, float]
    """Of the main thread, by what it did; `all` has what is in none of the others, too."""

    def gap_ms(self, share: float) -> float:
        """The gap that `share` of them stay below."""
        ordered = sorted(self.gaps_ms)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    def frame_ms(self, part: str = "all") -> float:
        """Processor time that a frame takes: that of the machine's other work is not in it."""
        return 1000 * self.cpu_s[part] / len(self.gaps_ms)

    def __str__(self) -> str:
        costs = ", ".join(f"{part} {self.frame_ms(part):.1f}" for part in _PARTS)
        gaps = " ".join(f"p{100 * share:.0f} {self.gap_ms(share):.1f}" for share in (0.5, 0.95, 0.99))
        return (
            f"{len(self.gaps_ms) / self.lasted_s:.0f} frames/s, gaps in ms {gaps}, "
            f"{len(self.long_tasks_ms)} long tasks ({sum(self.long_tasks_ms):.0f} ms), ms of a frame: {costs}"
        )


class FrameWatch:
    """Watches a page from now on."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._session = page.context.new_cdp_session(page)
        self._session.send("Performance.enable", {"timeDomain": "threadTicks"})
        page.evaluate(_WATCH)
        self._at_ms = float(page.evaluate("performance.now()"))
        self._cpu = self._cpu_s()

    def look(self) -> Stretch:
        """Since the last look, or the beginning."""
        now_ms, gaps, tasks = self._page.evaluate(_SINCE, self._at_ms)
        cpu = self._cpu_s()
        spent = {part: cpu[part] - self._cpu[part] for part in cpu}
        stretch = Stretch((now_ms - self._at_ms) / 1000, gaps, tasks, spent)
        self._at_ms, self._cpu = now_ms, cpu
        return stretch

    def _cpu_s(self) -> dict[str, float]:
        metrics = self._session.send("Performance.getMetrics")["metrics"]
        values = {each["name"]: float(each["value"]) for each in metrics}
        return {part: values[name] for part, name in _PARTS.items()}
