"""The way from the public port to the orchestrator: bytes in, bytes out, nothing kept."""

import re
from collections.abc import AsyncIterator

import httpx
from starlette.background import BackgroundTask
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse

from router.errors import ORCHESTRATOR_DOWN, RouterError, body_too_large, envelope
from router.headers import HOP_BY_HOP, connection_tokens

_CONNECT_TIMEOUT_S = 2.0
_MAX_BODY_BYTES = 2**20
"""Of a request to the admin API, whose bodies are small; the orchestrator reads them before it knows who asks."""

_UPLOADED_FILE = re.compile(r"/api/v1/uploads/[^/]+/files/[^/]+")
"""Where pieces of weights go, as they come: the orchestrator asks who sends them before it reads."""


class OrchestratorProxy:
    """Carries `/api/*`. Who may do what there is the orchestrator's to decide, by the same headers that came here."""

    def __init__(self, url: str | None) -> None:
        self._base = None if url is None else httpx.URL(url)
        # Event streams stay open for hours, one for each page: no read timeout and no limit on connections.
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(None, connect=_CONNECT_TIMEOUT_S),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=32),
            trust_env=False,
            follow_redirects=False,
        )
        self._client.headers.clear()

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.aclose()

    async def carry(self, request: Request) -> Response:
        """Streams the request there and the answer back. 503 when the orchestrator does not answer."""
        if self._base is None:
            return _down()
        query: bytes = request.scope["query_string"]
        target = request.scope["raw_path"] + (b"?" + query if query else b"")
        limit = None if request.method == "PATCH" and _UPLOADED_FILE.fullmatch(request.url.path) else _MAX_BODY_BYTES
        if limit is not None and int(request.headers.get("content-length", 0)) > limit:
            return _too_large()
        has_body = "content-length" in request.headers or "transfer-encoding" in request.headers
        outgoing = httpx.Request(
            request.method,
            self._base.copy_with(raw_path=target),
            headers=_passed_on(request.headers.raw),
            content=_body(request, limit) if has_body else None,
        )
        try:
            answer = await self._client.send(outgoing, stream=True)
        except ClientDisconnect:
            return Response(status_code=499)
        except _BodyTooLargeError:
            return _too_large()
        except httpx.TransportError:
            return _down()
        streamed = StreamingResponse(_bytes_of(answer), answer.status_code, background=BackgroundTask(answer.aclose))
        streamed.raw_headers = _passed_on(answer.headers.raw)
        return streamed


class _BodyTooLargeError(RouterError):
    """A body sent in chunks went over the limit."""


async def _body(request: Request, limit: int | None) -> AsyncIterator[bytes]:
    received = 0
    async for piece in request.stream():
        received += len(piece)
        if limit is not None and received > limit:
            raise _BodyTooLargeError
        if piece:
            yield piece


async def _bytes_of(answer: httpx.Response) -> AsyncIterator[bytes]:
    # Ends the connection to the orchestrator when the client leaves in mid-answer, too.
    try:
        async for piece in answer.aiter_raw():
            yield piece
    finally:
        await answer.aclose()


def _passed_on(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    lowered = [(name.lower(), value) for name, value in headers]
    dropped = set(HOP_BY_HOP)
    for name, value in lowered:
        if name == b"connection":
            dropped |= connection_tokens(value)
    return [(name, value) for name, value in lowered if name not in dropped and name != b"expect"]


def _too_large() -> Response:
    refusal = body_too_large(_MAX_BODY_BYTES)
    return Response(envelope(refusal), refusal.status, media_type="application/json")


def _down() -> Response:
    headers = {"retry-after": str(ORCHESTRATOR_DOWN.retry_after_s)}
    return Response(envelope(ORCHESTRATOR_DOWN), ORCHESTRATOR_DOWN.status, headers, "application/json")
