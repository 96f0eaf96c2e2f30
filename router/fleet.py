"""Several routers on one public port: a parent that starts them, starts those again that fall, and passes signals on.

Each is a whole router: a process with its own event loop, accounts, id and ops port. They share nothing but the public
port, on which each listens for itself (SO_REUSEPORT): the kernel spreads new connections over those that are there.
The parent serves nothing; the routers are its forks, so what it has imported is in memory once.
"""

import ctypes
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.process import BaseProcess

from router.errors import ListenError

log = logging.getLogger(__name__)

STEADY_S = 60.0
"""A router that lived this long starts again soon; one that falls sooner waits longer each time."""
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
_STOPS_WITHIN_S = 4.0
"""Beyond the time that requests in flight have."""
_STOPS = (signal.SIGTERM, signal.SIGINT)
_SIGNALS = (*_STOPS, signal.SIGCHLD)
_PR_SET_PDEATHSIG = 1

Sockets = tuple[socket.socket, socket.socket]
"""Of one router: its public and its ops port."""


@dataclass
class _Member:
    """One of the routers, whether or not it runs now."""

    index: int
    sockets: Sockets | None = None
    """Only between opening and the start of the process that takes them."""
    process: BaseProcess | None = None
    started_at: float = 0.0
    pause_s: float = field(default=_FIRST_PAUSE_S)
    start_at: float = 0.0
    """Monotonic seconds; for one that does not run."""


class Fleet:
    """`count` routers. `run` returns when told to stop and all of them have ended."""

    def __init__(
        self,
        count: int,
        *,
        open_sockets: Callable[[int], Sockets],
        serve: Callable[[int, Sockets], None],
        drain_s: float,
    ) -> None:
        """`open_sockets`: listening sockets of a router, by its number; raises `ListenError`. `serve`: the whole life
        of a router, in a process of its own, until SIGTERM."""
        self._members = [_Member(index) for index in range(count)]
        self._open_sockets = open_sockets
        self._serve = serve
        self._drain_s = drain_s
        self._fork = get_context("fork").Process
        self._kill_at: float | None = None
        """Monotonic seconds; set once the fleet is to stop."""

    def run(self) -> None:
        """Raises `ListenError` if a router cannot have its ports at the start."""
        # Blocked, signals wait for `sigtimedwait`: none can come between two statements.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            # All ports before the first process: either the whole fleet starts or none of it.
            for member in self._members:
                member.sockets = self._open_sockets(member.index)
            for member in self._members:
                self._start(member)
            while self._kill_at is None or self._running():
                self._handle(self._next_signal())
        finally:
            for member in self._running():
                member.process.kill()  # type: ignore[union-attr]
            for member in self._members:
                _close(member)
            for number in _STOPS:
                # Told once more at the very end, it must still end as one that was told to.
                signal.signal(number, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)

    def _running(self) -> list[_Member]:
        return [member for member in self._members if member.process is not None]

    def _next_signal(self) -> int | None:
        """Waits for a signal, or until something is due: then None."""
        now = time.monotonic()
        due = [member.start_at for member in self._members if member.process is None]
        until = min(due, default=now + 60) if self._kill_at is None else self._kill_at
        told = signal.sigtimedwait(_SIGNALS, max(0.0, until - now))
        return None if told is None else told.si_signo

    def _handle(self, number: int | None) -> None:
        now = time.monotonic()
        if number in _STOPS:
            self._stop(now)
        self._reap(now)
        if self._kill_at is None:
            for member in self._members:
                if member.process is None and member.start_at <= now:
                    self._start_again(member, now)
        elif now >= self._kill_at:
            for member in self._running():
                member.process.kill()  # type: ignore[union-attr]

    def _stop(self, now: float) -> None:
        """The first time requests in flight may end; whoever asks again means at once, as with one router."""
        self._kill_at = self._kill_at or now + self._drain_s + _STOPS_WITHIN_S
        for member in self._running():
            member.process.terminate()  # type: ignore[union-attr]

    def _reap(self, now: float) -> None:
        for member in self._running():
            process = member.process
            if process is None or process.exitcode is None:
                continue
            if self._kill_at is None:
                lived_s = now - member.started_at
                member.pause_s = _FIRST_PAUSE_S if lived_s > STEADY_S else min(_LONGEST_PAUSE_S, member.pause_s * 2)
                member.start_at = now + member.pause_s
                log.warning(
                    "Router %d (process %s) ended with status %s; another one starts in %.1f s.",
                    member.index, process.pid, process.exitcode, member.pause_s,
                )  # fmt: skip
            process.close()
            member.process = None

    def _start_again(self, member: _Member, now: float) -> None:
        try:
            member.sockets = self._open_sockets(member.index)
        except ListenError as exc:
            log.warning("Router %d cannot start: %s", member.index, exc)
            member.pause_s = min(_LONGEST_PAUSE_S, member.pause_s * 2)
            member.start_at = now + member.pause_s
            return
        self._start(member)

    def _start(self, member: _Member) -> None:
        process = self._fork(target=self._live, args=(member, os.getpid()), name=f"router-{member.index}")
        process.start()
        member.process, member.started_at = process, time.monotonic()
        _close(member)

    def _live(self, member: _Member, parent: int) -> None:
        """What a fork does."""
        # A terminal's Ctrl-C is for the parent, which passes it on; heard twice it would mean "at once".
        os.setsid()
        _end_with_parent(parent)
        for other in self._members:
            if other is not member:
                _close(other)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        if member.sockets is not None:
            self._serve(member.index, member.sockets)


def _close(member: _Member) -> None:
    for each in member.sockets or ():
        each.close()
    member.sockets = None


def _end_with_parent(parent: int) -> None:
    """This process gets SIGTERM when the parent ends, however it ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)
