"""The simulated engine's HTTP surface: OpenAI's API as vLLM serves it, and Anthropic's messages."""

import base64
import struct
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from replicas.errors import EngineUnhealthyError
from replicas.simulated_chat import chat_completions, completions
from replicas.simulated_engine import SimulatedEngine
from replicas.simulated_http import (
    BadRequestError,
    Service,
    json_response,
    now,
    openai_error,
    read_body,
    read_conversation,
)
from replicas.simulated_messages import count_message_tokens, messages
from replicas.simulated_responses import responses
from replicas.simulated_text import detokenize, embedding, tokenize

EMBEDDING_DIMENSIONS = 64
Handler = Callable[[Request, Service], Awaitable[Response]]


def build_app(engine: SimulatedEngine, model: str, context_tokens: int) -> Starlette:
    """The routes of a simulated engine that serves as `model`."""
    service = Service(engine=engine, model=model, context_tokens=context_tokens)

    def route(path: str, handler: Handler, method: str = "POST") -> Route:
        async def endpoint(request: Request) -> Response:
            try:
                return await handler(request, service)
            except BadRequestError as error:
                return json_response(openai_error(str(error), error.status, error.param), error.status)
            except EngineUnhealthyError as error:
                return json_response(openai_error(str(error), 500), 500)

        return Route(path, endpoint, methods=[method])

    return Starlette(
        routes=[
            route("/health", health, "GET"),
            route("/v1/models", models, "GET"),
            route("/v1/chat/completions", chat_completions),
            route("/v1/completions", completions),
            route("/v1/embeddings", embeddings),
            route("/v1/responses", responses),
            route("/v1/messages", messages),
            route("/v1/messages/count_tokens", count_message_tokens),
            route("/tokenize", tokenize_text),
            route("/detokenize", detokenize_tokens),
        ]
    )


async def health(request: Request, service: Service) -> Response:
    return Response(status_code=503 if service.engine.dead else 200)


async def models(request: Request, service: Service) -> Response:
    entry = {
        "id": service.model,
        "object": "model",
        "created": now(),
        "owned_by": "simulated",
        "root": service.model,
        "parent": None,
        "max_model_len": service.context_tokens,
    }
    return JSONResponse({"object": "list", "data": [entry]})


async def embeddings(request: Request, service: Service) -> Response:
    body = await read_body(request)
    service.require_model(body)
    texts = _read_inputs(body.get("input"))
    dimensions = body.get("dimensions") or EMBEDDING_DIMENSIONS
    encode: Callable[[Sequence[float]], Any] = _base64_floats if body.get("encoding_format") == "base64" else list
    data = [
        {"object": "embedding", "index": index, "embedding": encode(embedding(text, dimensions))}
        for index, text in enumerate(texts)
    ]
    tokens = sum(len(tokenize(text)) for text in texts)
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return JSONResponse({"object": "list", "data": data, "model": service.model, "usage": usage})


def _read_inputs(given: Any) -> list[str]:
    """`input` of an embedding: a text, texts, token ids, or lists of token ids."""
    if isinstance(given, str):
        return [given]
    if isinstance(given, list) and given:
        if all(isinstance(item, str) for item in given):
            return given
        if all(isinstance(item, int) for item in given):
            return [detokenize(given)]
        if all(isinstance(item, list) for item in given):
            return [detokenize(item) for item in given]
    raise BadRequestError("input must be a text, a list of texts, or token ids.", param="input")


def _base64_floats(vector: Sequence[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


async def tokenize_text(request: Request, service: Service) -> Response:
    body = await read_body(request)
    tokens = read_conversation(body["messages"])[0] if "messages" in body else tokenize(str(body.get("prompt", "")))
    return JSONResponse({"count": len(tokens), "max_model_len": service.context_tokens, "tokens": tokens})


async def detokenize_tokens(request: Request, service: Service) -> Response:
    tokens = (await read_body(request)).get("tokens")
    if not isinstance(tokens, list) or not all(isinstance(token, int) for token in tokens):
        raise BadRequestError("tokens must be a list of integers.", param="tokens")
    return JSONResponse({"prompt": detokenize(tokens)})
