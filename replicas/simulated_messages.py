"""Anthropic's messages, as the simulated engine answers them."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from replicas.errors import EngineUnhealthyError
from replicas.simulated_engine import Job
from replicas.simulated_http import (
    BadRequestError,
    Service,
    json_response,
    new_id,
    read_body,
    read_conversation,
    read_text,
    sse,
    stream,
    until_disconnect,
    with_error_event,
)


async def messages(request: Request, service: Service) -> Response:
    try:
        return await _messages(request, service)
    except BadRequestError as error:
        kind = "not_found_error" if error.status == 404 else "invalid_request_error"
        return json_response(_error(kind, str(error)), error.status)
    except EngineUnhealthyError as error:
        return json_response(_error("api_error", str(error)), 500)


async def count_message_tokens(request: Request, service: Service) -> Response:
    prompt, _ = _read_prompt(await read_body(request))
    return JSONResponse({"input_tokens": len(prompt)})


async def _messages(request: Request, service: Service) -> Response:
    body = await read_body(request)
    service.require_model(body)
    if body.get("max_tokens") is None:
        raise BadRequestError("max_tokens: Field required", param="max_tokens")
    prompt, question = _read_prompt(body)
    job = service.job(prompt, question, body["max_tokens"], body.get("stop_sequences"))
    message_id = new_id("msg_")
    if body.get("stream"):
        events = _stream(service, job, message_id)
        return stream(with_error_event(events, lambda text: sse(_error("api_error", text), "error")))
    whole = await until_disconnect(request, service.whole(job))
    message = _message(service, message_id, job, cached=whole.cached_prompt_tokens, made=whole.tokens)
    message["content"] = [{"type": "text", "text": whole.text}]
    message |= {"stop_reason": _stop_reason(whole.finish_reason, whole.stop), "stop_sequence": whole.stop}
    return JSONResponse(message)


def _read_prompt(body: Mapping[str, Any]) -> tuple[list[int], str]:
    system = read_text(body.get("system"))
    conversation = body.get("messages")
    if system and isinstance(conversation, list):
        conversation = [{"role": "system", "content": system}, *conversation]
    return read_conversation(conversation)


def _message(service: Service, message_id: str, job: Job, *, cached: int, made: int) -> dict[str, Any]:
    usage = {
        "input_tokens": len(job.prompt) - cached,
        "cache_read_input_tokens": cached,
        "cache_creation_input_tokens": 0,
        "output_tokens": made,
    }
    return {
        "id": message_id,
        "type": "message",
        "role": "assistant",
        "model": service.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }


def _stop_reason(finish_reason: str, stop: str | None) -> str:
    if finish_reason == "length":
        return "max_tokens"
    return "stop_sequence" if stop is not None else "end_turn"


def _error(kind: str, text: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": text}}


async def _stream(service: Service, job: Job, message_id: str) -> AsyncIterator[str]:
    start = _message(service, message_id, job, cached=0, made=0)
    yield sse({"type": "message_start", "message": start}, "message_start")
    block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    yield sse(block, "content_block_start")
    made = 0
    stopped: dict[str, Any] = {}
    async for piece in service.engine.generate(job):
        made += 1
        delta = {"type": "text_delta", "text": piece.text}
        yield sse({"type": "content_block_delta", "index": 0, "delta": delta}, "content_block_delta")
        if piece.finish_reason is not None:
            reason = _stop_reason(piece.finish_reason, piece.stop)
            stopped = {"stop_reason": reason, "stop_sequence": piece.stop}
    yield sse({"type": "content_block_stop", "index": 0}, "content_block_stop")
    end = {"type": "message_delta", "delta": stopped, "usage": {"output_tokens": made}}
    yield sse(end, "message_delta")
    yield sse({"type": "message_stop"}, "message_stop")
