"""Connections to replicas: kept alive, pooled by address, parsed by httptools alone."""

import asyncio
import ssl
from collections.abc import Sequence
from typing import Protocol

import httptools

from router.errors import ReplicaUnreachableError
from router.headers import Headers

Address = tuple[str, int, bool]
"""Host, port, TLS."""
_JOIN_UP_TO_BYTES = 64 * 1024
"""A head and a body of up to this size go out as one write; larger bodies are not copied."""


class AnswerSink(Protocol):
    """Who waits for an answer. One call of `on_body` for each reading."""

    def on_head(self, status: int, headers: Headers) -> None:
        """The final status and headers; informational answers never get here."""

    def on_body(self, fragments: list[bytes], *, complete: bool) -> None:
        """What has come of the body, without framing, after the head and after each reading. `complete` once it is
        whole."""

    def on_failure(self, reason: str, *, stale: bool) -> None:
        """The connection failed before the answer was complete and is gone. `stale`: it had been used before and
        not one byte of this answer came, so the replica itself may well be in order."""


class UpstreamConnection(asyncio.Protocol):
    """One connection to one replica; carries one request at a time."""

    __slots__ = (
        "_complete",
        "_fragments",
        "_headers",
        "_informational",
        "_keep_alive",
        "_parser",
        "_paused",
        "_poisoned",
        "_pool",
        "_sink",
        "_spoke",
        "_until_eof",
        "_used",
        "address",
        "idle_since",
        "transport",
    )

    def __init__(self, pool: "UpstreamPool", address: Address) -> None:
        self._pool = pool
        self.address = address
        self.idle_since = 0.0
        self.transport: asyncio.Transport
        self._parser = httptools.HttpResponseParser(self)
        self._sink: AnswerSink | None = None
        self._headers: list[tuple[bytes, bytes]] = []
        self._fragments: list[bytes] = []
        self._used = False
        self._spoke = False
        self._complete = False
        self._informational = False
        self._keep_alive = False
        self._until_eof = False
        self._poisoned = False
        self._paused = False

    def send(self, sink: AnswerSink, head: bytes, body: bytes | bytearray) -> None:
        """Sends one request; the answer goes to `sink`."""
        self._sink = sink
        self._spoke = self._complete = self._until_eof = False
        if len(body) <= _JOIN_UP_TO_BYTES:
            self.transport.write(head + body)
        else:
            self.transport.writelines([head, body])

    def abort(self) -> None:
        """Cuts the connection at once. The sink hears nothing more."""
        self._sink = None
        self.transport.abort()

    def pause_reading(self) -> None:
        """Stops reading: the client is slower than the replica."""
        if not self._paused:
            self._paused = True
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Goes on reading."""
        if self._paused:
            self._paused = False
            if not self.transport.is_closing():
                self.transport.resume_reading()

    # asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self._pool.opened(self)

    def data_received(self, data: bytes) -> None:
        sink = self._sink
        if sink is None:
            # Nobody asked; whatever this is, it must not become the next request's answer.
            self.transport.abort()
            return
        self._spoke = True
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as exc:
            if isinstance(exc, httptools.HttpParserCallbackError) and exc.__context__ is not None:
                raise exc.__context__ from None
            self._fail("malformed")
            return
        if self._sink is not sink:
            return
        if self._complete:
            self._finish(sink)
        else:
            fragments = self._fragments
            self._fragments = []
            sink.on_body(fragments, complete=False)

    def eof_received(self) -> None:
        if self._sink is not None and self._until_eof:
            self._poisoned = True
            self._finish(self._sink)

    def connection_lost(self, exc: Exception | None) -> None:
        self._pool.forget(self)
        if self._sink is not None:
            self._fail("reset" if exc is not None else "closed")

    def _finish(self, sink: AnswerSink) -> None:
        self._sink = None
        self._used = True
        keep = self._keep_alive and not self._poisoned
        # An answer that came before the whole request was read leaves the rest of it in the way.
        if keep and self.transport.get_write_buffer_size() == 0:
            self.resume_reading()
            self._pool.put(self)
        else:
            self.transport.abort()
        fragments = self._fragments
        self._fragments = []
        sink.on_body(fragments, complete=True)

    def _fail(self, reason: str) -> None:
        sink, self._sink = self._sink, None
        self.transport.abort()
        if sink is not None:
            sink.on_failure(reason, stale=self._used and not self._spoke)

    # httptools

    def on_message_begin(self) -> None:
        if self._complete:
            self._poisoned = True
        self._headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        self._informational = 100 <= status < 200
        if self._informational or self._sink is None or self._poisoned:
            return
        # Asked now: once the message is complete, llhttp has forgotten its framing. An answer that ends with its
        # connection is never kept alive.
        self._keep_alive = self._parser.should_keep_alive()
        self._until_eof = not self._keep_alive and not _is_framed(status, self._headers)
        self._sink.on_head(status, self._headers)

    def on_body(self, data: bytes) -> None:
        if not self._poisoned:
            self._fragments.append(data)

    def on_message_complete(self) -> None:
        if self._informational:
            self._informational = False
        else:
            self._complete = True


def _is_framed(status: int, headers: Headers) -> bool:
    if status in (204, 304):
        return True
    return any(name in (b"content-length", b"transfer-encoding") for name, _ in headers)


class UpstreamPool:
    """Idle connections by address, the most recently used first."""

    def __init__(self, *, connect_timeout_s: float, idle_s: float, idle_connections: int) -> None:
        self._connect_timeout_s = connect_timeout_s
        self._idle_s = idle_s
        self._idle_connections = idle_connections
        self._now = 0.0
        self._tls_context: ssl.SSLContext | None = None
        self._idle: dict[Address, list[UpstreamConnection]] = {}
        self._open: set[UpstreamConnection] = set()

    @property
    def open_connections(self) -> int:
        """Connections to replicas, idle or not."""
        return len(self._open)

    def take(self, address: Address) -> UpstreamConnection | None:
        """An idle connection to `address`, if there is one."""
        idle = self._idle.get(address)
        while idle:
            connection = idle.pop()
            if not connection.transport.is_closing():
                return connection
        return None

    def put(self, connection: UpstreamConnection) -> None:
        """Keeps a connection for the next request."""
        idle = self._idle.setdefault(connection.address, [])
        if len(idle) >= self._idle_connections:
            connection.abort()
            return
        connection.idle_since = self._now
        idle.append(connection)

    async def connect(self, address: Address) -> UpstreamConnection:
        """A new connection. Raises `ReplicaUnreachableError` with reason `refused` or `connect_timeout`."""
        host, port, tls = address
        loop = asyncio.get_running_loop()
        context = self._tls() if tls else None
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                _, connection = await loop.create_connection(
                    lambda: UpstreamConnection(self, address), host, port, ssl=context
                )
        except TimeoutError:
            raise ReplicaUnreachableError("connect_timeout") from None
        except OSError:
            raise ReplicaUnreachableError("refused") from None
        return connection

    def _tls(self) -> ssl.SSLContext:
        """Certificates are checked against those that this machine trusts."""
        if self._tls_context is None:
            self._tls_context = ssl.create_default_context()
        return self._tls_context

    def opened(self, connection: UpstreamConnection) -> None:
        """A connection has come up."""
        self._open.add(connection)

    def forget(self, connection: UpstreamConnection) -> None:
        """A connection has gone."""
        self._open.discard(connection)
        idle = self._idle.get(connection.address)
        if idle and connection in idle:
            idle.remove(connection)

    def close_idle(self, now: float) -> None:
        """Closes what nobody used for a while; called now and then. `now`: the loop's time."""
        self._now = now
        for address, idle in list(self._idle.items()):
            for connection in _older(idle, now - self._idle_s):
                connection.abort()
            if not idle:
                del self._idle[address]

    def close(self) -> None:
        """Cuts every connection."""
        for connection in list(self._open):
            connection.abort()
        self._idle.clear()


def _older(idle: Sequence[UpstreamConnection], than: float) -> list[UpstreamConnection]:
    return [connection for connection in idle if connection.idle_since <= than]
