"""W3C trace context: which trace a request belongs to, and the header that says so. PURE.

https://www.w3.org/TR/trace-context/
"""

import re
from collections.abc import Callable, Mapping
from typing import Protocol

from msgspec import Struct

_TRACE_PARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
_NO_TRACE, _NO_SPAN = b"0" * 32, b"0" * 16
_NO_VERSION = b"ff"
_SAMPLED = 1
_OURS = (b"traceparent", b"tracestate")


class TraceParent(Struct, frozen=True):
    """What a `traceparent` header says."""

    trace_id: str
    """32 hexadecimal digits."""
    span_id: str
    """16 hexadecimal digits: the sender's span."""
    sampled: bool
    """The sender records its span, and asks us to."""


class Trace(Struct, frozen=True):
    """Where one request stands in its trace."""

    trace_id: str
    parent_span_id: str = ""
    """The client's span; empty where the trace begins here."""
    span_id: str = ""
    """Our span, which is the parent of the replica's; empty where we record none."""


NO_TRACE = Trace("")


def parse_trace_parent(value: bytes) -> TraceParent | None:
    """None for a header that must be taken as absent. Of a newer version only what version 0 has is read."""
    found = _TRACE_PARENT.fullmatch(value.strip(b" \t"))
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if version == _NO_VERSION or (version == b"00" and more is not None):
        return None
    if trace_id == _NO_TRACE or span_id == _NO_SPAN:
        return None
    return TraceParent(trace_id.decode(), span_id.decode(), bool(int(flags, 16) & _SAMPLED))


def trace_parent_line(trace_id: str, span_id: str, *, sampled: bool) -> bytes:
    """The header line, with its end."""
    return f"traceparent: 00-{trace_id}-{span_id}-{'01' if sampled else '00'}\r\n".encode()


def times_named(lines: bytes, name: bytes) -> int:
    """How many of these header lines, with names in lower case, have this name."""
    return (b"\r\n" + lines).count(b"\r\n%b: " % name)


def without_trace(lines: bytes, *, keep_state: bool) -> bytes:
    """Header lines without their `traceparent`; without their `tracestate` too unless `keep_state`."""
    dropped = _OURS[:1] if keep_state else _OURS
    kept = [line for line in lines.split(b"\r\n") if line.partition(b":")[0] not in dropped]
    return b"\r\n".join(kept)


class Traced(Protocol):
    """A request whose trace is being settled."""

    lines: bytes
    """Header lines that go on to the replica."""
    trace: Trace


def note_client_trace(request: Traced, kept: Mapping[bytes, bytes]) -> None:
    """Settles the trace of a request where we record no spans: it stays the client's, and goes on as it came.

    `kept`: the request's headers that the router reads.
    """
    parent = parse_trace_parent(kept[b"traceparent"]) if b"traceparent" in kept else None
    if parent is not None:
        request.trace = Trace(parent.trace_id, parent.span_id)


SettleTrace = Callable[[Traced, Mapping[bytes, bytes]], None]
