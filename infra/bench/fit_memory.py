"""Memory of a process and its children that no other program could have: what a replica costs a host."""

from dataclasses import dataclass
from pathlib import Path

import psutil

_KIB = 1024


@dataclass(frozen=True)
class Resident:
    """Bytes in memory, pages shared by several processes of the tree counted once."""

    own: int
    """Anonymous and shared memory: gone only with the processes."""
    files: int
    """Mapped files, of that process which has most: libraries, which all of them map."""
    surplus: int
    """What was there on top since the marks were reset, at each process's highest."""

    @property
    def peak(self) -> int:
        """The most since the marks were reset."""
        return self.own + self.files + self.surplus


def reset_marks(pid: int) -> None:
    """From now on the kernel keeps the highest memory of every process of the tree anew."""
    for process in _tree(pid):
        Path(f"/proc/{process.pid}/clear_refs").write_text("5")


def read(pid: int) -> Resident:
    """The memory of the tree now."""
    own = files = surplus = 0
    for process in _tree(pid):
        pages = _fields(Path(f"/proc/{process.pid}/smaps_rollup"))
        status = _fields(Path(f"/proc/{process.pid}/status"))
        own += pages["Pss_Anon"] + pages["Pss_Shmem"]
        files = max(files, status["RssFile"])
        surplus += max(0, status["VmHWM"] - status["VmRSS"])
    return Resident(own, files, surplus)


def _tree(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def _fields(file: Path) -> dict[str, int]:
    """Fields that the kernel gives in kB, in bytes."""
    words = (line.split() for line in file.read_text().splitlines())
    return {line[0].rstrip(":"): int(line[1]) * _KIB for line in words if len(line) == 3 and line[2] == "kB"}
