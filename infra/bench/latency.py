"""`latency`: what a router adds to a request's time when nothing else is going on.

One keep-alive connection, unary requests one after the other, from a blocking client on core 1. The connection to each
system stays open and the systems take turns in blocks of some hundred requests, so that all of them see the same
machine; the first few of a block, with caches cold from the others, do not count. Added is the difference of medians
(of 99th percentiles) to the requests that went straight to the fake engine.

The floor is for cores that are awake (`stay_awake.py`), as they are under any load. What it costs when they may sleep
is shown too: on a virtual machine that is mostly the host's time to wake them.
"""

import gc
from dataclasses import dataclass, field
from statistics import median

from infra.bench.http_client import Connection
from infra.bench.options import Options
from infra.bench.processes import CoreClock, CoreUse, cpu_s
from infra.bench.prompts import PASS_MARK, same_body, varied_bodies
from infra.bench.report import DISTURBED_FROM, Floor, percent, print_table
from infra.bench.systems import KEY, OURS, STRAIGHT, System, rotated, running_processes, start_engines, start_line

FLOOR_ADDED_MS = 0.3
_BLOCK = 100
_COLD = 5


@dataclass(frozen=True)
class Kind:
    """What is asked, and of what cores."""

    key: str
    title: str
    varied: bool
    awake: bool


KINDS = (
    Kind("same_asleep", "the same small prompt, cores may sleep", varied=False, awake=False),
    Kind("same", "the same small prompt", varied=False, awake=True),
    Kind("varied", "varied prompts", varied=True, awake=True),
)


@dataclass
class Timings:
    """One system's requests of one kind."""

    system: System
    connection: Connection
    took_ms: list[float] = field(default_factory=list)
    failed: int = 0

    def percentile_ms(self, share: float) -> float:
        """0 when nothing was answered."""
        ranked = sorted(self.took_ms)
        return ranked[min(len(ranked) - 1, int(len(ranked) * share))] if ranked else 0.0


def run(options: Options) -> tuple[dict[str, object], list[Floor]]:
    """Measures and prints; returns the figures and what they say of the floors."""
    figures: dict[str, object] = {}
    floors: list[Floor] = []
    awake = False
    with running_processes() as processes:
        line = start_line(processes, start_engines(processes))
        for kind in KINDS:
            if kind.awake and not awake:
                processes.keep_cores_awake()
                awake = True
            bodies = varied_bodies(stream=False) if kind.varied else [same_body(stream=False)]
            all_timings, cores, foreign = _measure(line.systems, bodies, options.latency_requests)
            _print(kind, all_timings, cores, foreign)
            if kind.awake:
                floors.append(_floor(kind, all_timings, cores, foreign))
            systems = [_as_json(timings, all_timings[STRAIGHT]) for timings in all_timings.values()]
            figures[kind.key] = {"systems": systems, "cores": vars(cores), "foreign": foreign}
        figures["missing"] = line.missing
    return figures, floors


def _floor(kind: Kind, all_timings: dict[str, Timings], cores: CoreUse, foreign: float) -> Floor:
    straight, ours = all_timings[STRAIGHT], all_timings[OURS]
    added_ms = median(ours.took_ms) - median(straight.took_ms) if ours.took_ms and straight.took_ms else None
    void = bool(straight.failed or ours.failed)
    disturbed = max(cores.system_stolen, cores.load_stolen, foreign) > DISTURBED_FROM
    what = f"Added median latency, {kind.title}"
    return Floor(what, FLOOR_ADDED_MS, added_ms, "ms", at_most=True, void=void, disturbed=disturbed)


def _measure(systems: list[System], bodies: list[str], requests: int) -> tuple[dict[str, Timings], CoreUse, float]:
    """The timings, the cores' use and the share of core 0 that others took."""
    all_timings = {system.key: Timings(system, Connection(system.url, KEY)) for system in systems}
    clock, before = CoreClock(), sum(cpu_s(system.pid) for system in systems)
    gc.disable()
    for turn in range(max(1, requests // _BLOCK)):
        block = [bodies[(turn * _BLOCK + index) % len(bodies)] for index in range(_BLOCK + _COLD)]
        for system in rotated(systems, turn):
            _measure_block(all_timings[system.key], [_numbered(body, turn) for body in block])
    gc.enable()
    for timings in all_timings.values():
        timings.connection.close()
    cores = clock.read()
    return all_timings, cores, cores.foreign(sum(cpu_s(system.pid) for system in systems) - before)


def _numbered(body: str, turn: int) -> bytes:
    return body.replace(PASS_MARK, f"{turn:08d}").encode()


def _measure_block(timings: Timings, block: list[bytes]) -> None:
    for index, body in enumerate(block):
        try:
            status, took_ns = timings.connection.post(body)
        except OSError:
            timings.failed += 1
            continue
        if status != 200:
            timings.failed += 1
        elif index >= _COLD:
            timings.took_ms.append(took_ns / 1e6)


def _print(kind: Kind, all_timings: dict[str, Timings], cores: CoreUse, foreign: float) -> None:
    straight = all_timings[STRAIGHT]
    rows = []
    for timings in all_timings.values():
        cells = [timings.system.name]
        for share in (0.5, 0.99):
            took_ms = timings.percentile_ms(share)
            cells += [f"{took_ms:.3f}", f"{took_ms - straight.percentile_ms(share):+.3f}"]
        rows.append((*cells, f"{timings.failed} FAILED, worthless" if timings.failed else ""))
    stolen = f"{percent(cores.system_stolen)} / {percent(cores.load_stolen)}"
    print_table(
        f"One connection, unary, {kind.title}: {len(straight.took_ms):,} requests each; stolen {stolen}, "
        f"others took {percent(foreign)} of core 0",
        ("", "median ms", "added", "p99 ms", "added", ""),
        rows,
    )


def _as_json(timings: Timings, straight: Timings) -> dict[str, object]:
    figures: dict[str, object] = {"system": timings.system.key, "name": timings.system.name, "failed": timings.failed}
    for name, share in (("median", 0.5), ("p99", 0.99)):
        took_ms = timings.percentile_ms(share)
        figures |= {f"{name}_ms": took_ms, f"added_{name}_ms": took_ms - straight.percentile_ms(share)}
    return figures
