"""NaN and infinity in the weights: looked for in samples, without a numeric library."""

import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from orchestrator.library.verification.header import Tensor
from orchestrator.library.verification.inventory import open_plain
from orchestrator.library.verification.refusal import Code, Refusal, shown

PAGE_BYTES = 4096
MAX_PAGES = 8192
"""Of all tensors together: 32 MiB, and what a slow disk seeks in about a minute."""
_MAX_PAGES_PER_TENSOR = 16
_BUFFERS = ("masked_bias", "attn.bias", "attention.bias", "inv_freq", "mask")
"""Not weights: some are infinite on purpose."""


def _ones_where(mask: int) -> bytes:
    """A translation table: 1 for bytes that have all bits of `mask`, else 0."""
    return bytes(1 if byte & mask == mask else 0 for byte in range(256))


_EXPONENTS: dict[str, tuple[int, tuple[tuple[int, bytes], ...]]] = {
    "BF16": (2, ((1, _ones_where(0x7F)), (0, _ones_where(0x80)))),
    "F16": (2, ((1, _ones_where(0x7C)),)),
    "F32": (4, ((3, _ones_where(0x7F)), (2, _ones_where(0x80)))),
    "F64": (8, ((7, _ones_where(0x7F)), (6, _ones_where(0xF0)))),
    "F8_E4M3": (1, ((0, _ones_where(0x7F)),)),
    "F8_E5M2": (1, ((0, _ones_where(0x7C)),)),
}
"""Width of an element, and the bytes of it with the bits that are all set in NaN and infinity and in nothing else."""


def is_finite(dtype: str, data: bytes) -> bool:
    """Whether the little-endian elements in `data` hold neither NaN nor infinity. PURE.

    `data` is a whole number of elements. True for dtypes that have neither.
    """
    width, parts = _EXPONENTS.get(dtype, (1, ()))
    if not parts:
        return True
    both = -1
    for offset, table in parts:
        both &= int.from_bytes(data[offset::width].translate(table), "little")
    return both == 0


def pages(tensor: Tensor, budget: int) -> Iterator[tuple[int, int]]:
    """Ranges of bytes to look at, at most `budget`: the first, the last and some between, on element borders. PURE.

    The same file always gets the same samples, so that a verdict can be repeated.
    """
    size = tensor.end - tensor.begin
    count = -(-size // PAGE_BYTES)
    if count <= budget:
        numbers = list(range(count))
    else:
        state, numbers = zlib.crc32(tensor.name.encode()), [0, count - 1][:budget]
        while len(numbers) < budget:
            state = (state * 1664525 + 1013904223) % 2**32
            numbers.append((state * count) >> 32)
    for number in sorted(set(numbers)):
        begin = tensor.begin + number * PAGE_BYTES
        yield begin, min(begin + PAGE_BYTES, tensor.end)


def check_finite(folder: Path, tensors: Sequence[Tensor], at: Callable[[str], None]) -> None:
    """Raises Refusal if a sample of a floating-point tensor holds NaN or infinity; OSError."""
    wanted = [each for each in tensors if each.dtype in _EXPONENTS and not each.name.endswith(_BUFFERS)]
    if not wanted:
        return
    step = -(-len(wanted) // MAX_PAGES)
    budget = max(1, min(_MAX_PAGES_PER_TENSOR, MAX_PAGES // len(wanted)))
    by_file: dict[str, list[Tensor]] = {}
    for tensor in wanted[::step]:
        by_file.setdefault(tensor.file, []).append(tensor)
    for file, inside in by_file.items():
        at(file)
        with open_plain(folder / file) as descriptor:
            for tensor in inside:
                _check_tensor(descriptor.number, tensor, budget)


def _check_tensor(descriptor: int, tensor: Tensor, budget: int) -> None:
    for begin, end in pages(tensor, budget):
        data = os.pread(descriptor, end - begin, begin)
        if len(data) != end - begin:
            what = "changed while it was examined"
            raise Refusal(Code.UNREADABLE, tensor.file, what, "Try again when it is complete.")
        if not is_finite(tensor.dtype, data):
            what = f"holds NaN or infinity in {shown(tensor.name)}"
            raise Refusal(Code.NOT_FINITE, tensor.file, what, "Save the model again from a sound training state.")
