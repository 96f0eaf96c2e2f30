"""The replica's HTTP server: its engine's app behind a bearer token, on a port of the system's choice."""

import asyncio
import contextlib
import hmac
import json
import logging
import socket
from collections import Counter
from collections.abc import Callable, Iterator

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from replicas.engine import Engine
from replicas.orders import ORDERS_PATH
from replicas.types import REVISION_HEADER, ROUTER_ID_HEADER

KEEP_ALIVE_S = 75
"""Longer than routers keep an idle connection in their pool, so that it is they who close it."""
_CLOSE_GRACE_S = 1
_ROUTER_ID = ROUTER_ID_HEADER.encode()
_REVISION = REVISION_HEADER.encode()
_MAX_ROUTER_ID_CHARS = 64
_log = logging.getLogger(__name__)
_MAX_REQUEST_ID_BYTES = 200


class _EngineDiedError(Exception):
    """Ends an answer in its middle; never leaves this module."""


class ReplicaGate:
    """ASGI middleware around an engine's app: authenticates, counts, and turns requests away while draining.

    Every route needs `Authorization: Bearer <token>` (401 otherwise), the engine's /health, /docs and /metrics too.
    A request is in flight until the last byte of its answer was handed to the connection.

    A dead engine says so in ways that look like answers (500, an error event and `[DONE]`). None of that goes out: 503
    before the answer's head, a cut connection after it. Routers then go on elsewhere.
    """

    def __init__(
        self,
        app: ASGIApp,
        token: str,
        engine_dead: Callable[[], bool] = lambda: False,
        *,
        orders: ASGIApp | None = None,
        revision: str = "",
    ) -> None:
        self._app = app
        self._authorization = f"Bearer {token}".encode()
        self._engine_dead = engine_dead
        self._orders = orders
        self.by_router: Counter[str] = Counter()
        self.in_flight = 0
        self.draining = False
        self.revision = revision
        """Of the weights that answer; on every answer."""
        self._open = asyncio.Event()
        self._open.set()
        self._empty = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # no engine route of ours speaks WebSocket: refuse rather than guard twice
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = dict(scope["headers"])
        if not hmac.compare_digest(headers.get(b"authorization", b""), self._authorization):
            await _refuse(send, 401, "invalid_token", "This replica answers only to routers of its own cluster.")
            return
        if self._orders is not None and scope["path"].startswith(ORDERS_PATH):
            await self._orders(scope, receive, send)
            return
        if not self._open.is_set():
            # Routers were told, but not all have heard of it. To send it away would be to lose it where there is no
            # other replica; it is not in flight until the swap is over, and then meets the new weights alone.
            await self._open.wait()
        if self.draining:
            await _refuse(send, 503, "replica_draining", "This replica is stopping. Ask another one.", close=True)
            return
        router = headers.get(_ROUTER_ID, b"").decode("latin-1")[:_MAX_ROUTER_ID_CHARS]
        self.in_flight += 1
        self.by_router[router] += 1
        try:
            labelled = _with_labels(send, headers.get(b"x-request-id"), lambda: self.revision)
            await self._app(scope, receive, self._while_alive(labelled))
        except _EngineDiedError:
            _log.warning("A request was cut because the engine has died.")
        finally:
            self.in_flight -= 1
            self.by_router[router] -= 1
            if not self.by_router[router]:
                del self.by_router[router]
            if self.in_flight == 0:
                self._empty.set()

    def _while_alive(self, send: Send) -> Send:
        """`send` until the engine is dead. Raises `_EngineDiedError` then, after a 503 if no answer has begun."""
        begun = False

        async def send_while_alive(message: Message) -> None:
            nonlocal begun
            if self._engine_dead():
                if not begun:
                    await _refuse(
                        send, 503, "engine_dead", "This replica's engine has died. Ask another one.", close=True
                    )
                raise _EngineDiedError
            begun = True
            await send(message)

        return send_while_alive

    def hold(self) -> None:
        """Let requests wait from now on, before they reach the engine."""
        self._open.clear()

    def release(self) -> None:
        """Let them in."""
        self._open.set()

    async def wait_empty(self, timeout_s: float) -> None:
        """Return when nothing is in flight, or after `timeout_s` seconds."""
        while self.in_flight > 0:
            self._empty.clear()
            try:
                async with asyncio.timeout(timeout_s):
                    await self._empty.wait()
            except TimeoutError:
                return


def _with_labels(send: Send, request_id: bytes | None, revision: Callable[[], str]) -> Send:
    """`send`, adding to the answer which revision gives it, and the caller's x-request-id unless the app has set one.

    The revision is that of the moment at which the answer begins: a swap cuts what has begun before, if it must.
    """
    if not request_id or len(request_id) > _MAX_REQUEST_ID_BYTES:
        request_id = None

    async def send_with_labels(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [*message.get("headers", ()), (_REVISION, revision().encode())]
            if request_id and not any(name.lower() == b"x-request-id" for name, _ in headers):
                headers.append((b"x-request-id", request_id))
            message = {**message, "headers": headers}
        await send(message)

    return send_with_labels


async def _refuse(send: Send, status: int, code: str, text: str, *, close: bool = False) -> None:
    """Answer with an error in OpenAI's envelope."""
    body = json.dumps({"error": {"message": text, "type": code, "param": None, "code": code}}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if close:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class _QuietServer(uvicorn.Server):
    """Leaves signals alone: in a Serve replica they are Ray's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class ReplicaServer:
    """Serves an engine's app in the running event loop. Started once, stopped once."""

    def __init__(self, engine: Engine, token: str, *, orders: ASGIApp | None = None, revision: str = "") -> None:
        self._gate = ReplicaGate(engine.app, token, lambda: engine.dead, orders=orders, revision=revision)
        config = uvicorn.Config(
            self._gate,
            http="httptools",
            ws="none",
            access_log=False,
            log_config=None,
            server_header=False,
            date_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=_CLOSE_GRACE_S,
        )
        self._server = _QuietServer(config)
        self._serving: asyncio.Task[None] | None = None

    def in_flight_by_router(self) -> dict[str, int]:
        """Requests whose last byte has not been sent, by the id of the router that sent them. From any thread."""
        return dict(self._gate.by_router)

    @property
    def in_flight(self) -> int:
        """Requests whose last byte has not been sent. From any thread."""
        return self._gate.in_flight

    async def start(self, host: str) -> int:
        """Listen on `host`, and return the port once requests are accepted. Raises `OSError` if it cannot listen."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.bind((host, 0))
        except OSError:
            listener.close()
            raise
        self._serving = asyncio.create_task(self._server.serve(sockets=[listener]))
        while not self._server.started:
            # uvicorn has no event for it; a start takes a few turns of the loop.
            await asyncio.wait({self._serving}, timeout=0.01)
            if self._serving.done():
                self._serving.result()
                raise OSError(f"The HTTP server on {host} stopped while starting.")
        port: int = listener.getsockname()[1]
        return port

    def hold(self) -> None:
        """Let new requests wait from now on; those in flight go on."""
        self._gate.hold()

    def release(self, revision: str) -> None:
        """Let those in that waited; `revision` answers them."""
        self._gate.revision = revision
        self._gate.release()

    def reopen(self) -> None:
        """Take new requests again after a `drain`."""
        self._gate.draining = False

    def drain(self) -> None:
        """Refuse new requests (503, `connection: close`) from now on, and those that wait; those in flight go on."""
        self._gate.draining = True
        self._gate.release()

    async def wait_empty(self, timeout_s: float) -> None:
        """Return when no request is in flight, or after `timeout_s` seconds."""
        await self._gate.wait_empty(timeout_s)

    async def stop(self) -> None:
        """Close every connection; a request still in flight gets a second, then is cut."""
        if self._serving is None:
            return
        self._gate.draining = True
        self._server.should_exit = True
        await asyncio.wait({self._serving})
        self._serving = None
