"""Where a replica could go on this machine."""

import psutil

from orchestrator.library.fit import Device
from replicas.devices import gpus


def best_device() -> Device:
    """Where one replica could go: the largest GPU, else this machine's memory. Whether it is free now is not asked."""
    found = gpus()
    if found:
        return Device(kind="gpu", memory_bytes=max(gpu.memory_bytes for gpu in found))
    return Device(kind="cpu", memory_bytes=psutil.virtual_memory().total)
