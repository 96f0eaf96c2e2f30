"""`memory`: resident memory of the router at rest, with 1,000 and with 4,000 open streams, and after them.

Streams are asked for with the varied prompts (3.6 kB on average) and get a chunk every two seconds. Memory is read once
they are all open and have had their first chunk. At rest: after the first request.
"""

from contextlib import ExitStack
from dataclasses import dataclass
from time import sleep

from infra.bench.held_streams import held_streams
from infra.bench.options import Options
from infra.bench.peers import PEERS
from infra.bench.processes import Processes, rss_bytes
from infra.bench.prompts import varied_bodies, write_bodies
from infra.bench.report import Floor, print_table
from infra.bench.systems import OURS, System, running_processes, start_engines, start_line

STEPS = (1000, 4000)
REPLICAS = 16
"""As this router sees them; they are two fake engines."""
FLOOR_BYTES, FLOOR_BYTES_PER_STREAM = 150_000_000, 30_000
_SETTLE_S = 1.0
_PERIOD_S = 2.0


@dataclass
class Row:
    """One system's memory. `with_streams`: by the number of streams that were wanted."""

    system: System
    at_rest: int
    with_streams: dict[int, int]
    afterwards: int = 0
    unopened: int = 0

    @property
    def per_stream(self) -> float:
        """Bytes that each stream of the last step takes."""
        return (self.with_streams[STEPS[-1]] - self.at_rest) / STEPS[-1]


def run(options: Options) -> tuple[dict[str, object], list[Floor]]:
    """Measures and prints; returns the figures and what they say of the floor. As long with any options."""
    with running_processes() as processes:
        engines = start_engines(processes, ("slow_engine", "--period-s", _PERIOD_S))
        peers = [peer for peer in PEERS if peer.policy == "round_robin"]
        line = start_line(processes, engines, peers=peers, replicas=REPLICAS)
        rows = [_measure(processes, system, system.pid) for system in line.systems if system.pid]
    _print(rows)
    figures = {row.system.key: {name: value for name, value in vars(row).items() if name != "system"} for row in rows}
    ours = next(row for row in rows if row.system.key == OURS)
    floors = [_floor(0, ours.at_rest, ours), *(_floor(step, ours.with_streams[step], ours) for step in STEPS)]
    return {"systems": figures, "missing": line.missing}, floors


def _floor(streams: int, seen: int, row: Row) -> Floor:
    wanted = (FLOOR_BYTES + streams * FLOOR_BYTES_PER_STREAM) / 1e6
    what = f"Memory with {streams:,} open streams" if streams else "Memory at rest"
    return Floor(what, wanted, seen / 1e6, "MB", at_most=True, void=bool(row.unopened))


def _measure(processes: Processes, system: System, pid: int) -> Row:
    bodies = write_bodies(processes.logs / "bodies.jsonl", varied_bodies(stream=True))
    row = Row(system, rss_bytes(pid), {})
    with ExitStack() as stack:
        held = 0
        for step in STEPS:
            more = stack.enter_context(held_streams(system, bodies, step - held))
            row.unopened += more.wanted - more.open
            held = step
            sleep(_SETTLE_S)
            row.with_streams[step] = rss_bytes(pid)
    sleep(_SETTLE_S)
    row.afterwards = rss_bytes(pid)
    return row


def _print(rows: list[Row]) -> None:
    table = []
    for row in rows:
        sizes = [row.at_rest, *row.with_streams.values(), row.afterwards]
        megabytes = [f"{size / 1e6:.0f}" for size in sizes]
        remark = f"{row.unopened} STREAMS DID NOT OPEN, worthless" if row.unopened else ""
        table.append((row.system.name, *megabytes, f"{row.per_stream / 1e3:.1f}", remark))
    steps = [f"{step:,} streams" for step in STEPS]
    print_table("Resident memory in MB", ("", "at rest", *steps, "afterwards", "kB a stream", ""), table)
