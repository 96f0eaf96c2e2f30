"""Will a model fit into this machine? PURE.

A first estimate: weights as the engine holds them, the engine itself, and the smallest useful KV cache.
"""

from msgspec import Struct

GIB = 2**30
_GPU_SHARE = 0.92
"""Share of a GPU's memory that an engine may take; the rest is the driver's and the CUDA context's."""
_GPU_ENGINE_BYTES = 2 * GIB
_CPU_ENGINE_BYTES = 3 * GIB
_MIN_KV_BYTES = GIB // 2


class Device(Struct, frozen=True, kw_only=True):
    """What one replica would run on."""

    kind: str
    """`gpu` or `cpu`."""
    memory_bytes: int
    """Memory of the largest GPU, or of this machine."""


class Fit(Struct, frozen=True, kw_only=True):
    fits: bool
    needed_bytes: int
    reason: str


def estimate(weights_bytes: int, dtype_bytes: float, device: Device) -> Fit:
    """Bytes needed to serve weights of `weights_bytes` on `device`, and whether they are there."""
    if device.kind == "gpu":
        needed = weights_bytes + _GPU_ENGINE_BYTES + _MIN_KV_BYTES
        room = int(device.memory_bytes * _GPU_SHARE)
        where = "the largest GPU"
    else:
        # The engine computes in float32 on a CPU: half-precision weights double in memory.
        needed = int(weights_bytes * 4 / dtype_bytes) + _CPU_ENGINE_BYTES + _MIN_KV_BYTES
        room = device.memory_bytes
        where = "this machine"
    if needed <= room:
        return Fit(fits=True, needed_bytes=needed, reason=f"needs {needed / GIB:.1f} GiB of {room / GIB:.1f} GiB")
    return Fit(
        fits=False,
        needed_bytes=needed,
        reason=(
            f"It needs about {needed / GIB:.1f} GiB and {where} has {room / GIB:.1f} GiB for it. "
            "Take a smaller or more strongly quantised model."
        ),
    )
