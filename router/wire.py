"""Bytes of HTTP that the router writes itself. PURE."""

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from router.errors import Refusal, envelope

LAST_CHUNK = b"0\r\n\r\n"
_HASHED_WHOLE_BYTES = 64 * 1024


def chunk(data: bytes) -> bytes:
    """`data`, which is not empty, as a chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def refusal_bytes(refusal: Refusal, general_lines: bytes, request_id: bytes, *, close: bool) -> bytes:
    """A whole answer of the router's own. `general_lines`: header lines of every such answer."""
    body = envelope(refusal)
    return b"".join(
        (
            STATUS_LINE[refusal.status],
            general_lines,
            b"content-type: application/json\r\ncontent-length: %d\r\n" % len(body),
            b"x-request-id: %b\r\n" % request_id,
            b"" if refusal.retry_after_s is None else b"retry-after: %d\r\n" % refusal.retry_after_s,
            b"www-authenticate: Bearer\r\n" if refusal.status == 401 else b"",
            b"connection: close\r\n\r\n" if close else b"\r\n",
            body,
        )
    )


def digest_of(body: bytes | bytearray) -> int:
    """A number by which the same body is known again in this process. Of a long one the two ends and the length."""
    if len(body) <= _HASHED_WHOLE_BYTES:
        return hash(bytes(body))
    half = _HASHED_WHOLE_BYTES // 2
    return hash((bytes(body[:half]), len(body), bytes(body[-half:])))
