"""What the orchestrator tells a replica over HTTP, and asks it.

The answer to an order says that it was heard; the endpoint says the rest.
"""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from replicas.types import (
    END_PATH,
    LOG_PATH,
    PREPARE_SWAP_PATH,
    SLEEP_PATH,
    SWAP_PATH,
    WAKE_PATH,
    LogPart,
    SwapOrder,
)

ORDERS_PATH = "/-/"
"""Below it nothing reaches the engine."""

Take = Callable[[bytes], Awaitable[None] | None]
"""Notes an order and returns at once, or when it is known to everybody. Raises msgspec.DecodeError."""


def orders_app(
    prepare: Callable[[SwapOrder], None],
    swap: Callable[[SwapOrder], None],
    end: Callable[[], None],
    sleep: Callable[[], None],
    wake: Callable[[], Awaitable[None]],
    log: Callable[[str], LogPart],
) -> ASGIApp:
    """Takes orders that the replica's gate has let in. `log` gives what stands in the log behind a position."""
    takers: dict[str, Take] = {
        PREPARE_SWAP_PATH: lambda body: prepare(msgspec.json.decode(body, type=SwapOrder)),
        SWAP_PATH: lambda body: swap(msgspec.json.decode(body, type=SwapOrder)),
        END_PATH: lambda _: end(),
        SLEEP_PATH: lambda _: sleep(),
        WAKE_PATH: lambda _: wake(),
    }

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        if scope["path"] == LOG_PATH and request.method == "GET":
            response = await _read(request, log)
        else:
            response = await _take(request, takers.get(scope["path"]))
        await response(scope, receive, send)

    return app


async def _read(request: Request, log: Callable[[str], LogPart]) -> Response:
    part = await asyncio.to_thread(log, request.query_params.get("after", ""))
    return Response(msgspec.json.encode(part), media_type="application/json")


async def _take(request: Request, take: Take | None) -> Response:
    if take is None or request.method != "POST":
        return _refusal(404, "There is no such order.")
    try:
        noted = take(await request.body())
        if noted is not None:
            await noted
    except msgspec.DecodeError as error:
        return _refusal(422, f"This is no order: {error}.")
    return Response(status_code=202)


def _refusal(status: int, message: str) -> JSONResponse:
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": "invalid_order"}
    return JSONResponse({"error": error}, status)
