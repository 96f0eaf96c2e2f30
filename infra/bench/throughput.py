"""`throughput`: requests and 64-chunk streams a second, and CPU time for each.

Every system has core 0 when its turn comes; two fake engines and wrk with 32 connections share core 1. Rounds alternate
between the systems and begin with another one each time; the median counts, of ratios the median of the rounds' ratios.
Two kinds of prompts (`prompts.py`): one small prompt over and over, and 500 varied ones whose prefixes repeat.
"""

from dataclasses import dataclass, field
from pathlib import Path

from infra.bench.options import Options
from infra.bench.processes import rss_bytes
from infra.bench.prompts import same_body, varied_bodies, write_bodies
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
from infra.bench.systems import (
    BASELINE,
    OURS,
    System,
    check_answers,
    rotated,
    running_processes,
    start_engines,
    start_line,
)
from infra.bench.wrk import Load, ensure_wrk, instructions_each, run_wrk

CACHE_AWARE = "vllm_router_cache_aware"
FLOOR_UNARY_PER_S = 12_000
FLOOR_TO_ROUND_ROBIN, FLOOR_TO_CACHE_AWARE, FLOOR_STREAMS = 1.3, 2.5, 1.0
_SATURATED = 0.95


@dataclass(frozen=True)
class Kind:
    """What is asked."""

    key: str
    title: str
    stream: bool
    varied: bool


KINDS = (
    Kind("unary_same", "Unary requests, the same small prompt", stream=False, varied=False),
    Kind("unary_varied", "Unary requests, varied prompts", stream=False, varied=True),
    Kind("streams_same", "Streams of 64 chunks, the same small prompt", stream=True, varied=False),
    Kind("streams_varied", "Streams of 64 chunks, varied prompts", stream=True, varied=True),
)


@dataclass
class Row:
    """One system's rounds of one kind."""

    system: System
    wrong: str = ""
    """What is wrong with the answers themselves."""
    loads: list[Load] = field(default_factory=list)
    instructions: float | None = None
    """Of the system's process for one of them; None where they cannot be counted."""

    @property
    def per_s(self) -> list[float]:
        """Of each round."""
        return [load.per_s for load in self.loads]

    @property
    def failed(self) -> int:
        """Of all rounds. Any makes the row worthless."""
        return sum(load.failed for load in self.loads) + bool(self.wrong)

    @property
    def is_disturbed(self) -> bool:
        """Half of the rounds or more were."""
        return sum(load.is_disturbed for load in self.loads) * 2 >= len(self.loads)

    @property
    def is_load_bound(self) -> bool:
        """Core 1 was full and core 0 was not: the load generators were measured, not the system."""
        used = middle(load.cores.load_busy + load.cores.load_stolen for load in self.loads)
        own = middle(load.cores.system_busy + load.cores.system_stolen for load in self.loads)
        return used > _SATURATED and own < _SATURATED

    @property
    def remark(self) -> str:
        """What makes the row worth less."""
        return remarks(
            f"{self.failed} FAILED, worthless" if self.failed else "",
            self.wrong,
            foreign_remark(load.foreign for load in self.loads),
            "load-bound" if self.is_load_bound else "",
        )

    def as_json(self) -> dict[str, object]:
        """Every round's figures."""
        return {
            "system": self.system.key,
            "name": self.system.name,
            "per_s": self.per_s,
            "cpu_us": [load.cpu_us for load in self.loads],
            "instructions": self.instructions,
            "failed": self.failed,
            "wrong_answers": self.wrong,
            "load_bound": self.is_load_bound,
            "foreign": [load.foreign for load in self.loads],
            "cores": cores_json([load.cores for load in self.loads]),
        }


Rows = dict[str, Row]
"""By the system's key."""


def run(options: Options) -> tuple[dict[str, object], list[Floor]]:
    """Measures and prints; returns the figures and what they say of the floors."""
    ensure_wrk()
    with running_processes() as processes:
        line = start_line(processes, start_engines(processes))
        wrong = {system.key: check_answers(system, line.systems[0]) for system in line.systems}
        files = {kind.key: _write(processes.logs, kind) for kind in KINDS}
        results = {kind.key: {system.key: Row(system, wrong[system.key]) for system in line.systems} for kind in KINDS}
        for system in line.systems:
            run_wrk(system, files["unary_varied"], 1)
        for turn in range(options.rounds):
            for kind in KINDS:
                for system in rotated(line.systems, turn):
                    results[kind.key][system.key].loads.append(run_wrk(system, files[kind.key], options.seconds))
        for kind in KINDS:
            for row in results[kind.key].values():
                row.instructions = instructions_each(row.system, files[kind.key])
        memory = {system.key: rss_bytes(system.pid) for system in line.systems if system.pid}
    for kind in KINDS:
        _print(kind, results[kind.key], options)
    print_table(
        "Memory after these runs",
        ("", "RSS MB"),
        [(s.name, f"{memory[s.key] / 1e6:.0f}") for s in line.systems if s.pid],
    )
    figures: dict[str, object] = {
        "kinds": {kind.key: [row.as_json() for row in results[kind.key].values()] for kind in KINDS},
        "rss_bytes_afterwards": memory,
        "missing": line.missing,
    }
    return figures, [floor for kind in KINDS for floor in _floors(kind, results[kind.key])]


def _write(folder: Path, kind: Kind) -> Path:
    bodies = varied_bodies(stream=kind.stream) if kind.varied else [same_body(stream=kind.stream)]
    return write_bodies(folder / f"{kind.key}.jsonl", bodies)


def _print(kind: Kind, rows: Rows, options: Options) -> None:
    baseline = rows.get(BASELINE)
    table = []
    for row in rows.values():
        to_baseline = f"{ratio_of_rounds(row.per_s, baseline.per_s):.2f}" if baseline else "-"
        cpu_us = f"{middle(load.cpu_us for load in row.loads):.0f}" if row.system.pid else "-"
        cores = cores_columns([load.cores for load in row.loads])
        instructions = f"{row.instructions / 1e3:.0f}" if row.instructions else "-"
        figures = f"{middle(row.per_s):,.0f}", to_baseline, cpu_us, instructions
        table.append((row.system.name, *figures, *cores, row.remark))
    print_table(
        f"{kind.title}: {options.rounds} rounds of {options.seconds} s, medians",
        ("", "per s", "÷ vllm-router rr", "CPU µs each", "k instr. each", *CORES_HEADINGS, ""),
        table,
    )


def _floors(kind: Kind, rows: Rows) -> list[Floor]:
    ours = rows[OURS]

    def against(key: str, wanted: float, name: str) -> Floor:
        theirs = rows.get(key)
        if theirs is None:
            return Floor(f"{kind.title} ÷ {name}", wanted, None)
        return Floor(
            f"{kind.title} ÷ {name}",
            wanted,
            ratio_of_rounds(ours.per_s, theirs.per_s),
            void=bool(ours.failed or theirs.failed),
            disturbed=ours.is_disturbed or theirs.is_disturbed,
        )

    if kind.stream:
        return [against(BASELINE, FLOOR_STREAMS, "vllm-router round_robin")]
    void, disturbed = bool(ours.failed), ours.is_disturbed
    return [
        Floor(kind.title, FLOOR_UNARY_PER_S, middle(ours.per_s), "a second", void=void, disturbed=disturbed),
        against(BASELINE, FLOOR_TO_ROUND_ROBIN, "vllm-router round_robin"),
        against(CACHE_AWARE, FLOOR_TO_CACHE_AWARE, "vllm-router cache_aware"),
    ]
