"""CPU time for one step of the examination: the template and the tokenizer are the model author's programs."""

import gc
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from msgspec import Struct

_GRACE = 1.5


class OutOfTimeError(BaseException):
    """The step took its CPU time. No `Exception`, so that nothing in between takes it for one of its own."""


class Watch(Struct, frozen=True):
    """Who is told how far the examination is."""

    at: Callable[[str], None]
    """Given each file before it is examined."""
    may_end_process: bool = False
    """Whether a step that does not come back to Python (native code) may end the process by SIGPROF."""


@contextmanager
def cpu_budget(watch: Watch, seconds: float) -> Iterator[None]:
    """Raise OutOfTimeError in the body after `seconds` of CPU time. Main thread only."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise OutOfTimeError

    # An exception raised inside a callback of the garbage collector is lost.
    collects = gc.isenabled()
    gc.disable()
    before = signal.signal(signal.SIGVTALRM, stop)
    # Repeated: an exception raised inside a callback of native code is lost.
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds, 0.05)
    if watch.may_end_process:
        signal.setitimer(signal.ITIMER_PROF, seconds * _GRACE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
        if collects:
            gc.enable()
