"""What the router costs, beside its peers in the same run.

Core 0 belongs to the system under test, core 1 to fake engines, load generators, the store and this program. A virtual
machine's host may take time away from either: every table says how much (steal of /proc/stat).
"""

import os
import platform
import shutil
import signal
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from time import strftime

from infra.bench import choose_bench, idle_streams, latency, memory, models, throughput
from infra.bench.command import bench_parser, run_bench, write_json
from infra.bench.options import FULL, QUICK, USUAL, Options
from infra.bench.processes import LOAD_CORE, ROOT, SYSTEM_CORE, raise_file_limit
from infra.bench.report import Floor, print_floors

Scenario = Callable[[Options], tuple[dict[str, object], list[Floor]]]
SCENARIOS: dict[str, Scenario] = {
    "throughput": throughput.run,
    "latency": latency.run,
    "idle_streams": idle_streams.run,
    "memory": memory.run,
    "models": models.run,
    "choose": choose_bench.run,
}


def main() -> None:
    """Runs the scenarios, prints tables and floors, writes the JSON."""
    options = _parse()
    if not {SYSTEM_CORE, LOAD_CORE} <= os.sched_getaffinity(0) or not shutil.which("taskset"):
        raise SystemExit("This bench needs cores 0 and 1, and taskset (Debian package util-linux).")
    # Ended from outside, it still ends what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    os.sched_setaffinity(0, {LOAD_CORE})
    raise_file_limit()
    size = QUICK if options.quick else FULL if options.full else USUAL
    machine = _machine()
    print(", ".join(f"{name} {value}" for name, value in machine.items()))
    figures: dict[str, object] = {}
    floors: list[Floor] = []
    for name in options.only or SCENARIOS:
        print(f"\n== {name} ==", flush=True)
        figures[name], seen = SCENARIOS[name](size)
        floors += seen
        # After each scenario: a run that is cut off keeps what it has.
        verdicts = [floor.as_json() for floor in floors]
        report = {"machine": machine, "options": vars(size), "scenarios": figures, "floors": verdicts}
        write_json(options.json, report)
    print_floors(floors)


def _parse() -> Namespace:
    quick, full = "short rounds: to see that it works, not to quote", "long rounds: to quote"
    parser = bench_parser("router", __doc__, quick=quick, full=full)
    parser.add_argument("--only", nargs="+", choices=SCENARIOS, metavar="NAME", help=", ".join(SCENARIOS))
    return parser.parse_args()


def _machine() -> dict[str, str]:
    described = subprocess.run(
        ["git", "-C", str(ROOT), "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    )
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return {
        "CPU": (models or [platform.machine()])[0],
        "cores": str(os.cpu_count()),
        "kernel": platform.release(),
        "Python": platform.python_version(),
        "checkout": described.stdout.strip() or "unknown",
        "at": strftime("%Y-%m-%d %H:%M"),
    }


if __name__ == "__main__":
    run_bench(main)
