"""Limits that the examining process puts on itself before it opens the first file.

What holds where:
- Always: the limits on memory, CPU time and open files; no file can be written (size limit 0, and opening for writing
  is refused); no core dump; Python code can neither create a socket nor start a process (an audit hook, which cannot be
  taken off again). It ends when its parent does (Linux).
- Where the kernel lets it (as root, or with unprivileged user namespaces): a network namespace of its own without
  any interface, which binds native code too. Containers often forbid this; then native code (the tokenizer library) is
  bound by being a library that opens no connection, and not by the kernel.
"""

import ctypes
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any

from msgspec import Struct

import orchestrator

_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_FORBIDDEN = (
    "socket.", "subprocess.", "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.startfile",
    "os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate", "os.chmod", "os.chown",
    "shutil.", "ctypes.", "pty.", "ftplib.", "urllib.", "http.", "smtplib.", "webbrowser.",
)  # fmt: skip
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Limits(Struct, frozen=True, kw_only=True):
    """What one examination may take."""

    memory_bytes: int = 512 * 2**20
    """Address space (RLIMIT_AS), which bounds resident memory from above. Not resident memory itself: Linux does not
    enforce a limit on that. It holds because nothing is mapped: headers and samples are read with pread."""
    cpu_s: int = 60
    wall_s: float = 300.0
    """Longer than the CPU time: samples come from a disk that may be slow."""
    open_files: int = 64


def seal(limits: Limits) -> bool:
    """Take everything away that examining does not need. Single thread only. True if the network is the kernel's
    to refuse. Raises OSError, ValueError if a limit cannot be set."""
    sys.dont_write_bytecode = True
    isolated = leave_network()
    bound(memory_bytes=limits.memory_bytes, cpu_s=limits.cpu_s, file_bytes=0)
    _limit(resource.RLIMIT_NOFILE, limits.open_files)
    sys.addaudithook(_refuse)
    return isolated


def bound(*, memory_bytes: int, cpu_s: int, file_bytes: int) -> None:
    """Address space, CPU time and the size of a file from here on; no core dump. Raises OSError, ValueError."""
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, file_bytes)
    _limit(resource.RLIMIT_AS, memory_bytes)
    # The soft limit ends the process with a signal that says why; the hard one a second later in any case.
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))
    signal.signal(signal.SIGXCPU, signal.SIG_DFL)


def clean_environment() -> dict[str, str]:
    """Of a process that reads what others made: no token, no proxy, and nothing of ours but the sources."""
    return {
        "PATH": os.defpath,
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(Path(orchestrator.__file__).resolve().parent.parent),
        "TOKENIZERS_PARALLELISM": "false",
    }


def _limit(which: int, value: int) -> None:
    _, hard = resource.getrlimit(which)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(which, (value, value))


def leave_network() -> bool:
    try:
        library = ctypes.CDLL(None, use_errno=True)
        library.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        # Without a user namespace first: with one, root would lose the right to read files of others.
        isolated = 0 in (library.unshare(flags) for flags in (_CLONE_NEWNET, _CLONE_NEWUSER | _CLONE_NEWNET))
        library.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    except (OSError, AttributeError):
        return False  # not Linux
    return isolated


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open":
        flags = arguments[2]
        if isinstance(flags, int) and flags & _WRITING:
            raise PermissionError("Nothing is written while a model is examined.")
    elif event.startswith(_FORBIDDEN):
        raise PermissionError(f"{event} is refused while a model is examined.")
