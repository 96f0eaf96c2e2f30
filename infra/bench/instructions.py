"""Instructions that a process executes: the one cost that a noisy machine does not change.

Counted by the processor through `perf stat`, where that is installed and allowed; elsewhere there is no figure.
"""

import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import sleep

_ATTACH_S = 0.1
_ENDS_WITHIN_S = 5.0


@dataclass
class Instructions:
    """Of all threads of one process, in user and, where allowed, in kernel mode; None before the end or unknown."""

    possible: bool
    count: int | None = None


@contextmanager
def counted_instructions(pid: int | None) -> Iterator[Instructions]:
    """Counts while the context lasts."""
    perf = shutil.which("perf")
    counted = Instructions(possible=pid is not None and perf is not None)
    if pid is None or perf is None:
        yield counted
        return
    command = [perf, "stat", "-x", ";", "-e", "instructions", "-p", str(pid)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        try:
            sleep(_ATTACH_S)
            yield counted
        finally:
            process.send_signal(signal.SIGINT)
            try:
                _, said = process.communicate(timeout=_ENDS_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()
                said = ""
    counts = [line.split(";")[0] for line in said.splitlines() if "instructions" in line]
    if counts and counts[0].isdigit():
        counted.count = int(counts[0])
