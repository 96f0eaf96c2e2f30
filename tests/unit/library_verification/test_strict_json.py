import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.library.verification.strict_json import MAX_DEPTH, JsonFaultError, decode, entries

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(_VALUES)
def test_decode_gives_back_what_was_written(value: Any) -> None:
    assert decode(json.dumps(value).encode()) == value


@given(st.binary(max_size=60) | st.text('{}[],:"a1 ').map(str.encode))
def test_decode_only_refuses_whatever_the_bytes(data: bytes) -> None:
    try:
        value = decode(data)
    except JsonFaultError:
        return
    assert value == json.loads(data)


@pytest.mark.parametrize(("depth", "passes"), [(MAX_DEPTH, True), (MAX_DEPTH + 2, False), (100_000, False)])
def test_decode_bounds_depth(depth: int, passes: bool) -> None:
    data = b"[" * depth + b"]" * depth
    if passes:
        assert decode(data) is not None
    else:
        with pytest.raises(JsonFaultError, match="nested"):
            decode(data)


def test_decode_counts_parts_before_it_parses() -> None:
    with pytest.raises(JsonFaultError, match="more than 10 parts"):
        decode(b"[[[[[[[[[[[[[ this is never parsed", max_parts=10)


def test_entries_finds_every_key_at_every_depth() -> None:
    assert sorted(key for key, _ in entries([{"a": {"b": [[{"c": 1}]]}}, {"d": None}])) == ["a", "b", "c", "d"]
