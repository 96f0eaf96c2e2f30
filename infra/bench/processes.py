"""Child processes of a bench, the cores they are pinned to, and what they and the host took of them."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from resource import RLIMIT_NOFILE, getrlimit, setrlimit
from time import monotonic, sleep

import psutil
from redis.exceptions import RedisError

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SYSTEM_CORE, LOAD_CORE = 0, 1
"""Core of the system under test; core of everything else: fake engines, load generators, store, the bench itself."""
_ALL_CORES = -1
_UP_WITHIN_S = 30.0


def free_port() -> int:
    """A port of the loopback address that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def pinned(core: int, *command: object) -> list[str]:
    """The command, kept on one core. A Rust runtime sizes its thread pool by that, too."""
    return ["taskset", "-c", str(core), *map(str, command)]


def program(name: str, *arguments: object, core: int = LOAD_CORE) -> list[str]:
    """A program of this folder, by its module's name."""
    return pinned(core, sys.executable, "-P", "-m", f"infra.bench.{name}", *arguments)


class Processes:
    """Child processes that end with the bench; what each said is in `logs`."""

    def __init__(self, stack: ExitStack, logs: Path) -> None:
        self._stack = stack
        self.logs = logs

    def start(self, name: str, command: list[str], environment: Mapping[str, str] | None = None) -> int:
        """Starts `command` and returns its process id."""
        log = self._stack.enter_context((self.logs / f"{name}.log").open("wb"))
        process = subprocess.Popen(
            command, env=os.environ | dict(environment or {}), cwd=ROOT, stdout=log, stderr=subprocess.STDOUT
        )
        self._stack.callback(_end, process)
        return process.pid

    def keep_cores_awake(self) -> None:
        """From now on the cores do not halt between two requests (`stay_awake.py`)."""
        for core in (SYSTEM_CORE, LOAD_CORE):
            self.start(f"awake-{core}", program("stay_awake", core=core))

    def tail(self, name: str) -> str:
        """The last lines that a process wrote."""
        lines = (self.logs / f"{name}.log").read_text(errors="replace").strip().splitlines()
        return "\n".join(lines[-5:])


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class NotUpError(Exception):
    """A process did not come up in time."""


def wait_for(what: str, check: Callable[[], bool]) -> None:
    """Returns when `check` is true. Raises `NotUpError` if it does not become so."""
    deadline = monotonic() + _UP_WITHIN_S
    while monotonic() < deadline:
        with suppress(OSError, RedisError):
            if check():
                return
        sleep(0.05)
    raise NotUpError(f"{what} did not come up within {_UP_WITHIN_S:.0f} s")


def raise_file_limit() -> None:
    """4,000 streams are 8,000 sockets of the router; children inherit the limit."""
    _, hard = getrlimit(RLIMIT_NOFILE)
    setrlimit(RLIMIT_NOFILE, (hard, hard))


def cpu_s(pid: int | None) -> float:
    """CPU seconds used so far by a process and its children; 0 for None and for one that has gone."""
    return float(sum(sum(process.cpu_times()[:2]) for process in _tree(pid)))


def rss_bytes(pid: int | None) -> int:
    """Resident memory of a process and its children; 0 for None and for one that has gone."""
    return sum(int(process.memory_info().rss) for process in _tree(pid))


def _tree(pid: int | None) -> list[psutil.Process]:
    if pid is None:
        return []
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


@dataclass(frozen=True)
class CoreUse:
    """What became of the two cores' time, as shares from 0 to 1. Programs of low priority (`nice`) count as idle."""

    system_busy: float
    load_busy: float
    system_stolen: float
    load_stolen: float
    """Stolen: the host ran somebody else while we had something to run."""
    system_programs: float
    """Share of the system's core that programs ran on, interrupts not counted."""
    machine_stolen: float
    """Of all cores."""
    seconds: float

    def foreign(self, used_s: float) -> float:
        """Share of the system's core that other programs took, where the system itself used so many CPU seconds."""
        return max(0.0, self.system_programs - used_s / self.seconds)


class CoreClock:
    """Counts the use of the two cores from its making, by `/proc/stat`."""

    def __init__(self) -> None:
        self._start = _core_times()
        self._started_at = monotonic()

    def read(self) -> CoreUse:
        """The use since the clock was made."""
        now, seconds = _core_times(), monotonic() - self._started_at
        shares = {}
        for core in (SYSTEM_CORE, LOAD_CORE, _ALL_CORES):
            spent = [after - before for before, after in zip(self._start[core], now[core], strict=True)]
            total = sum(spent) or 1
            programs, idle, stolen = spent[0] + spent[2], spent[1] + spent[3] + spent[4], spent[7]
            shares[core] = (total - idle - stolen) / total, stolen / total, programs / total
        return CoreUse(
            system_busy=shares[SYSTEM_CORE][0],
            load_busy=shares[LOAD_CORE][0],
            system_stolen=shares[SYSTEM_CORE][1],
            load_stolen=shares[LOAD_CORE][1],
            system_programs=shares[SYSTEM_CORE][2],
            machine_stolen=shares[_ALL_CORES][1],
            seconds=seconds,
        )


def _core_times() -> dict[int, list[int]]:
    """user, nice, system, idle, iowait, irq, softirq, steal of each core, in ticks."""
    times = {}
    for line in Path("/proc/stat").read_text().splitlines():
        name, *fields = line.split()
        if name.startswith("cpu"):
            times[int(name[3:] or _ALL_CORES)] = [int(field) for field in fields[:8]]
    return times
