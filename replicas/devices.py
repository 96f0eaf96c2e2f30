"""The GPUs of this machine, as the driver tells, and which of them a process sees."""

import re
import shutil
import subprocess
from collections.abc import Mapping, MutableMapping, Sequence

from replicas.host_types import Gpu

_FIELDS = "index,name,memory.total,memory.free,driver_version,utilization.gpu"
_GPU_LINE = re.compile(r"GPU (\d+): ")
_VISIBLE = "CUDA_VISIBLE_DEVICES"
_SLICE_LINE = re.compile(r"\s+(MIG \S+)\s+Device\s+\d+: ")


def gpus() -> list[Gpu]:
    """GPUs by `nvidia-smi`; empty when there is no driver or it does not answer. Blocks for up to 40 s."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    table = _answer(program, f"--query-gpu={_FIELDS}", "--format=csv,noheader,nounits")
    return gpus_in(table, slices_in(_answer(program, "-L")) if table else {})


def _answer(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


def see_only(gpus: Sequence[int], environment: MutableMapping[str, str]) -> tuple[str, ...]:
    """Have a process of this environment see these GPUs alone, and return their names. Before anything touches CUDA.

    They are counted among those that it saw before, as Ray counts a node's.
    """
    before = [name for name in environment.get(_VISIBLE, "").split(",") if name]
    names = tuple(before[index] if index < len(before) else str(index) for index in gpus)
    environment[_VISIBLE] = ",".join(names)
    return names


def gpus_in(table: str, slices: Mapping[int, tuple[str, ...]]) -> list[Gpu]:
    """The GPUs in the lines of `nvidia-smi --query-gpu`. One with MIG on does not tell its use: `[N/A]`."""
    found = []
    for line in table.splitlines():
        fields = [field.strip() for field in line.split(",")]
        if len(fields) == 6 and fields[0].isdigit() and fields[2].isdigit() and fields[3].isdigit():
            found.append(
                Gpu(
                    index=int(fields[0]),
                    name=fields[1],
                    memory_bytes=int(fields[2]) * 2**20,
                    free_bytes=int(fields[3]) * 2**20,
                    driver=fields[4],
                    usage=int(fields[5]) / 100 if fields[5].isdigit() else None,
                    slices=slices.get(int(fields[0]), ()),
                )
            )
    return found


def slices_in(listing: str) -> dict[int, tuple[str, ...]]:
    """By index of the GPU, the slices in the lines of `nvidia-smi -L`."""
    found: dict[int, tuple[str, ...]] = {}
    index = -1
    for line in listing.splitlines():
        if gpu := _GPU_LINE.match(line):
            index = int(gpu[1])
        elif part := _SLICE_LINE.match(line):
            found[index] = (*found.get(index, ()), part[1])
    return found
