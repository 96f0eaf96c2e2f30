"""Which headers go where, and the bytes of a head. PURE.

Nothing that a client sends can pass as ours: its credentials and every `x-roundhouse-*` stop here, and the same
holds for what a replica sends back.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

import httptools

from replicas.types import REVISION_HEADER

Headers = Sequence[tuple[bytes, bytes]]
"""Names in lower case, as parsed."""

HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"http2-settings",
    }
)
_OURS = b"x-roundhouse-"
_REVISION = REVISION_HEADER.encode()
_KEPT_BY_ROUTER = HOP_BY_HOP | {
    b"host",
    b"content-length",
    b"expect",
    b"authorization",
    b"x-api-key",
    b"cookie",
    b"origin",
    b"referer",
    b"x-request-id",
    # Of no use to a replica, and a way to lie to one.
    b"forwarded",
    b"x-forwarded-for",
    b"x-forwarded-host",
    b"x-forwarded-proto",
    b"x-real-ip",
}
_DROPPED_FROM_ANSWER = HOP_BY_HOP | {b"content-length", b"x-request-id", b"set-cookie", b"server"}
_DROPPED_PREFIXES = (_OURS, b"access-control-")
SESSION_HEADERS = (b"x-roundhouse-session", b"x-session-id", b"x-openwebui-chat-id")
"""What names a conversation, the first that is there."""
PRIORITY_HEADER = b"x-roundhouse-priority"
_READ_AND_PASSED_ON = {*SESSION_HEADERS, b"traceparent"}
_SANE_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:@/+=-]{1,128}")


def connection_tokens(value: bytes) -> set[bytes]:
    """Names in a `connection` header, in lower case."""
    return {token.strip().lower() for token in value.split(b",")}


def split_request_headers(headers: Iterable[tuple[bytes, bytes]]) -> tuple[dict[bytes, bytes], bytes]:
    """Parts a client's headers into those that the router reads and the lines that go on to the replica.

    Of a name that the router reads, the first one counts.
    """
    kept: dict[bytes, bytes] = {}
    lines: list[bytes] = []
    for name, value in headers:
        if name in _KEPT_BY_ROUTER or name.startswith(_OURS):
            if name not in kept:
                kept[name] = value
            continue
        lines.append(b"%b: %b\r\n" % (name, value))
        if name in _READ_AND_PASSED_ON and name not in kept:
            kept[name] = value
    if b"connection" in kept:
        named = connection_tokens(kept[b"connection"]) - {b"close", b"keep-alive"}
        if named:
            lines = [line for line in lines if line.partition(b":")[0] not in named]
    return kept, b"".join(lines)


def session_of(kept: Mapping[bytes, bytes]) -> bytes:
    """The conversation that the client names in a header; empty if none."""
    for name in SESSION_HEADERS:
        if name in kept:
            return kept[name]
    return b""


def sane_request_id(value: bytes | None) -> bytes | None:
    """The client's request id if it is short and plain enough for logs and headers."""
    if value is not None and _SANE_REQUEST_ID.fullmatch(value):
        return value
    return None


def path_of(url: bytes) -> bytes:
    """Path of a request target in any of its forms; empty for one that cannot be read."""
    if url.startswith(b"/"):
        return url.partition(b"?")[0]
    try:
        return httptools.parse_url(url).path or b""
    except httptools.HttpParserInvalidURLError:
        return b""


def query_of(url: bytes) -> bytes:
    """Query of a request target with its question mark; empty if it has none."""
    _, mark, query = url.partition(b"?")
    return mark + query.partition(b"#")[0]


def head_bytes(url: bytes, headers: Headers) -> int:
    """Size of a request's head."""
    return len(url) + sum(len(name) + len(value) + 4 for name, value in headers)


def head_without_upgrade(method: bytes, url: bytes, headers: Headers) -> bytes:
    """A request's head as if it had not offered to change the protocol."""
    lines = [b"%b %b HTTP/1.1\r\n" % (method, url)]
    for name, value in headers:
        if name == b"connection":
            value = b", ".join(sorted(connection_tokens(value) - {b"upgrade", b"http2-settings"}))
        if value and name not in (b"upgrade", b"http2-settings"):
            lines.append(b"%b: %b\r\n" % (name, value))
    return b"".join(lines) + b"\r\n"


def request_head(target: bytes, replica_head: bytes, lines: bytes, request_id: bytes, body_bytes: int) -> bytes:
    """Head of the request to a replica."""
    return b"POST %b HTTP/1.1\r\n%bx-request-id: %b\r\ncontent-length: %d\r\n%b\r\n" % (
        target,
        replica_head,
        request_id,
        body_bytes,
        lines,
    )


class AnswerHead:
    """What the head of a replica's answer says."""

    length = b""
    """Value of `content-length`; empty where the length is not known."""
    is_events = False
    """A stream of server-sent events of unknown length, to which more can be added."""
    revision = b""
    """With which weights it was made; empty where it does not say."""
    lines = b""
    """Header lines that go on to the client: no framing, nothing that is ours to say."""

    def __init__(self, headers: Headers) -> None:
        lines: list[bytes] = []
        named: set[bytes] | None = None
        kind = encoding = b""
        for name, value in headers:
            if name == b"content-length":
                self.length = value
            elif name == b"connection":
                named = connection_tokens(value) | (named or set())
            elif name == _REVISION:
                self.revision = value
            elif name not in _DROPPED_FROM_ANSWER and not name.startswith(_DROPPED_PREFIXES):
                lines.append(b"%b: %b\r\n" % (name, value))
                if name == b"content-type":
                    kind = value
                elif name == b"content-encoding":
                    encoding = value
        if named is not None:
            lines = [line for line in lines if line.partition(b":")[0] not in named]
        self.is_events = not self.length and not encoding and kind.startswith(b"text/event-stream")
        self.lines = b"".join(lines)


def labels_of(labels: bytes, revision: bytes) -> bytes:
    """Header lines that say who answered, and with which weights, as a replica's answer has it.

    `labels`: the same as the router knew it. `revision`: of the answer, empty if it does not say. The replica may have
    been given other weights since.
    """
    if revision and revision not in labels:
        return labels.partition(_REVISION)[0] + b"%b: %b\r\n" % (_REVISION, revision)
    return labels


def revision_in(labels: bytes) -> bytes:
    """The part of such lines that says which weights."""
    return labels.partition(_REVISION)[2]


def header_safe(value: str) -> bytes:
    """`value` as a header value: whatever could end a line or is not ASCII becomes `?`."""
    return re.sub(rb"[^\x20-\x7e]", b"?", value.encode("ascii", "replace"))
