"""The parser of safetensors headers: faults by name, agreement with the library, and bytes that nobody meant."""

import json
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from orchestrator.library.verification.header import Tensor, header_length, parse_header
from orchestrator.library.verification.refusal import Refusal
from tests.honest_models import data_bytes, header_of, llama_shapes

_HONEST = json.dumps(header_of(llama_shapes())).encode()
_DATA = data_bytes(header_of(llama_shapes()))


def _parse(data: bytes) -> tuple[Tensor, ...]:
    length = header_length("f", data[:8], len(data))
    return parse_header("f", data[8 : 8 + length], len(data))


def _entry(dtype: str = "F32", shape: str = "[16]", offsets: str = "[0,64]") -> str:
    return f'{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}'


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("{}", "no tensors"), ('{"a":1}', "exactly dtype"), (f'{{"a":{_entry("F31")}}}', "unknown dtype"),
        (f'{{"a":{_entry(shape="[-16]")}}}', "shape"), (f'{{"a":{_entry(shape="[1e1]")}}}', "shape"),
        (f'{{"a":{_entry(shape="[17]")}}}', "takes 68"), (f'{{"a":{_entry(offsets="[64,0]")}}}', "0 bytes"),
        (f'{{"a":{_entry(shape=str([2**60, 2**60]))}}}', "shape"),
        (f'{{"a":{_entry("F4", "[1]", "[0,0]")}}}', "takes 1"),
        (f'{{"a":{_entry()},"b":{_entry()}}}', "overlap"), (f'{{"a":{_entry(offsets="[4,68]")}}}', "no tensor before"),
        (f'{{"a":{_entry(shape="[15]", offsets="[0,60]")}}}', "4 bytes behind"),
        (f'{{"a":{_entry()},"a":{_entry()}}}', "twice"),
        (f'{{"a":{_entry(shape="[32]", offsets="[0,128]")}}}', "cut off"), (f'{{" ":{_entry()}}}', "name"),
        (f'{{"__metadata__":{{"a":1}},"a":{_entry()}}}', "metadata"),
    ],
)  # fmt: skip
def test_parse_header_says_what_is_wrong_when_header_lies(header: str, said: str) -> None:
    with pytest.raises(Refusal, match=said):
        _parse(struct.pack("<Q", len(header)) + header.encode() + b"\0" * 64)


@given(
    st.dictionaries(
        st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=30).filter(
            lambda name: name != "__metadata__"
        ),
        st.tuples(
            st.sampled_from([np.float16, np.float32, np.float64, np.int8, np.uint8, np.int64, np.bool_]),
            st.lists(st.integers(0, 5), max_size=4),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_parse_header_agrees_with_the_library_when_file_is_honest(arrays: dict[str, tuple[type, list[int]]]) -> None:
    data = save({name: np.zeros(shape, kind) for name, (kind, shape) in arrays.items()}, {"format": "np"})
    parsed = {tensor.name: tensor for tensor in _parse(data)}
    assert {name: tensor.shape for name, tensor in parsed.items()} == {n: tuple(s) for n, (_, s) in arrays.items()}
    assert max(tensor.end for tensor in parsed.values()) == len(data)


@settings(max_examples=300)
@given(
    st.lists(st.tuples(st.integers(0, len(_HONEST) + 7), st.integers(0, 255)), min_size=1, max_size=6),
    st.integers(0, 40),
)
def test_parse_header_only_refuses_whatever_bytes_are_changed(changes: list[tuple[int, int]], cut: int) -> None:
    data = bytearray(struct.pack("<Q", len(_HONEST)) + _HONEST + b"\0" * _DATA)
    for place, byte in changes:
        data[place] = byte
    del data[len(data) - cut :]
    try:
        tensors = _parse(bytes(data))
    except Refusal:
        return
    assert sum(tensor.end - tensor.begin for tensor in tensors) + 8 + len(_HONEST) == len(data)
    assert cut == 0


@given(st.binary(max_size=200), st.integers(0, 2**64 - 1) | st.integers(0, 220))
def test_parse_header_only_refuses_whatever_the_bytes(data: bytes, length: int) -> None:
    with pytest.raises(Refusal):
        _parse(struct.pack("<Q", length) + data)
