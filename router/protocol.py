"""The hot path: uvicorn's protocol, which carries inference requests itself and leaves the rest to the ASGI app.

A request for a path in `ROUTES` never becomes an ASGI call: its bytes go from this connection to a replica's and
back (FACTS: five times what ASGI and an HTTP client carry). uvicorn keeps accepting, TLS, signals and drain.
"""

import asyncio
from enum import Enum, auto
from typing import Any

import httptools
from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from router.client_side import CarriedExchange
from router.core import Core
from router.errors import HEADERS_TOO_LARGE, MALFORMED_HTTP, REQUEST_TIMEOUT, Refusal, body_too_large
from router.exchange import Exchange
from router.headers import (
    head_bytes,
    head_without_upgrade,
    path_of,
    query_of,
    sane_request_id,
)
from router.identity import ClientMemory
from router.request_head import ROUTES, Route

_LINGER_S = 2.0
"""How long a client may go on sending after a refusal in mid-request, so that it reads the answer before a reset."""
_EVENT_STREAM_GRACE_S = 0.5
_PIPELINE_PAUSES_AT = 8
_NO_ROUTE = Route(b"")


class _Phase(Enum):
    """What is read next."""

    IDLE = auto()
    HEAD = auto()
    BODY = auto()
    ANSWERING = auto()
    CLOSING = auto()


# Looked up as globals: an attribute of an Enum costs several times that.
_IDLE, _HEAD, _BODY, _ANSWERING, _CLOSING = _Phase


class RouterProtocol(HttpToolsProtocol):
    """One client connection."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        core: Core,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.core = core
        settings = core.settings
        # Plain attributes: the hot path reads them, and pydantic's are slow.
        self._max_head_bytes = settings.max_head_bytes
        self._max_header_count = settings.max_header_count
        self.max_body_bytes = settings.max_body_bytes
        self._header_timeout_s = settings.header_timeout_s
        self._body_timeout_s = settings.body_timeout_s
        self._keep_alive_s = settings.keep_alive_s
        self._current: Exchange | RequestResponseCycle | None = None
        """Whose answer is being written."""
        self._advancing = False
        self._stopping = False
        self._input_open = True
        """False once nothing more of what the client sends will be read as a request."""
        self._phase = _IDLE
        self._deadline = core.now + self._header_timeout_s
        self._stalled_bytes = 0
        """Bytes read since something came of them."""
        self._fed_bytes = 0
        """Bytes of the reading that is being parsed."""
        self._body_bytes = 0
        """Bytes of the body since the deadline was last moved."""
        self._upgrading = False
        self._content_length = b""
        self._memory = ClientMemory(core)

    # ClientSide

    def general_lines(self) -> bytes:
        """Header lines of every answer that is made here: the date."""
        return b"".join([b"%b: %b\r\n" % header for header in self.server_state.default_headers])

    def is_last(self) -> bool:
        """The server stops and nothing waits behind this answer."""
        return self._stopping and not self.pipeline

    def exchange_ended(self, exchange: CarriedExchange) -> None:
        """The answer is written in full."""
        if exchange.close:
            self._input_open = False
            self._phase = _CLOSING
            if exchange.more_body and self.transport.can_write_eof() and not self.transport.is_closing():
                self.transport.write_eof()
                self._deadline = self.core.now + _LINGER_S
            else:
                self.transport.close()
        elif not self.pipeline and self._phase is _ANSWERING and not self._stopping:
            # The common end, without the general case's questions.
            self._current = None
            self.server_state.total_requests += 1
            self._wait_for_request()
            return
        self.on_response_complete()

    # asyncio

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.core.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.core.connections.discard(self)
        self._drop_requests()
        if isinstance(self.cycle, Exchange):
            self.cycle = None
        super().connection_lost(exc)

    def eof_received(self) -> None:
        """A client that closes its half has gone: what runs for it ends now, not at the next write."""
        if isinstance(self._current, Exchange):
            self._drop_requests()

    def data_received(self, data: bytes) -> None:
        if not self._input_open:
            return
        self._fed_bytes = len(data)
        self._stalled_bytes += self._fed_bytes
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._read_without_upgrade(data[upgrade.args[0] :])
            return
        except httptools.HttpParserCallbackError as exc:
            raise (exc.__context__ or exc) from None
        except httptools.HttpParserError:
            self._refuse_input(MALFORMED_HTTP)
            return
        if self._stalled_bytes > self._max_head_bytes:
            self._refuse_input(HEADERS_TOO_LARGE)

    def pause_writing(self) -> None:
        super().pause_writing()
        if isinstance(self._current, Exchange):
            self._current.pause()

    def resume_writing(self) -> None:
        super().resume_writing()
        if isinstance(self._current, Exchange):
            self._current.resume()

    # httptools

    def on_message_begin(self) -> None:
        self.url = b""
        self.headers = []
        self._content_length = b""
        self._phase = _HEAD
        self._deadline = self.core.now + self._header_timeout_s

    def on_header(self, name: bytes, value: bytes) -> None:
        # After the head these are a chunked body's trailers, of which nothing is taken.
        if self._phase is not _HEAD:
            return
        name = name.lower()
        if name == b"content-length":
            # Kept apart: but for it, a client's next request over this connection usually has the very same headers.
            self._content_length = value
        else:
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        if not self._input_open:
            return
        if self.parser.should_upgrade():
            self._upgrading = True
            return
        route = ROUTES.get(self.url)
        if route is None:
            route = ROUTES.get(path_of(self.url))
        # What came in few bytes is not large: most heads need not be added up.
        much = self._stalled_bytes > self._max_head_bytes or self._fed_bytes > self._max_head_bytes
        too_many = len(self.headers) > self._max_header_count
        if too_many or (much and head_bytes(self.url, self.headers) > self._max_head_bytes):
            self._refuse_input(HEADERS_TOO_LARGE)
            return
        self._stalled_bytes = 0
        if route is not None and self.parser.get_method() == b"POST":
            self._begin_exchange(route)
        else:
            self._begin_asgi()

    def on_body(self, body: bytes) -> None:
        if not self._input_open or self._upgrading:
            return
        self._stalled_bytes = 0
        if not isinstance(self.cycle, Exchange):
            super().on_body(body)
            return
        self._body_bytes += len(body)
        if not self.cycle.add_body(body):
            self._refuse_input(body_too_large(self.max_body_bytes))

    def on_message_complete(self) -> None:
        if not self._input_open or self._upgrading:
            return
        self._stalled_bytes = 0
        self._phase = _ANSWERING
        self._deadline = float("inf")
        exchange = self.cycle
        if not isinstance(exchange, Exchange):
            super().on_message_complete()
            if exchange.response_complete:
                self._wait_for_request()
            return
        if exchange.close:
            self._input_open = False
        exchange.end_body()

    # Requests

    def _begin_exchange(self, route: Route) -> None:
        kept, lines = self._memory.split(self.headers)
        request_id = sane_request_id(kept.get(b"x-request-id")) or self.core.next_request_id()
        keep_alive = self.parser.should_keep_alive()
        # A client of HTTP/1.0 is kept alive only if it asks for it. The question is dear.
        http10 = (not keep_alive or b"connection" in kept) and self.parser.get_http_version() == "1.0"
        target = (
            route.path if self.url.find(b"?") < 0 else route.path + query_of(self.url)
        )  # `in` tries for an int first
        exchange = Exchange(self, route, target, lines, request_id, http10=http10)
        exchange.close = http10 or not keep_alive
        exchange.expects_continue = b"expect" in kept and kept[b"expect"].lower() == b"100-continue"
        self._memory.identify(exchange)
        self._phase = _BODY
        self._body_bytes = 0
        self._deadline = self.core.now + self._body_timeout_s
        self._enqueue(exchange)
        if self._content_length and int(self._content_length) > self.max_body_bytes:
            self._refuse_input(body_too_large(self.max_body_bytes))

    def _begin_asgi(self) -> None:
        url, headers = self.url, self.headers
        if self._content_length:
            headers.append((b"content-length", self._content_length))
        super().on_message_begin()
        self.url = url
        self.headers[:] = headers
        self.expect_100_continue = any(
            name == b"expect" and value.lower() == b"100-continue" for name, value in headers
        )
        self._phase = _ANSWERING
        self._deadline = float("inf")
        super().on_headers_complete()

    def _enqueue(self, exchange: Exchange) -> None:
        self.cycle = exchange  # type: ignore[assignment]
        if self._current is None:
            self._start_asgi_task(exchange, self.app)
            return
        self.pipeline.appendleft((exchange, self.app))  # type: ignore[arg-type]
        if len(self.pipeline) >= _PIPELINE_PAUSES_AT:
            # Not sooner: while reading is paused nobody notices that the client leaves.
            self.flow.pause_reading()

    def _start_asgi_task(self, cycle: Exchange | RequestResponseCycle, app: Any) -> None:
        self._current = cycle
        if isinstance(cycle, Exchange):
            cycle.start()
        else:
            super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        """An answer is complete, of either kind: the next one in the pipeline begins, or the wait for a request."""
        self._current = None
        self.server_state.total_requests += 1
        if self._advancing or self.transport.is_closing():
            return
        # A loop: answers that need no waiting would otherwise nest as deep as the client pipelines.
        self._advancing = True
        while self.pipeline and self._is_free():
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
        self._advancing = False
        if self._is_free():
            self._wait_for_request()

    def _is_free(self) -> bool:
        """Whether an answer can be written: no other one is."""
        return self._current is None and not self.transport.is_closing()

    def _wait_for_request(self) -> None:
        if self.flow.read_paused:
            self.flow.resume_reading()
        if self._phase is not _ANSWERING:
            return
        if self._stopping:
            self.transport.close()
            return
        self._phase = _IDLE
        self._deadline = self.core.now + self._keep_alive_s

    # Refusals and ends

    def check_deadline(self, now: float) -> None:
        """Called by the sweep. `now`: the loop's time."""
        if now < self._deadline or self.transport.is_closing():
            return
        if self._phase is _IDLE:
            self.transport.close()
        elif self._phase is _CLOSING:
            self.transport.abort()
        elif self._phase is _BODY and self._body_comes_fast_enough():
            self._body_bytes = 0
            self._deadline = now + self._body_timeout_s
        else:
            self._refuse_input(REQUEST_TIMEOUT)

    def shutdown(self) -> None:
        """Called by uvicorn when it stops: whoever is being answered keeps the connection until the answer's end."""
        self._stopping = True
        if self._phase is _IDLE or self._phase is _CLOSING:
            self.transport.close()
        elif isinstance(self._current, RequestResponseCycle):
            self._current.keep_alive = False
            scope = self._current.scope
            if scope["method"] == "GET" and scope["path"].startswith("/api/"):
                # An event stream never ends by itself; its reader connects again.
                self.loop.call_later(_EVENT_STREAM_GRACE_S, self.transport.abort)

    def _refuse_input(self, refusal: Refusal) -> None:
        """Answers in turn with `refusal` and reads nothing more."""
        if not self._input_open:
            return
        self._input_open = False
        reading = self.cycle
        if self._phase is _BODY and isinstance(reading, Exchange):
            reading.refuse(refusal)
        elif isinstance(reading, RequestResponseCycle) and reading.more_body and not reading.response_complete:
            # Half of a body went to the app already; it learns that no more will come.
            reading.disconnected = True
            reading.message_event.set()
            self.transport.abort()
        else:
            refused = Exchange(self, _NO_ROUTE, b"", b"", self.core.next_request_id(), http10=False)
            refused.refusal = refusal
            refused.close = True
            self._phase = _BODY
            self._enqueue(refused)
            if not refused.response_complete:
                refused.refuse(refusal)

    def _drop_requests(self) -> None:
        """Ends whatever runs or waits on this connection."""
        self._input_open = False
        current, self._current = self._current, None
        waiting = [cycle for cycle, _ in self.pipeline]
        self.pipeline.clear()
        for cycle in (current, *waiting):
            if isinstance(cycle, Exchange):
                cycle.abandon()
            elif cycle is not None and not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()

    def _read_without_upgrade(self, rest: bytes) -> None:
        """Reads the request again as if it had not offered an upgrade.

        httptools takes what follows such a head for the new protocol's bytes. A server may ignore the offer, and must:
        Java's HTTP client offers h2c with every request.
        """
        self._upgrading = False
        if self.parser.get_method() == b"CONNECT":
            self._refuse_input(MALFORMED_HTTP)
            return
        headers = self.headers
        if self._content_length:
            headers = [*headers, (b"content-length", self._content_length)]
        head = head_without_upgrade(self.parser.get_method(), self.url, headers)
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.data_received(head + rest)

    def _body_comes_fast_enough(self) -> bool:
        needed = self._body_timeout_s * self.core.settings.min_body_bytes_per_s
        return bool(needed) and self._body_bytes >= needed
