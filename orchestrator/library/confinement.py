"""Limits that a converting process puts on itself. As `verification.sandbox`, but for one folder that may be written.

What holds where:
- Always: the limits on memory, CPU time and the size of a file; no core dump; Python code can neither create a socket
  nor start a process nor open a file for writing outside of the folder (an audit hook). It ends when its parent does.
- With Landlock (Linux 5.13, and where a container allows it): the kernel refuses every change outside of the folder and
  every start of a program, and from Linux 6.7 on every TCP connection; native code is bound too.
- Where the kernel lets it, as for verifying: a network namespace without any interface.
"""

import ctypes
import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from orchestrator.library.verification.sandbox import bound, leave_network

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG, _PATH_BENEATH = 1, 1
_EXECUTE, _WRITE_FILE = 1 << 0, 1 << 1
_REMOVE_AND_MAKE = sum(1 << bit for bit in range(4, 13))
_REFER, _TRUNCATE = 1 << 13, 1 << 14
_BIND_AND_CONNECT_TCP = 0b11
_FORBIDDEN = ("socket.", "subprocess.", "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "pty.")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32))


def confine(folder: Path) -> bool:
    """Nothing is written outside of `folder` from here on, and nothing sent. Single thread only, before large imports.
    True if the kernel refuses it, and not only Python."""
    sys.dont_write_bytecode = True
    leave_network()
    confined = _write_only_below(folder)
    sys.addaudithook(_refusing(folder))
    return confined


def limit(memory_bytes: int, cpu_s: int, file_bytes: int) -> None:
    """`memory_bytes` beyond the address space that is taken already. Raises OSError, ValueError."""
    bound(memory_bytes=_address_space_bytes() + memory_bytes, cpu_s=cpu_s, file_bytes=file_bytes)


def _address_space_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def _write_only_below(folder: Path) -> bool:
    library = ctypes.CDLL(None, use_errno=True)
    version = library.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION_FLAG))
    if version < 1:
        return False
    below = _WRITE_FILE | _REMOVE_AND_MAKE | (_REFER if version >= 2 else 0) | (_TRUNCATE if version >= 3 else 0)
    rules = _Ruleset(below | _EXECUTE, _BIND_AND_CONNECT_TCP if version >= 4 else 0)
    size = ctypes.sizeof(rules) if version >= 4 else ctypes.sizeof(ctypes.c_uint64)
    ruleset = library.syscall(_CREATE_RULESET, ctypes.byref(rules), ctypes.c_size_t(size), ctypes.c_uint32(0))
    if ruleset < 0:
        return False
    try:
        allowed = _allow(library, ruleset, folder, below) and _allow(library, ruleset, Path(os.devnull), _WRITE_FILE)
        return allowed and bool(library.syscall(_RESTRICT_SELF, ruleset, ctypes.c_uint32(0)) == 0)
    finally:
        os.close(ruleset)


def _allow(library: ctypes.CDLL, ruleset: int, path: Path, what: int) -> bool:
    opened = os.open(path, os.O_PATH)
    try:
        rule = _Beneath(what, opened)
        return bool(library.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.byref(rule), ctypes.c_uint32(0)) == 0)
    finally:
        os.close(opened)


def _refusing(folder: Path) -> Callable[[str, tuple[Any, ...]], None]:
    allowed = (f"{folder}{os.sep}", f"{os.devnull}{os.sep}")

    def refuse(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            writing = isinstance(flags, int) and flags & _WRITING
            if writing and not (isinstance(path, str) and (os.path.realpath(path) + os.sep).startswith(allowed)):
                raise PermissionError("Nothing is written outside of the folder while a model is converted.")
        elif event.startswith(_FORBIDDEN):
            raise PermissionError(f"{event} is refused while a model is converted.")

    return refuse
