"""Reads the header of a GGUF file: what it says about the model, and where its tensors lie. No tensor is read.

The layout is that of GGUF 2 and 3 (little-endian): magic, version, two counts; key-value pairs; one entry a tensor;
padding; the tensors' bytes. Everything a hostile file could make large has a cap of ours.
"""

import math
import struct
from typing import BinaryIO

from msgspec import Struct, field

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_MAX_HEADER_BYTES = 128 * 2**20
_MAX_TENSORS = 65_536
_MAX_PAIRS = 4_096
_MAX_ELEMENTS = 2_000_000
"""Of all arrays together: a vocabulary of 262,144 tokens has some 1.3 million."""
_MAX_KEY_BYTES, _MAX_NAME_BYTES, _MAX_STRING_BYTES = 256, 128, 2**20
_MAX_DIMENSIONS, _MAX_DIMENSION, _MAX_ALIGNMENT = 4, 2**32, 2**16
_READ_BYTES = 2**20
_STRING, _ARRAY = 8, 9
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}

BLOCKS = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 30: ("BF16", 1, 2),
    2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22), 7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34),
    10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110), 12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210),
    16: ("IQ2_XXS", 256, 66), 17: ("IQ2_XS", 256, 74), 18: ("IQ3_XXS", 256, 98), 19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110), 22: ("IQ2_S", 256, 82), 23: ("IQ4_XS", 256, 136),
    29: ("IQ1_M", 256, 56),
    34: ("TQ1_0", 256, 54), 35: ("TQ2_0", 256, 66), 39: ("MXFP4", 32, 17),
}  # fmt: skip
"""Tensor types that can be turned into numbers: name, elements of a block, bytes of a block."""


class HeaderError(Exception):
    """What is wrong with the file, as the rest of a sentence that begins with its name."""


class Tensor(Struct, frozen=True):
    name: str
    shape: tuple[int, ...]
    """As ggml stores it: the fastest-moving dimension first."""
    type: str
    offset: int
    """From the start of the tensors' bytes."""
    size_bytes: int

    @property
    def elements(self) -> int:
        return math.prod(self.shape)


class Header(Struct, frozen=True, kw_only=True):
    values: dict[str, object]
    """Numbers, truth values and strings; of an array of numbers its tuple if it is short, else nothing."""
    array_elements: int
    """Of all arrays: the vocabulary, mostly."""
    tensors: tuple[Tensor, ...] = field(default=())


class _Cursor:
    """Reads on and never back, and no further than the cap."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._kept = b""
        self._begin = 0
        """Where `_kept` begins in the file."""
        self._at = 0

    @property
    def position(self) -> int:
        return self._begin + self._at

    def take(self, count: int) -> bytes:
        self._need(count)
        self._at += count
        return self._kept[self._at - count : self._at]

    def _need(self, count: int) -> None:
        if self._at + count <= len(self._kept):
            return
        if self.position + count > _MAX_HEADER_BYTES:
            raise HeaderError(f"has a header of more than {_MAX_HEADER_BYTES // 2**20} MiB")
        left = self._kept[self._at :]
        self._begin, self._at = self.position, 0
        self._kept = left + self._stream.read(max(_READ_BYTES, count - len(left)))
        if len(self._kept) < count:
            raise HeaderError("is cut off: it ends within its header")

    def skip_texts(self, count: int, what: str) -> None:
        """Pass over strings. In one loop over plain variables: a vocabulary has a million of them."""
        length_at = struct.Struct("<Q").unpack_from
        kept, at = self._kept, self._at
        for _ in range(count):
            if at + 8 > len(kept):
                self._at = at
                self._need(8)
                kept, at = self._kept, self._at
            (length,) = length_at(kept, at)
            if length > _MAX_STRING_BYTES:
                raise HeaderError(
                    f"claims {length:,} bytes for {what}, of which {_MAX_STRING_BYTES:,} are read at most"
                )
            if at + 8 + length > len(kept):
                self._at = at
                self._need(8 + length)
                kept, at = self._kept, self._at
            at += 8 + length
        self._at = at

    def number(self, form: str) -> int:
        (value,) = struct.unpack(f"<{form}", self.take(struct.calcsize(f"<{form}")))
        return int(value)

    def bounded(self, form: str, most: int, what: str) -> int:
        value = self.number(form)
        if value > most:
            raise HeaderError(f"claims {value:,} {what}, of which {most:,} are the most that is read")
        return value

    def text(self, most: int, what: str) -> str:
        raw = self.take(self.bounded("Q", most, f"bytes for {what}"))
        try:
            return raw.decode()
        except UnicodeDecodeError:
            raise HeaderError(f"holds {what} that is not UTF-8") from None


def read_header(stream: BinaryIO, size_bytes: int) -> Header:
    """The header of a file of `size_bytes`, checked: every tensor lies within the file, and none over another.

    Raises HeaderError. Takes at most some 200 MiB and two seconds.
    """
    cursor = _Cursor(stream)
    _check_start(cursor)
    tensor_count = cursor.bounded("Q", _MAX_TENSORS, "tensors")
    pair_count = cursor.bounded("Q", _MAX_PAIRS, "key-value pairs")
    if not tensor_count:
        raise HeaderError("holds no tensors. It may be a vocabulary only")
    values: dict[str, object] = {}
    elements = 0
    for _ in range(pair_count):
        key = cursor.text(_MAX_KEY_BYTES, "a key")
        if key in values:
            raise HeaderError(f"has the key {key!r} twice")
        values[key], count = _value(cursor, key, _MAX_ELEMENTS - elements)
        elements += count
    tensors = tuple(_tensor(cursor) for _ in range(tensor_count))
    _check_layout(tensors, _start_of_data(values, cursor.position), _alignment(values), size_bytes)
    return Header(values=values, array_elements=elements, tensors=tensors)


def _check_start(cursor: _Cursor) -> None:
    if cursor.take(4) != _MAGIC:
        raise HeaderError("is not a GGUF file: it does not begin with GGUF")
    version = cursor.number("I")
    if version not in _VERSIONS:
        swapped = struct.unpack(">I", struct.pack("<I", version))[0] in (1, *_VERSIONS)
        what = "is a big-endian GGUF file" if swapped else f"is of GGUF version {version}"
        raise HeaderError(f"{what}; little-endian files of version 2 and 3 are read")


def _value(cursor: _Cursor, key: str, elements_left: int) -> tuple[object, int]:
    """The value of a key, and how many array elements it has."""
    kind = cursor.number("I")
    if kind in _SCALARS:
        (value,) = struct.unpack(f"<{_SCALARS[kind]}", cursor.take(struct.calcsize(f"<{_SCALARS[kind]}")))
        return value, 0
    if kind == _STRING:
        return cursor.text(_MAX_STRING_BYTES, f"the value of {key!r}"), 0
    if kind != _ARRAY:
        raise HeaderError(f"has a value of the unknown type {kind} under {key!r}")
    of = cursor.number("I")
    count = cursor.bounded("Q", elements_left, f"array elements under {key!r}")
    if of == _STRING:
        cursor.skip_texts(count, f"an element of {key!r}")
        return None, count
    if of not in _SCALARS:
        raise HeaderError(f"has an array of the type {of} under {key!r}, which is not read")
    form = f"<{count}{_SCALARS[of]}"
    raw = cursor.take(struct.calcsize(form))
    return (struct.unpack(form, raw) if count <= _MAX_KEY_BYTES else None), count


def _tensor(cursor: _Cursor) -> Tensor:
    name = cursor.text(_MAX_NAME_BYTES, "a tensor's name")
    dimensions = cursor.bounded("I", _MAX_DIMENSIONS, f"dimensions of {name!r}")
    shape = tuple(cursor.bounded("Q", _MAX_DIMENSION, f"elements in a row of {name!r}") for _ in range(dimensions))
    type_, offset = cursor.number("I"), cursor.number("Q")
    if type_ not in BLOCKS:
        raise HeaderError(f"stores {name!r} in the type {type_}, which is not known how to turn into numbers")
    kind, block_elements, block_bytes = BLOCKS[type_]
    if not shape or 0 in shape or shape[0] % block_elements:
        raise HeaderError(f"gives {name!r} the shape {list(shape)}, which {kind} cannot have")
    return Tensor(name, shape, kind, offset, math.prod(shape) // block_elements * block_bytes)


def _alignment(values: dict[str, object]) -> int:
    alignment = values.get("general.alignment", 32)
    good = isinstance(alignment, int) and 8 <= alignment <= _MAX_ALIGNMENT and not alignment & (alignment - 1)
    if not isinstance(alignment, int) or not good:
        raise HeaderError(f"asks for an alignment of {alignment!r}, which is no power of two from 8 to 65,536")
    return alignment


def _start_of_data(values: dict[str, object], position: int) -> int:
    alignment = _alignment(values)
    return (position + alignment - 1) // alignment * alignment


def _check_layout(tensors: tuple[Tensor, ...], start: int, alignment: int, size_bytes: int) -> None:
    if len({each.name for each in tensors}) < len(tensors):
        raise HeaderError("names a tensor twice")
    end = 0
    for each in sorted(tensors, key=lambda tensor: tensor.offset):
        if each.offset % alignment:
            raise HeaderError(f"places {each.name!r} at the offset {each.offset}, which is not aligned")
        if each.offset < end:
            raise HeaderError(f"places {each.name!r} over another tensor")
        end = each.offset + each.size_bytes
        if start + end > size_bytes:
            raise HeaderError(f"is cut off: {each.name!r} ends at byte {start + end:,} and the file has {size_bytes:,}")
