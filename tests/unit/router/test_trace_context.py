"""W3C trace context, by the cases of its own test suite."""

from dataclasses import dataclass

import pytest

from router.trace_context import (
    NO_TRACE,
    Trace,
    TraceParent,
    note_client_trace,
    parse_trace_parent,
    times_named,
    trace_parent_line,
    without_trace,
)

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GOOD = f"00-{TRACE}-{SPAN}-01"


@dataclass
class Request:
    lines: bytes = b""
    trace: Trace = NO_TRACE


@pytest.mark.parametrize(
    ("value", "sampled"),
    [
        (GOOD, True),
        (f" {GOOD}\t", True),
        (f"00-{TRACE}-{SPAN}-00", False),
        # Flags that are not known yet say nothing about this one.
        (f"00-{TRACE}-{SPAN}-03", True),
        (f"00-{TRACE}-{SPAN}-fe", False),
        # Newer versions are read as far as version 0 goes.
        (f"01-{TRACE}-{SPAN}-01", True),
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like", True),
        (f"cc-{TRACE}-{SPAN}-01-", True),
    ],
)
def test_good_header_is_read(value: str, sampled: bool) -> None:
    assert parse_trace_parent(value.encode()) == TraceParent(TRACE, SPAN, sampled)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "garbage",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-01-",
        f"cc-{TRACE}-{SPAN}-01.what-the-future-will-not-be-like",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE[:-1]}-{SPAN}-01",
        f"00-{TRACE}0-{SPAN}-01",
        f"00-{TRACE}-{SPAN[:-1]}-01",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}-0x",
        f"0-{TRACE}-{SPAN}-01",
        f"00-{TRACE[:-1]}.-{SPAN}-01",
        f"00-{TRACE}-{SPAN}",
        f"00--{TRACE}-{SPAN}-01",
        f"{GOOD},{GOOD}",
        f"{GOOD}\n",
    ],
)
def test_bad_header_is_none(value: str) -> None:
    assert parse_trace_parent(value.encode()) is None


def test_line_says_what_is_read_from_it() -> None:
    line = trace_parent_line(TRACE, SPAN, sampled=True)
    assert line == f"traceparent: {GOOD}\r\n".encode()
    assert trace_parent_line(TRACE, SPAN, sampled=False).endswith(b"-00\r\n")


def test_lines_are_taken_out_by_their_whole_name() -> None:
    lines = b"a: 1\r\ntraceparent: x\r\nx-traceparent: x\r\ntracestate: s\r\nb: traceparent: y\r\n"
    assert times_named(lines, b"traceparent") == 1
    assert times_named(lines + lines, b"traceparent") == 2
    assert without_trace(lines, keep_state=True) == (
        b"a: 1\r\nx-traceparent: x\r\ntracestate: s\r\nb: traceparent: y\r\n"
    )
    assert without_trace(lines, keep_state=False) == b"a: 1\r\nx-traceparent: x\r\nb: traceparent: y\r\n"
    assert without_trace(b"", keep_state=True) == b""


def test_clients_trace_is_noted_and_goes_on_as_it_came() -> None:
    request = Request(b"traceparent: whatever\r\n")
    note_client_trace(request, {b"traceparent": GOOD.encode()})
    assert request == Request(b"traceparent: whatever\r\n", Trace(TRACE, SPAN))
    for kept in ({}, {b"traceparent": b"garbage"}):
        request = Request()
        note_client_trace(request, kept)
        assert request == Request()
