"""One request on the hot path, from its head to the last byte of its answer."""

import asyncio
import time
from typing import Protocol

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from router.core import Core
from router.errors import (
    Refusal,
    ReplicaUnreachableError,
    RequestRefusedError,
    envelope,
    model_not_found,
    model_not_ready,
    no_replica_left,
    replica_lost_event,
)
from router.failover import EventTail, Remedy, refused_by_replica, remedy
from router.features import RequestFeatures, Route, parse_request_head
from router.headers import Headers, answer_lines, request_head
from router.policy import ReplicaView, choose
from router.telemetry import CLIENT_GONE, REPLICA_LOST
from router.upstream import UpstreamConnection

LAST_CHUNK = b"0\r\n\r\n"


class ClientSide(Protocol):
    """The client's connection, as an exchange sees it."""

    core: Core
    transport: asyncio.Transport
    flow: FlowControl
    max_body_bytes: int

    def general_lines(self) -> bytes:
        """Header lines of every answer that is made here."""

    def is_last(self) -> bool:
        """The connection ends after this answer although the client would keep it."""

    def exchange_ended(self, exchange: "Exchange") -> None:
        """The answer is written in full."""


class Exchange:
    """States: reading the body, waiting for its turn, being carried, complete.

    uvicorn queues pipelined requests by `response_complete`, so answers leave in order, also between exchanges
    and ASGI requests.
    """

    # Defaults live in the class: most of them hold for most requests, and setting thirty attributes costs time.
    close = False
    """The connection ends after this answer."""
    expects_continue = False
    refusal: Refusal | None = None
    """Set as soon as it is known that the request is not carried."""
    body: bytes | bytearray = b""
    more_body = True
    response_complete = False
    _turn = False
    _cut_short = False
    """The rest of the request is not read."""
    _model = ""
    _tried: tuple[str, ...] = ()
    _replica: ReplicaView | None = None
    _connection: UpstreamConnection | None = None
    _connecting: asyncio.Task[None] | None = None
    _status = 0
    _chunked = False
    _tail: EventTail | None = None
    _head_sent = False
    _first_byte_seen = False

    def __init__(
        self, client: ClientSide, route: Route, target: bytes, lines: bytes, request_id: bytes, *, http10: bool
    ) -> None:
        self._client = client
        self._route = route
        self._target = target
        self._lines = lines
        self._request_id = request_id
        self._http10 = http10
        self._began = time.monotonic()
        self._meter = client.core.telemetry.unknown
        self._out: list[bytes] = []

    # The client's side

    def start(self) -> None:
        """All requests before this one on the connection are answered."""
        self._turn = True
        if not self.more_body or self._cut_short:
            self._dispatch()
        elif self.expects_continue:
            if self.refusal is not None:
                # The client waits for a go-ahead; having sent no body it cannot tell us where the next request begins.
                self.refuse(self.refusal)
            else:
                self._client.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def add_body(self, data: bytes) -> bool:
        """Takes a piece of the body; False when it makes the body too large."""
        if self.refusal is not None:
            return True
        if not self.body:
            self.body = data
        else:
            if isinstance(self.body, bytes):
                self.body = bytearray(self.body)
            self.body += data
        return len(self.body) <= self._client.max_body_bytes

    def end_body(self) -> None:
        """The request is here in full."""
        self.more_body = False
        if self._turn:
            self._dispatch()

    def refuse(self, refusal: Refusal) -> None:
        """Answers with `refusal` in its turn and ends the connection: the rest of the request is not read."""
        self.refusal = refusal
        self.close = self._cut_short = True
        self.body = b""
        if self._turn and not self.response_complete:
            self._answer(refusal)

    def abandon(self) -> None:
        """The client has gone. What runs for it upstream is cut at once."""
        if self.response_complete:
            return
        self.response_complete = True
        if self._connecting is not None:
            self._connecting.cancel()
        self._leave_upstream()
        self._record(CLIENT_GONE)

    def pause(self) -> None:
        """The client is slow: read no more for it."""
        if self._connection is not None:
            self._connection.pause_reading()

    def resume(self) -> None:
        """The client has caught up."""
        if self._connection is not None:
            self._connection.resume_reading()

    # Choosing

    def _dispatch(self) -> None:
        if self.refusal is not None:
            self._answer(self.refusal)
            return
        try:
            self._model = parse_request_head(self.body).model
        except RequestRefusedError as refused:
            self._answer(refused.refusal)
            return
        model = self._client.core.table.models.get(self._model)
        if model is not None:
            self._meter = model.meter
            self._meter.in_flight += 1
        self._attempt()

    def _attempt(self) -> None:
        core = self._client.core
        model = core.table.models.get(self._model)
        if model is None:
            self._answer(model_not_found(self._model))
            return
        decision = choose(RequestFeatures(self._model, self._tried, time.monotonic()), model.replicas, core.rng)
        replica = decision.replica
        if replica is None:
            self._answer(no_replica_left(self._model) if self._tried else model_not_ready(model.entry))
            return
        replica.in_flight += 1
        self._replica = replica
        connection = core.pool.take(replica.address)
        if connection is not None:
            self._send(connection, replica)
        else:
            self._open(replica)

    def _open(self, replica: ReplicaView) -> None:
        self._connecting = asyncio.get_running_loop().create_task(self._connect(replica))

    async def _connect(self, replica: ReplicaView) -> None:
        core = self._client.core
        try:
            connection = await core.pool.connect(replica.address)
        except ReplicaUnreachableError as unreachable:
            self._connecting = None
            replica.aside_until = time.monotonic() + core.settings.aside_s
            self._try_next(unreachable.reason)
            return
        self._connecting = None
        self._send(connection, replica)

    def _send(self, connection: UpstreamConnection, replica: ReplicaView) -> None:
        self._connection = connection
        if self._client.flow.write_paused:
            connection.pause_reading()
        head = request_head(self._target, replica.head, self._lines, self._request_id, len(self.body))
        connection.send(self, head, self.body)

    def _try_next(self, reason: str) -> None:
        self._client.core.telemetry.retry(reason)
        if self._replica is not None:
            self._tried = (*self._tried, self._replica.replica_id)
        self._leave_upstream()
        self._out = []
        self._status = 0
        self._chunked = False
        self._tail = None
        self._attempt()

    def _leave_upstream(self) -> None:
        """Cuts the connection, if any, and gives the reservation back; both happen at most once."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abort()
        replica, self._replica = self._replica, None
        if replica is not None:
            replica.in_flight -= 1

    # The replica's side (AnswerSink)

    def on_head(self, status: int, headers: Headers) -> None:
        if status != 200:
            reason = "malformed" if status not in STATUS_LINE else refused_by_replica(status)
            if reason is not None:
                self._try_next(reason)
                return
        length = kind = encoding = b""
        for name, value in headers:
            if name == b"content-length":
                length = value
            elif name == b"content-type":
                kind = value
            elif name == b"content-encoding":
                encoding = value
        self._status = status
        self._out = [STATUS_LINE[status], answer_lines(headers)]
        if self._replica is not None:
            self._out.append(self._replica.labels)
        self._out.append(b"x-request-id: %b\r\n" % self._request_id)
        if length:
            self._out.append(b"content-length: %b\r\n" % length)
        elif status not in (204, 304):
            self._frame_unknown_length(is_events=kind.startswith(b"text/event-stream") and not encoding)
        self.close = self.close or self._client.is_last()
        self._out.append(b"connection: close\r\n\r\n" if self.close else b"\r\n")

    def _frame_unknown_length(self, *, is_events: bool) -> None:
        if self._http10:
            self.close = True
            return
        self._chunked = True
        self._out.append(b"transfer-encoding: chunked\r\n")
        if is_events:
            self._tail = EventTail()

    def on_body(self, fragments: list[bytes], *, complete: bool) -> None:
        out = self._out
        if not out and not fragments and not complete:
            return
        self._out = []
        data = fragments[0] if len(fragments) == 1 else b"".join(fragments)
        if data and not self._first_byte_seen:
            self._first_byte_seen = True
            self._meter.first_byte.observe(time.monotonic() - self._began)
        if self._tail is not None:
            data = self._tail.pass_on(data)
            if complete:
                data += self._tail.rest()
        self._frame(out, data)
        if complete and self._chunked:
            out.append(LAST_CHUNK)
        if out:
            self._head_sent = True
            self.body = b""
            self._write(out)
        if complete:
            self._connection = None
            self._leave_upstream()
            self._end(self._status)

    def _frame(self, out: list[bytes], data: bytes) -> None:
        if not data:
            return
        if self._chunked:
            out.append(b"%x\r\n%b\r\n" % (len(data), data))
        else:
            out.append(data)

    def on_failure(self, reason: str, *, stale: bool) -> None:
        self._connection = None
        step = remedy(head_sent=self._head_sent, stale=stale, event_stream=self._tail is not None)
        if step is Remedy.NEXT_REPLICA:
            self._try_next(reason)
        elif step is Remedy.SAME_REPLICA and self._replica is not None:
            self._client.core.telemetry.retry("stale")
            self._open(self._replica)
        elif step is Remedy.END_STREAM:
            self._leave_upstream()
            out: list[bytes] = []
            self._frame(out, replica_lost_event(anthropic=self._route.anthropic))
            self._write([*out, LAST_CHUNK])
            self._end(REPLICA_LOST)
        else:
            self._leave_upstream()
            self.response_complete = True
            self._record(REPLICA_LOST)
            self._client.transport.abort()

    # The end

    def _answer(self, refusal: Refusal) -> None:
        """Writes an answer of the router's own."""
        body = envelope(refusal)
        self.close = self.close or self._client.is_last()
        self._write(
            [
                STATUS_LINE[refusal.status],
                self._client.general_lines(),
                b"content-type: application/json\r\ncontent-length: %d\r\n" % len(body),
                b"x-request-id: %b\r\n" % self._request_id,
                b"" if refusal.retry_after_s is None else b"retry-after: %d\r\n" % refusal.retry_after_s,
                b"www-authenticate: Bearer\r\n" if refusal.status == 401 else b"",
                b"connection: close\r\n\r\n" if self.close else b"\r\n",
                body,
            ]
        )
        self._end(refusal.status)

    def _write(self, out: list[bytes]) -> None:
        data = b"".join(out)
        self._meter.response_bytes += len(data)
        self._client.transport.write(data)

    def _end(self, code: int) -> None:
        self.response_complete = True
        self._record(code)
        self._client.exchange_ended(self)

    def _record(self, code: int) -> None:
        meter = self._meter
        meter.ended(code, time.monotonic() - self._began)
        if meter is not self._client.core.telemetry.unknown:
            meter.in_flight -= 1
