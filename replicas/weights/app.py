"""The HTTP side of a host's process: its files for other hosts, and revisions for those who want them here.

Every request must carry the bearer token that the host's record in the store has.
"""

import asyncio
import hmac
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from replicas.host_types import Fetched, FetchLine, FetchRefused
from replicas.weights.contents import Contents, is_revision
from replicas.weights.errors import RevisionMissingError, WeightsError
from replicas.weights.fetches import Fetches
from replicas.weights.manifest import DIGEST_PREFIX, encode

_TELL_EVERY_S = 0.5


class HostApp:
    """The ASGI app of a host."""

    def __init__(self, contents: Contents, fetches: Fetches | None, used: Callable[[str], None]) -> None:
        """`fetches` None: the library itself, which fetches from nobody. `used` is given each revision asked for."""
        self._contents = contents
        self._fetches = fetches
        self._used = used
        self.sent_bytes = 0
        """Of contents, since the start."""

    def behind(self, token: str) -> ASGIApp:
        """The app for those who send `token`; 401 to everyone else."""
        routes = [
            Route("/revisions/{revision}/manifest", self.manifest),
            Route("/revisions/{revision}/fetch", self.fetch, methods=["POST"]),
            Route("/contents/{sha256}", self.content),
        ]
        return _TokenGate(Starlette(routes=routes, exception_handlers={WeightsError: _answer_error}), token)

    async def manifest(self, request: Request) -> Response:
        revision = _revision_of(request)
        return Response(encode(self._contents.manifest(revision)), media_type="application/json")

    async def content(self, request: Request) -> Response:
        """A content, or a range of it."""
        path = self._contents.find(request.path_params["sha256"])
        if path is None:
            raise RevisionMissingError("This host does not have this content.")
        return _CountedFile(path, self._count_sent)

    async def fetch(self, request: Request) -> Response:
        """Bring a revision here if it is not. The answer is JSON lines, `FetchLine`s, the last of which tells the end.

        The fetch goes on when the asker leaves. `library_path` says where the library has the revision: if this host
        sees it there, on a shared file system, nothing is copied.
        """
        revision = _revision_of(request)
        self._contents.folder(revision)  # refuses what is no digest
        lines = self._lines(revision, request.query_params.get("library_path", ""))
        return StreamingResponse(lines, media_type="application/jsonl", headers={"cache-control": "no-store"})

    async def _lines(self, revision: str, library_path: str) -> AsyncIterator[bytes]:
        shared = bool(library_path) and await asyncio.to_thread(is_revision, Path(library_path), revision)
        if shared:
            yield _line(Fetched(path=library_path))
            return
        if revision in self._contents.names():
            self._used(revision)
            yield _line(Fetched(path=str(self._contents.folder(revision))))
            return
        if self._fetches is None:
            message = f"The library has no revision {revision}. Push or import the model again."
            yield _line(FetchRefused(revision=revision, code=RevisionMissingError.code, message=message))
            return
        fetch = self._fetches.start(revision)
        while not fetch.task.done():
            yield _line(fetch.progress())
            await asyncio.wait({fetch.task}, timeout=_TELL_EVERY_S)
        try:
            yield _line(Fetched(path=str(fetch.task.result())))
        except WeightsError as error:
            yield _line(FetchRefused(revision=revision, code=error.code, message=error.message))

    def _count_sent(self, count: int) -> None:
        self.sent_bytes += count


class _CountedFile(FileResponse):
    """A file, in pieces large enough that reading them costs little; `sent` is given the bytes of each."""

    chunk_size = 2**20

    def __init__(self, path: Path, sent: Callable[[int], None]) -> None:
        super().__init__(path, media_type="application/octet-stream")
        self._sent = sent

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def counted(message: Message) -> None:
            await send(message)
            self._sent(len(message.get("body", b"")))

        await super().__call__(scope, receive, counted)


class _TokenGate:
    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._authorization = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            sent = dict(scope["headers"]).get(b"authorization", b"")
            if not hmac.compare_digest(sent, self._authorization):
                refusal = _refusal(401, "invalid_token", "This host answers only to its own cluster.")
                return await refusal(scope, receive, send)
        return await self._app(scope, receive, send)


def _revision_of(request: Request) -> str:
    return DIGEST_PREFIX + str(request.path_params["revision"])


def _line(line: FetchLine) -> bytes:
    return msgspec.json.encode(line) + b"\n"


def _refusal(status: int, code: str, message: str) -> Response:
    return JSONResponse({"error": {"code": code, "message": message}}, status_code=status)


async def _answer_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, WeightsError)  # noqa: S101 - registered for this class alone
    return _refusal(error.status, error.code, error.message)
