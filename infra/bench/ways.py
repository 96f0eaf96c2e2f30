"""Ways to bring the same files from one place to another, measured in turn on one disk."""

import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from time import monotonic, time_ns
from typing import Any

from infra.bench.processes import CoreClock, CoreUse, cpu_s
from infra.bench.report import middle, percent, print_table, ratio_of_rounds

FILES = 4
MIB = 2**20


@dataclass(frozen=True)
class Size:
    """How much is sent."""

    rounds: int
    file_mib: int
    """Of each of the four files."""


SIZES = {"quick": Size(1, 32), "usual": Size(3, 128), "full": Size(7, 256)}


@dataclass
class Way:
    """One way to read the bytes, and what was measured."""

    name: str
    run: Callable[[], object]
    prepare: Callable[[], object] = os.sync
    mib_per_s: list[float] = field(default_factory=list)
    cores: list[CoreUse] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    """Of the processes that are measured."""

    def as_json(self) -> dict[str, Any]:
        """Every round's figures."""
        cores = [vars(use) for use in self.cores]
        return {"way": self.name, "mib_per_s": self.mib_per_s, "server_cpu_s": self.cpu_s, "cores": cores}


def write_files(folder: Path, size: Size, *, odd_bytes: int = 0) -> None:
    """Random files of a model, synced. With `odd_bytes` they are longer by so much."""
    random = Random(time_ns())
    for number in range(FILES):
        with (folder / f"model-{number}.safetensors").open("wb") as file:
            for _ in range(size.file_mib):
                file.write(random.randbytes(MIB))
            file.write(bytes(odd_bytes))
            file.flush()
            os.fsync(file.fileno())


def run_shell(command: str) -> None:
    """A line of Bash that must succeed."""
    subprocess.run(["bash", "-c", command], check=True, stdout=subprocess.DEVNULL)


def measure(ways: Sequence[Way], size: Size, pids: Sequence[int], tidy_up: Callable[[], object]) -> None:
    """Every way once a round, from the other end each time. `pids`: whose processor time counts."""
    for turn in range(size.rounds):
        for way in ways if turn % 2 == 0 else reversed(ways):
            way.prepare()
            clock, used, started = CoreClock(), sum(map(cpu_s, pids)), monotonic()
            way.run()
            way.mib_per_s.append(size.file_mib * FILES / (monotonic() - started))
            way.cores.append(clock.read())
            way.cpu_s.append(sum(map(cpu_s, pids)) - used)
            tidy_up()


def print_ways(ways: Sequence[Way], size: Size, where: Path) -> None:
    """The first way is ours; the others are what it is compared with."""
    ours = ways[0]
    rows = []
    for way in ways:
        beside = "" if way is ours else f"{ratio_of_rounds(ours.mib_per_s, way.mib_per_s):.2f}"
        busy = middle((use.system_busy + use.load_busy) for use in way.cores)
        stolen = percent(middle(use.machine_stolen for use in way.cores))
        rows.append((way.name, f"{middle(way.mib_per_s):.0f}", beside, f"{busy:.2f}", stolen))
    print_table(
        f"{FILES} files of {size.file_mib} MiB on {where}: {size.rounds} rounds, medians",
        ("", "MiB/s", f"{ours.name} ÷ it", "cores busy", "stolen"),
        rows,
    )


def ways_json(ways: Sequence[Way], size: Size) -> dict[str, Any]:
    """Figures of all rounds, and what they are of."""
    return {"cores": os.cpu_count(), "size": vars(size), "files": FILES, "ways": [way.as_json() for way in ways]}
