"""`models`: whether a request costs more when the catalog is long.

Two routers of ours, one with 1 model and one with 2,000 in its catalog, each with the endpoints of the one model that
is asked. Unary requests, rounds alternate. The router that is not measured is stopped (SIGSTOP) meanwhile: reading
2,000 records again every second must slow down nobody but the router that does it.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import sleep

from infra.bench.options import Options
from infra.bench.processes import cpu_s, rss_bytes
from infra.bench.prompts import same_body, write_bodies
from infra.bench.report import (
    CORES_HEADINGS,
    Floor,
    cores_columns,
    cores_json,
    foreign_remark,
    middle,
    print_table,
    ratio_of_rounds,
    remarks,
)
from infra.bench.systems import System, rotated, running_processes, start_engines, start_ours
from infra.bench.wrk import Load, ensure_wrk, instructions_each, run_wrk

SIZES = (1, 2000)
FLOOR_RATIO = 0.95
_WAKE_S = 0.5
_REST_S = 3.0


@dataclass
class Row:
    """One router's rounds."""

    models: int
    system: System
    loads: list[Load] = field(default_factory=list)
    instructions: float | None = None
    at_rest_ms: float = 0.0
    """CPU time that the router uses in a second without requests: reading its table again."""

    @property
    def failed(self) -> int:
        """Of all rounds. Any makes the row worthless."""
        return sum(load.failed for load in self.loads)


def run(options: Options) -> tuple[dict[str, object], list[Floor]]:
    """Measures and prints; returns the figures and what they say of the floor."""
    ensure_wrk()
    with running_processes() as processes:
        bodies = write_bodies(processes.logs / "bodies.jsonl", [same_body(stream=False)])
        engines = start_engines(processes)
        names = {models: f"{models:,} model{'s' if models > 1 else ''}" for models in SIZES}
        systems = {models: start_ours(processes, engines, name=names[models], models=models) for models in SIZES}
        rows = {system.url: Row(models, system) for models, system in systems.items()}
        _measure_rest(list(rows.values()))
        for system in systems.values():
            run_wrk(system, bodies, 1)
        for turn in range(options.rounds):
            for system in rotated(list(systems.values()), turn):
                others = [other for other in systems.values() if other is not system]
                with _alone(others):
                    rows[system.url].loads.append(run_wrk(system, bodies, options.seconds))
        for row in rows.values():
            row.instructions = instructions_each(row.system, bodies)
        memory = {row.models: rss_bytes(row.system.pid) for row in rows.values() if row.system.pid}
    few, many = rows.values()
    _print((few, many), memory, options)
    ratio = ratio_of_rounds([load.per_s for load in many.loads], [load.per_s for load in few.loads])
    void = bool(few.failed or many.failed)
    disturbed = sum(load.is_disturbed for load in (*few.loads, *many.loads)) >= options.rounds
    what = f"Unary rate with {many.models:,} models ÷ with {few.models}"
    floors = [Floor(what, FLOOR_RATIO, ratio, void=void, disturbed=disturbed)]
    figures = {str(row.models): _as_json(row) | {"rss_bytes": memory[row.models]} for row in (few, many)}
    return {"by_models": figures}, floors


def _measure_rest(rows: list[Row]) -> None:
    sleep(_WAKE_S)
    before = [cpu_s(row.system.pid) for row in rows]
    sleep(_REST_S)
    for row, used_s in zip(rows, before, strict=True):
        row.at_rest_ms = (cpu_s(row.system.pid) - used_s) / _REST_S * 1e3


@contextmanager
def _alone(others: list[System]) -> Iterator[None]:
    """Stops the others; leaves the one that goes on, and was stopped itself until now, the time to read its table."""
    pids = [system.pid for system in others if system.pid]
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        sleep(_WAKE_S)
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def _print(rows: tuple[Row, Row], memory: dict[int, int], options: Options) -> None:
    table = []
    for row in rows:
        figures = [middle(load.per_s for load in row.loads), middle(load.cpu_us for load in row.loads)]
        cells = [f"{figure:,.0f}" for figure in figures]
        cells += [f"{row.instructions / 1e3:.0f}" if row.instructions else "-", f"{memory[row.models] / 1e6:.0f}"]
        cells.append(f"{row.at_rest_ms:.0f}")
        failed = f"{row.failed} FAILED, worthless" if row.failed else ""
        remark = remarks(failed, foreign_remark(load.foreign for load in row.loads))
        table.append((row.system.name, *cells, *cores_columns([load.cores for load in row.loads]), remark))
    print_table(
        f"Unary requests by the catalog's length: {options.rounds} rounds of {options.seconds} s, medians",
        ("", "per s", "CPU µs each", "k instr. each", "RSS MB", "CPU ms/s at rest", *CORES_HEADINGS, ""),
        table,
    )


def _as_json(row: Row) -> dict[str, object]:
    return {
        "per_s": [load.per_s for load in row.loads],
        "cpu_us": [load.cpu_us for load in row.loads],
        "instructions": row.instructions,
        "at_rest_ms_per_s": row.at_rest_ms,
        "failed": row.failed,
        "cores": cores_json([load.cores for load in row.loads]),
    }
