"""What this machine has: GPUs as the driver tells, memory, cores."""

import shutil
import subprocess

import psutil
from msgspec import Struct

from orchestrator.library.fit import Device


class Gpu(Struct, frozen=True, kw_only=True):
    index: int
    name: str
    memory_bytes: int
    free_bytes: int
    driver: str


def gpus() -> list[Gpu]:
    """GPUs by `nvidia-smi`; empty when there is no driver or it does not answer."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    query = "--query-gpu=index,name,memory.total,memory.free,driver_version"
    try:
        answer = subprocess.run(
            [program, query, "--format=csv,noheader,nounits"],
            capture_output=True, text=True, timeout=20, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return []
    found = []
    for line in answer.stdout.splitlines():
        fields = [field.strip() for field in line.split(",")]
        if len(fields) == 5 and fields[2].isdigit() and fields[3].isdigit():
            found.append(
                Gpu(
                    index=int(fields[0]),
                    name=fields[1],
                    memory_bytes=int(fields[2]) * 2**20,
                    free_bytes=int(fields[3]) * 2**20,
                    driver=fields[4],
                )
            )
    return found


def best_device() -> Device:
    """Where one replica could go: the largest GPU, else this machine's memory. Whether it is free now is not asked."""
    found = gpus()
    if found:
        return Device(kind="gpu", memory_bytes=max(gpu.memory_bytes for gpu in found))
    return Device(kind="cpu", memory_bytes=psutil.virtual_memory().total)
