"""`python -m orchestrator.library.verification FOLDER [LIMITS]`: one JSON line on stdout, the verdict.

LIMITS is `sandbox.Limits` as JSON. On stderr it tells each file before it opens it (`at "FILE"`), so that whoever ends
it knows where it was. Both must be pipes or terminals: the process may write no file, not even one that was open
before. Exit status 0 whatever the verdict.
"""

import json
import os
import resource
import sys
from contextlib import suppress
from pathlib import Path

import msgspec

from orchestrator.library.verification.budget import Watch
from orchestrator.library.verification.examine import examine
from orchestrator.library.verification.facts import Accepted, Refused, Used, Verdict
from orchestrator.library.verification.refusal import Code, Refusal
from orchestrator.library.verification.sandbox import Limits, seal

_MEMORY = "takes more memory to examine than any model should. Take the file that was published with the model."


class _Place:
    """The file that is being examined."""

    def __init__(self) -> None:
        self.file = "config.json"

    def enter(self, file: str) -> None:
        self.file = file
        os.write(2, f"at {json.dumps(file)}\n".encode())


def judge(folder: Path) -> Verdict:
    """The verdict on `folder`, in this process."""
    place = _Place()
    try:
        return Accepted(examine(folder, Watch(at=place.enter, may_end_process=True)))
    except Refusal as refusal:
        return Refused(refusal.code, refusal.file, str(refusal))
    except MemoryError:
        pass  # the handler would itself need memory while the frames that took it are still alive
    except RecursionError:
        return Refused(Code.LIMIT, place.file, f"{place.file} is nested too deep. Take the file that was published.")
    except OSError as error:
        sentence = f"{place.file} cannot be read ({error.strerror or error}). Check its permissions and the disk."
        return Refused(Code.UNREADABLE, place.file, sentence)
    return Refused(Code.LIMIT, place.file, f"{place.file} {_MEMORY}")


def main(arguments: list[str]) -> None:
    limits = msgspec.json.decode(arguments[1], type=Limits) if len(arguments) > 1 else Limits()
    seal(limits)
    verdict = judge(Path(arguments[0]))
    os.write(1, msgspec.json.encode(msgspec.structs.replace(verdict, used=_used())) + b"\n")


def _used() -> Used:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    peak = usage.ru_maxrss * 1024
    with suppress(OSError):
        # What getrusage tells begins with the memory of the process that this one was forked from.
        lines = Path("/proc/self/status").read_text().splitlines()
        peak = next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), peak)
    return Used(cpu_s=usage.ru_utime + usage.ru_stime, peak_rss_bytes=peak)


if __name__ == "__main__":
    main(sys.argv[1:])
