import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.library.verification.header import Tensor
from orchestrator.library.verification.sampling import PAGE_BYTES, is_finite, pages


@pytest.mark.parametrize(("dtype", "code", "width"), [("F16", "e", 16), ("F32", "f", 32), ("F64", "d", 64)])
@given(data=st.data())
def test_is_finite_agrees_with_arithmetic_for_any_numbers(
    dtype: str, code: str, width: int, data: st.DataObject
) -> None:
    numbers = data.draw(st.lists(st.floats(width=width), max_size=20))  # type: ignore[arg-type]
    assert is_finite(dtype, struct.pack(f"<{len(numbers)}{code}", *numbers)) == all(map(math.isfinite, numbers))


@given(st.lists(st.floats(width=32), max_size=20))
def test_is_finite_agrees_with_arithmetic_for_bfloat16(numbers: list[float]) -> None:
    halves = [struct.pack("<f", number)[2:] for number in numbers]
    values = [struct.unpack("<f", b"\0\0" + half)[0] for half in halves]
    assert is_finite("BF16", b"".join(halves)) == all(map(math.isfinite, values))


@pytest.mark.parametrize(
    ("dtype", "infinite"),
    [("F8_E4M3", {0x7F, 0xFF}), ("F8_E5M2", {*range(0x7C, 0x80), *range(0xFC, 0x100)}), ("I8", set()), ("BOOL", set())],
)
def test_is_finite_knows_every_byte_of_small_dtypes(dtype: str, infinite: set[int]) -> None:
    assert {byte for byte in range(256) if not is_finite(dtype, bytes([byte]))} == infinite


@given(st.integers(0, 10**7), st.integers(1, 16), st.text("ab.", max_size=5))
def test_pages_stay_inside_and_hold_both_ends_for_any_size(size: int, budget: int, name: str) -> None:
    tensor = Tensor(name, "F64", (size // 8,), 100, 100 + size // 8 * 8, "f")
    found = list(pages(tensor, budget))
    assert len(found) <= budget
    assert all(100 <= begin < end <= tensor.end and end - begin <= PAGE_BYTES for begin, end in found)
    assert all((begin - 100) % 8 == 0 for begin, _ in found)
    if found:
        assert found[0][0] == 100
    if found and budget > 1:
        assert found[-1][1] == tensor.end
    assert found == list(pages(tensor, budget))
