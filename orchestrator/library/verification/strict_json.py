"""JSON as it should be: no duplicate keys, no NaN, bounded depth and size. PURE."""

import json
from collections.abc import Iterator
from typing import Any

MAX_DEPTH = 32
MAX_PARTS = 2_000_000
"""Objects, arrays and elements together: what some 200 MB of memory hold once parsed."""


class JsonFaultError(ValueError):
    """Why the text is refused, as the rest of a sentence that begins with the file's name."""


def decode(data: bytes, max_parts: int = MAX_PARTS, max_depth: int | None = MAX_DEPTH) -> Any:
    """The value in `data`. Raises JsonFaultError; takes memory in proportion to `max_parts` and the size.

    Without `max_depth` the depth is only bounded by Python's own recursion limit.
    """
    # Counted before parsing: a bomb costs its bytes and not what they would unfold to.
    parts = data.count(b",") + data.count(b"{") + data.count(b"[")
    if parts > max_parts:
        raise JsonFaultError(f"has more than {max_parts:,} parts")
    try:
        value = json.loads(
            data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite
        )
    except JsonFaultError:
        raise
    except UnicodeDecodeError as error:
        raise JsonFaultError(f"is not UTF-8 text (byte {error.start})") from None
    except RecursionError:
        raise JsonFaultError(f"is nested more than {MAX_DEPTH} deep") from None
    except ValueError as error:
        raise JsonFaultError(f"is not readable as JSON ({_first_line(error)})") from None
    if max_depth is not None and _depth_exceeds(value, max_depth):
        raise JsonFaultError(f"is nested more than {max_depth} deep")
    return value


def _first_line(error: ValueError) -> str:
    return str(error).splitlines()[0][:100] if str(error) else "no reason given"


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise JsonFaultError(f"has the key {twice[:80]!r} twice in one object")
    return found


def _no_constant(text: str) -> Any:
    raise JsonFaultError(f"contains {text}, which is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise JsonFaultError(f"contains the number {text[:40]}, which is too large")
    return number


def _depth_exceeds(value: Any, limit: int) -> bool:
    level = [value]
    for _ in range(limit + 1):
        level = [
            inner
            for each in level
            if isinstance(each, dict | list)
            for inner in (each.values() if isinstance(each, dict) else each)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True


def entries(value: Any) -> Iterator[tuple[str, Any]]:
    """Every key with its value, of all objects at every depth."""
    stack = [value]
    while stack:
        each = stack.pop()
        if isinstance(each, dict):
            yield from each.items()
            stack.extend(each.values())
        elif isinstance(each, list):
            stack.extend(each)
