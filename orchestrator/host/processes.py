"""Child processes that live and die with `up`."""

import asyncio
import ctypes
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from orchestrator.errors import HostError
from orchestrator.host.home import Home

_log = logging.getLogger("roundhouse.processes")
_STEADY_S = 60.0
"""A process that lived this long starts again at once; one that falls sooner waits longer each time."""
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
MARK = "ROUNDHOUSE_INSTANCE"
"""Environment variable that every process of an instance carries; its value is the home."""


def adopt_orphans() -> None:
    """Make this process the parent of every descendant whose own parent ends, so that none can be lost."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _at_parents_death(number: signal.Signals) -> Callable[[], None] | None:
    """What a child runs before it becomes its program, so that it gets signal `number` when this process ends."""
    if sys.platform != "linux":
        return None
    return lambda: ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)


class Child:
    """One long-running process with its log file, in a session of its own: a terminal's Ctrl-C does not reach it."""

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        env: Mapping[str, str],
        log: Path,
        death_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.name = name
        self._death_signal = death_signal
        self.log = log
        self._argv = list(argv)
        self._env = dict(env)
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        with self.log.open("ab") as file:
            self._process = await asyncio.create_subprocess_exec(
                *self._argv,
                env=self._env,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
                preexec_fn=_at_parents_death(self._death_signal),
            )

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    async def wait(self) -> int:
        assert self._process is not None  # noqa: S101 - started before it is waited for
        return await self._process.wait()

    def require_running(self) -> None:
        """Raise HostError with the last line of the log when the process has ended."""
        if not self.running:
            code = self._process.returncode if self._process else None
            raise HostError(
                f"The {self.name} process ended with status {code}: {last_line(self.log)} The whole log is {self.log}."
            )

    async def stop(self, grace_s: float) -> None:
        if self._process is None or self._process.returncode is not None:
            return
        self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), grace_s)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


async def keep_running(child: Child, stopping: Callable[[], bool]) -> None:
    """Start `child` again whenever it falls, until `stopping`."""
    pause_s = 0.5
    while True:
        started = time.monotonic()
        status = await child.wait()
        if stopping():
            return
        _log.warning("%s ended with status %s; starting it again. Its log is %s", child.name, status, child.log)
        pause_s = 0.5 if time.monotonic() - started > _STEADY_S else min(30.0, pause_s * 2)
        await asyncio.sleep(pause_s)
        await child.start()


def last_line(log: Path) -> str:
    with suppress(OSError):
        lines = [line.strip() for line in log.read_text(errors="replace").splitlines()[-40:] if line.strip()]
        if lines:
            return lines[-1][:300]
    return "it said nothing."


def descendants() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def marked(home: Home) -> list[psutil.Process]:
    """Processes of an instance of this home, wherever they hang in the process tree."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.pid != os.getpid() and _belongs_to(process, home):
                found.append(process)
    return found


def _belongs_to(process: psutil.Process, home: Home) -> bool:
    with suppress(psutil.Error):
        if process.environ().get(MARK) == str(home.root):
            return True
    # Ray's agents write their title over their environment; they are known by the logs that they hold open.
    if not process.name().startswith("ray"):
        return False
    return any(Path(file.path).is_relative_to(home.ray_folder) for file in process.open_files())


def end(processes: Sequence[psutil.Process], grace_s: float = 5.0) -> None:
    """Ask, wait, then kill. Blocks."""
    for process in processes:
        with suppress(psutil.Error):
            process.terminate()
    _, alive = psutil.wait_procs(processes, timeout=grace_s)
    for process in alive:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(alive, timeout=grace_s)
