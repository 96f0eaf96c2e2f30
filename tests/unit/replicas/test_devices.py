"""What `nvidia-smi` says, read."""

import pytest

from replicas.devices import gpus_in, see_only, slices_in
from replicas.host_types import Gpu

TABLE = """\
0, NVIDIA GeForce RTX 4090 D, 24564, 20001, 570.86.15, 37
1, NVIDIA H200, 143771, 143160, 570.86.15, [N/A]
2, NVIDIA A16-4Q, 4096, 512, 550.54.14, 0
GPU 3 is lost
"""
LISTING = """\
GPU 0: NVIDIA GeForce RTX 4090 D (UUID: GPU-1f3c)
GPU 1: NVIDIA H200 (UUID: GPU-5c89)
  MIG 3g.71gb     Device  0: (UUID: MIG-40b5)
  MIG 1g.18gb     Device  1: (UUID: MIG-b811)
GPU 2: NVIDIA A16-4Q (UUID: GPU-aa11)
"""


def test_table_of_gpus_gives_memory_in_bytes_and_use_as_a_share() -> None:
    found = gpus_in(TABLE, slices_in(LISTING))
    assert [(each.index, each.usage, each.slices) for each in found] == [
        (0, 0.37, ()),
        (1, None, ("MIG 3g.71gb", "MIG 1g.18gb")),
        (2, 0.0, ()),
    ]
    assert found[0] == Gpu(
        index=0,
        name="NVIDIA GeForce RTX 4090 D",
        memory_bytes=24564 * 2**20,
        free_bytes=20001 * 2**20,
        driver="570.86.15",
        usage=0.37,
    )


def test_listing_without_slices_has_none() -> None:
    assert slices_in("GPU 0: NVIDIA GeForce RTX 4090 D (UUID: GPU-1f3c)\n") == {}


@pytest.mark.parametrize(
    ("before", "gpus", "names"),
    [
        ({}, (0,), ("0",)),
        ({}, (1, 3), ("1", "3")),
        ({"CUDA_VISIBLE_DEVICES": "2,3"}, (1,), ("3",)),
        ({"CUDA_VISIBLE_DEVICES": "MIG-a,MIG-b"}, (0, 1), ("MIG-a", "MIG-b")),
    ],
)
def test_process_sees_its_own_gpus_alone(before: dict[str, str], gpus: tuple[int, ...], names: tuple[str, ...]) -> None:
    environment = {"HOME": "/", **before}
    assert see_only(gpus, environment) == names
    assert environment == {"HOME": "/", "CUDA_VISIBLE_DEVICES": ",".join(names)}
