"""`idle_streams`: how much later chunks come when 1,000 slow streams share one core of a router.

Each stream has 20 chunks a second, as a model of moderate size writes tokens; 20,000 chunks a second in all. The engine
stamps each chunk as it writes it and the client looks at the same clock as it reads it (`slow_engine.py`,
`stream_client.py`). The engine and the client share core 1, whose use is shown: were it full, it would be what was
measured. Added is the 99th percentile through a system less that of a client that reads straight from the engines.
"""

from dataclasses import dataclass, field
from time import sleep
from typing import Any

from infra.bench.held_streams import held_streams
from infra.bench.options import Options
from infra.bench.peers import PEERS
from infra.bench.processes import CoreUse, cpu_s
from infra.bench.prompts import varied_bodies, write_bodies
from infra.bench.report import (
    CORES_HEADINGS,
    DISTURBED_FROM,
    Floor,
    cores_columns,
    cores_json,
    foreign_remark,
    middle,
    print_table,
    remarks,
)
from infra.bench.systems import OURS, STRAIGHT, System, rotated, running_processes, start_engines, start_line

STREAMS = 1000
REPLICAS = 16
"""As this router sees them; they are two fake engines."""
PERIOD_S = 0.05
FLOOR_ADDED_P99_MS = 10.0
_SETTLE_S = 2.0
_PERCENTILES = ("p50_ms", "p99_ms", "p99.9_ms", "p100_ms")


@dataclass
class Row:
    """One system's rounds."""

    system: System
    rounds: list[dict[str, Any]] = field(default_factory=list)
    cores: list[CoreUse] = field(default_factory=list)

    def middle(self, figure: str) -> float:
        """Median over the rounds."""
        return middle(figures[figure] for figures in self.rounds)

    @property
    def lost(self) -> int:
        """Streams that were refused, never began, or broke off."""
        return sum(STREAMS - figures["open"] + figures["broken"] for figures in self.rounds)

    @property
    def missing(self) -> int:
        """Chunks that did not come or came out of turn."""
        return sum(figures["missing"] for figures in self.rounds)

    def share_of_chunks(self, seconds: float) -> float:
        """Chunks that came, of those that the engine should have written."""
        return middle(figures["chunks"] for figures in self.rounds) / (STREAMS * seconds / PERIOD_S)

    @property
    def failed(self) -> bool:
        """A row with streams lost or chunks missing is worthless."""
        return bool(self.lost or self.missing)

    @property
    def is_disturbed(self) -> bool:
        """Somebody else had a part of the time, in some round."""
        foreign: list[float] = [figures["foreign"] for figures in self.rounds]
        return max(*foreign, *(max(use.system_stolen, use.load_stolen) for use in self.cores)) > DISTURBED_FROM

    @property
    def remark(self) -> str:
        """What makes the row worth less."""
        return remarks(
            f"{self.lost} STREAMS NOT OPENED OR LOST, worthless" if self.lost else "",
            f"{self.missing} CHUNKS MISSING, worthless" if self.missing else "",
            foreign_remark(figures["foreign"] for figures in self.rounds),
        )


def run(options: Options) -> tuple[dict[str, object], list[Floor]]:
    """Measures and prints; returns the figures and what they say of the floor."""
    seconds = options.stream_seconds
    with running_processes() as processes:
        bodies = write_bodies(processes.logs / "bodies.jsonl", varied_bodies(stream=True))
        engines = start_engines(processes, ("slow_engine", "--period-s", PERIOD_S))
        peers = [peer for peer in PEERS if peer.policy == "round_robin"]
        line = start_line(processes, engines, peers=peers, replicas=REPLICAS)
        processes.keep_cores_awake()
        rows = {system.key: Row(system) for system in line.systems}
        for turn in range(options.stream_rounds):
            for system in rotated(line.systems, turn):
                with held_streams(system, bodies, STREAMS, seconds) as held:
                    sleep(_SETTLE_S)
                    used_s = cpu_s(system.pid)
                    figures, cores = held.measure()
                    used_s = cpu_s(system.pid) - used_s
                figures["cpu_us_per_chunk"] = used_s / max(1, figures["chunks"]) * 1e6
                figures["foreign"] = cores.foreign(used_s) if system.pid else 0.0
                rows[system.key].rounds.append(figures)
                rows[system.key].cores.append(cores)
    _print(rows, options)
    floor = _floor(rows)
    figures_of_all = {
        key: {"rounds": row.rounds, "lost": row.lost, "missing": row.missing, "cores": cores_json(row.cores)}
        for key, row in rows.items()
    }
    return {"systems": figures_of_all, "missing": line.missing}, [floor]


def _floor(rows: dict[str, Row]) -> Floor:
    straight, ours = rows[STRAIGHT], rows[OURS]
    added_ms = ours.middle("p99_ms") - straight.middle("p99_ms")
    void = ours.failed or straight.failed
    disturbed = ours.is_disturbed or straight.is_disturbed
    what = f"Added p99 delay, {STREAMS:,} streams"
    return Floor(what, FLOOR_ADDED_P99_MS, added_ms, "ms", at_most=True, void=void, disturbed=disturbed)


def _print(rows: dict[str, Row], options: Options) -> None:
    straight = rows[STRAIGHT]
    table = []
    for row in rows.values():
        delays = [f"{row.middle(percentile):.2f}" for percentile in _PERCENTILES]
        added = f"{row.middle('p99_ms') - straight.middle('p99_ms'):+.2f}"
        came = f"{row.share_of_chunks(options.stream_seconds):.1%}"
        cpu_us = f"{row.middle('cpu_us_per_chunk'):.1f}" if row.system.pid else "-"
        table.append((row.system.name, *delays, added, came, cpu_us, *cores_columns(row.cores), row.remark))
    print_table(
        f"{STREAMS:,} streams of {1 / PERIOD_S:.0f} chunks a second, {options.stream_rounds} rounds of "
        f"{options.stream_seconds} s: delay of a chunk in ms, medians of the rounds",
        ("", "median", "p99", "p99.9", "most", "p99 added", "chunks came", "CPU µs each", *CORES_HEADINGS, ""),
        table,
    )
