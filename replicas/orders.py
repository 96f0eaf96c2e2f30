"""What the orchestrator tells a replica over HTTP. The answer says that it was heard; the endpoint says the rest."""

from collections.abc import Callable

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from replicas.types import END_PATH, PREPARE_SWAP_PATH, SWAP_PATH, SwapOrder

ORDERS_PATH = "/-/"
"""Below it nothing reaches the engine."""

Take = Callable[[bytes], None]
"""Notes an order and returns at once. Raises msgspec.DecodeError."""


def orders_app(
    prepare: Callable[[SwapOrder], None], swap: Callable[[SwapOrder], None], end: Callable[[], None]
) -> ASGIApp:
    """Takes orders that the replica's gate has let in."""
    takers: dict[str, Take] = {
        PREPARE_SWAP_PATH: lambda body: prepare(msgspec.json.decode(body, type=SwapOrder)),
        SWAP_PATH: lambda body: swap(msgspec.json.decode(body, type=SwapOrder)),
        END_PATH: lambda _: end(),
    }

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        response = await _take(Request(scope, receive), takers.get(scope["path"]))
        await response(scope, receive, send)

    return app


async def _take(request: Request, take: Take | None) -> Response:
    if take is None or request.method != "POST":
        return _refusal(404, "There is no such order.")
    try:
        take(await request.body())
    except msgspec.DecodeError as error:
        return _refusal(422, f"This is no order: {error}.")
    return Response(status_code=202)


def _refusal(status: int, message: str) -> JSONResponse:
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": "invalid_order"}
    return JSONResponse({"error": error}, status)
