"""What a client that asks for it hears while its stream waits for a replica. PURE.

Comments of server-sent events: every reader of such a stream passes over them, so nothing of it gets into the answer,
and no proxy in between takes the connection for dead. Once they have begun, the status of the answer is said: what
becomes of the request after all, a refusal too, comes as an event.
"""

import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from router.errors import Refusal, envelope
from router.types import CatalogEntry

PROGRESS_HEADER = b"x-roundhouse-progress"
"""With any value but `0`: tell me how far it is."""
FIRST_S = 1.0
"""Until the first comment: who is served sooner gets the plain answer, with its own status."""
EVERY_S = 1.0
_HEAD_LINES = (
    b"content-type: text/event-stream\r\ncache-control: no-cache\r\nx-accel-buffering: no\r\n"
    b"transfer-encoding: chunked\r\nx-request-id: %b\r\n"
)


def wants_progress(value: bytes | None) -> bool:
    """Whether a header of this value asks for it."""
    return value is not None and value.strip() not in (b"", b"0")


def stream_head(general_lines: bytes, request_id: bytes, *, close: bool) -> bytes:
    """The head of a stream of which nothing is known yet. `general_lines`: header lines of every answer made here."""
    end = b"connection: close\r\n\r\n" if close else b"\r\n"
    return STATUS_LINE[200] + general_lines + _HEAD_LINES % request_id + end


def progress_comment(entry: CatalogEntry, *, ready: bool, waited_s: float, queued: int) -> bytes:
    """`: roundhouse {…}`: the model's status, why, seconds waited so far, requests that wait, and the seconds that are
    left of a start as far as they are known."""
    told: dict[str, str | float] = {
        "status": "queued" if ready else entry.status.value,
        "waited_s": round(waited_s, 1),
        "queued": queued,
    }
    if not ready:
        told |= {"detail": entry.detail, "eta_s": entry.retry_after_s}
    return b": roundhouse %b\n\n" % msgspec.json.encode(told)


def began_comment(labels: bytes, queue_s: float) -> bytes:
    """What the head of the answer would have said: `labels` are its header lines."""
    lines = [b": %b" % line for line in labels.split(b"\r\n") if line]
    return b"%b\n\n" % b"\n".join([*lines, b": x-roundhouse-queue-ms: %d" % (queue_s * 1000)])


def refusal_event(refusal: Refusal, *, anthropic: bool) -> bytes:
    """A refusal after the head was sent."""
    return error_event(envelope(refusal), anthropic=anthropic)


def error_event(body: bytes, *, anthropic: bool) -> bytes:
    """An error's JSON, of the router's or an engine's, as the event that ends a stream."""
    data = b"".join(b"data: %b\n" % line for line in body.splitlines() or [b"{}"])
    return b"%b%b\n" % (b"event: error\n" if anthropic else b"", data)
