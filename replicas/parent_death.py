"""Ties a child process to the life of its parent.

Neither Ray nor vLLM ends an engine's child processes when their parent is killed with SIGKILL: they stay, and hold
the model's memory. Linux can: a process may ask for a signal at its parent's death.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent_pid: int) -> None:
    """Have the kernel kill this process when the *thread* that started it ends. Nothing happens outside Linux.

    `parent_pid` is the parent as the child was told; if it has already gone, this process exits at once.
    """
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    # The parent may have died between the fork and the line above, and then no signal comes.
    if os.getppid() != parent_pid:
        os._exit(1)
