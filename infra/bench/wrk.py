"""One run of wrk against one system: 32 connections on the load core, closed loop."""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from infra.bench.instructions import counted_instructions
from infra.bench.processes import HERE, LOAD_CORE, CoreClock, CoreUse, cpu_s, pinned
from infra.bench.report import DISTURBED_FROM
from infra.bench.systems import KEY, System

CONNECTIONS = 32
_PASSES_PER_RUN = 100_000
_COUNTING_S = 1
_FAILURES = ("connect", "read", "write", "status", "timeout")
_NOTHING = dict.fromkeys(("requests", "bytes", *_FAILURES), 0)
_runs = count(1)


def ensure_wrk() -> None:
    """Installs wrk where that is allowed. Ends the bench with a sentence where it cannot be had."""
    if shutil.which("wrk"):
        return
    if os.geteuid() == 0 and shutil.which("apt-get"):
        for step in (["apt-get", "update", "-q"], ["apt-get", "install", "-y", "-q", "wrk"]):
            subprocess.run(step, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    if not shutil.which("wrk"):
        raise SystemExit("This bench needs wrk. Install it: sudo apt-get install wrk")


@dataclass(frozen=True)
class Load:
    """What one run carried."""

    per_s: float
    cpu_us: float
    """CPU time of the system's processes per answered request; 0 for the engine itself. Interrupts are not in it."""
    failed: int
    """Requests without a 2xx or 3xx answer, and connections that broke or waited over 10 s."""
    answer_bytes: float
    """Mean size of an answer with its head."""
    cores: CoreUse
    foreign: float
    """Share of core 0 that other programs of this machine took; 0 for the engine itself, which is not there."""

    @property
    def is_disturbed(self) -> bool:
        """Somebody else had a part of the time."""
        return max(self.foreign, self.cores.system_stolen, self.cores.load_stolen) > DISTURBED_FROM


def run_wrk(system: System, bodies: Path, seconds: int) -> Load:
    """Loads `system` for `seconds`. No run repeats a prompt of another."""
    clock, before = CoreClock(), cpu_s(system.pid)
    summary = _wrk(system, bodies, seconds)
    cores, used_s = clock.read(), cpu_s(system.pid) - before
    answered = max(1, summary["requests"])
    return Load(
        per_s=summary["requests"] / summary["duration_us"] * 1e6,
        cpu_us=used_s / answered * 1e6,
        failed=sum(summary[kind] for kind in _FAILURES),
        answer_bytes=summary["bytes"] / answered,
        cores=cores,
        foreign=cores.foreign(used_s) if system.pid else 0.0,
    )


def instructions_each(system: System, bodies: Path) -> float | None:
    """Instructions of the system's process per request, with what it does by itself meanwhile. None if unknown.

    A run of its own: on a virtual machine counting slows down what is counted.
    """
    with counted_instructions(system.pid) as counted:
        answered = _wrk(system, bodies, _COUNTING_S)["requests"] if counted.possible else 0
    return counted.count / answered if counted.count and answered else None


def _wrk(system: System, bodies: Path, seconds: int) -> dict[str, int]:
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "10s"]
    environment = {
        "BENCH_BODIES": str(bodies),
        "BENCH_KEY": KEY,
        "BENCH_FIRST_PASS": str(next(_runs) * _PASSES_PER_RUN % 100_000_000),
    }
    done = subprocess.run(
        pinned(LOAD_CORE, *command, "-s", HERE / "wrk_requests.lua", system.url),
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        # Nobody answered at all: the system has died.
        return _NOTHING | {"duration_us": seconds * 1_000_000, "connect": CONNECTIONS}
    summary: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return summary
