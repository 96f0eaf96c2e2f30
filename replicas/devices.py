"""The GPUs of this machine, as the driver tells."""

import shutil
import subprocess

from replicas.host_types import Gpu


def gpus() -> list[Gpu]:
    """GPUs by `nvidia-smi`; empty when there is no driver or it does not answer. Blocks for up to 20 s."""
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
