"""The header of a safetensors file, read by a parser of our own with caps of our own. PURE.

Format: 8 bytes little-endian header length, the header as JSON (name → dtype, shape, data_offsets), the data.
The library that engines use accepts duplicate names and hundreds of thousands of empty tensors; this does not.
"""

import re
from typing import Any

from msgspec import Struct

from orchestrator.library.verification.refusal import Code, Refusal, shown
from orchestrator.library.verification.strict_json import JsonFaultError, decode

MAX_HEADER_BYTES = 32 * 2**20
MAX_TENSORS = 50_000
MAX_RANK = 8
_MAX_ELEMENTS = 2**50
_NAME = re.compile(r"[!-~]{1,512}")
_METADATA = "__metadata__"
DTYPE_BITS = {
    "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "BOOL": 8, "U8": 8, "I8": 8, "U16": 16, "I16": 16, "F16": 16, "BF16": 16, "U32": 32, "I32": 32, "F32": 32,
    "C64": 64, "U64": 64, "I64": 64, "F64": 64,
}  # fmt: skip
FLOATS = frozenset(name for name in DTYPE_BITS if name.startswith(("F", "BF")))


class Tensor(Struct, frozen=True, gc=False):
    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    """Where its bytes begin and end in the file."""
    end: int
    file: str

    @property
    def elements(self) -> int:
        return _product(self.shape)


def header_length(file: str, first: bytes, size: int) -> int:
    """Bytes of the header of a file of `size` bytes that begins with the 8 bytes `first`. Raises Refusal."""
    if size < 10:
        raise _fault(file, f"has {size} bytes and is no safetensors file")
    length = int.from_bytes(first[:8], "little")
    if length > MAX_HEADER_BYTES:
        raise _fault(file, f"claims a header of {length:,} bytes; at most {MAX_HEADER_BYTES:,} are read")
    if length < 2 or 8 + length > size:
        raise _fault(file, f"claims a header of {length:,} bytes in a file of {size:,}; it is cut off or damaged")
    return length


def parse_header(file: str, header: bytes, size: int) -> tuple[Tensor, ...]:
    """The tensors of a file of `size` bytes, in the order of their data. Raises Refusal, MemoryError."""
    if not header.startswith(b"{"):
        raise _fault(file, "has a header that is not a JSON object")
    if header.count(b'"data_offsets"') > MAX_TENSORS:
        raise _fault(file, f"has more than {MAX_TENSORS:,} tensors")
    try:
        entries = decode(header, max_parts=12 * MAX_TENSORS, max_depth=None)
    except JsonFaultError as error:
        raise _fault(file, f"has a header that {error}") from None
    if not isinstance(entries, dict):
        raise _fault(file, "has a header that is not a JSON object")
    _check_metadata(file, entries.pop(_METADATA, None))
    start = 8 + len(header)
    tensors = [_tensor(file, name, entry, start) for name, entry in entries.items()]
    if not tensors:
        raise _fault(file, "holds no tensors")
    tensors.sort(key=lambda each: (each.begin, each.end))
    _check_layout(file, tensors, start, size)
    return tuple(tensors)


def _check_metadata(file: str, metadata: Any) -> None:
    if metadata is None:
        return
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise _fault(file, "has metadata that are not all text")


def _tensor(file: str, name: str, entry: Any, start: int) -> Tensor:
    if not _NAME.fullmatch(name):
        raise _fault(file, f"has a tensor with a name that cannot be one ({shown(name)!r})")
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise _fault(file, f"does not give exactly dtype, shape and data_offsets for {shown(name)}")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPE_BITS:
        raise _fault(file, f"gives {shown(name)} the unknown dtype {str(dtype)[:40]!r}")
    elements = _product(shape) if _naturals(shape) and len(shape) <= MAX_RANK else _MAX_ELEMENTS + 1
    if elements > _MAX_ELEMENTS:
        raise _fault(file, f"gives {shown(name)} the shape {str(shape)[:80]}, which cannot be one")
    if not _naturals(offsets) or len(offsets) != 2:
        raise _fault(file, f"gives {shown(name)} the offsets {str(offsets)[:80]}, which cannot be ones")
    begin, end = offsets
    bits = elements * DTYPE_BITS[dtype]
    if bits % 8 or bits // 8 != end - begin:
        held = f"{max(0, end - begin):,} bytes for {dtype} {list(shape)}, which takes {-(-bits // 8):,}"
        raise _fault(file, f"gives {shown(name)} {held}")
    return Tensor(name, dtype, tuple(shape), start + begin, start + end, file)


def _naturals(value: Any) -> bool:
    if not isinstance(value, list):
        return False
    for each in value:  # noqa: SIM110 - twice as fast as all(), and called for every tensor
        if type(each) is not int or each < 0:
            return False
    return True


def _product(shape: tuple[int, ...] | list[int]) -> int:
    """Number of elements, or one more than is believed if a dimension is absurd: no shape makes a huge number."""
    product = 1
    for each in shape:
        if each > _MAX_ELEMENTS:
            return _MAX_ELEMENTS + 1
        product *= each
    return product


def _check_layout(file: str, tensors: list[Tensor], start: int, size: int) -> None:
    at = start
    for tensor in tensors:
        if tensor.begin < at:
            raise _fault(file, f"has {shown(tensor.name)} overlap another tensor")
        if tensor.begin > at:
            raise _fault(file, f"has {tensor.begin - at:,} bytes that belong to no tensor before {shown(tensor.name)}")
        at = tensor.end
    if at > size:
        raise _fault(file, f"is cut off: its tensors end at byte {at:,} and the file at {size:,}")
    if at < size:
        raise _fault(file, f"has {size - at:,} bytes behind its last tensor")


def _fault(file: str, what: str) -> Refusal:
    return Refusal(Code.HEADER, file, what, "Copy or download the file again from where it was published.")
