"""OpenAI's responses, as the simulated engine answers them. Nothing is stored."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from replicas.simulated_engine import Job
from replicas.simulated_http import (
    BadRequestError,
    Service,
    Whole,
    new_id,
    now,
    read_body,
    read_conversation,
    sse,
    stream,
    until_disconnect,
    with_error_event,
)


async def responses(request: Request, service: Service) -> Response:
    body = await read_body(request)
    service.require_model(body)
    prompt, question = read_conversation(_read_input(body))
    job = service.job(prompt, question, body.get("max_output_tokens"), None, ignore_eos=body.get("ignore_eos"))
    base = _base(service, body)
    if body.get("stream"):
        events = _stream(service, job, base)
        return stream(with_error_event(events, _error_event))
    whole = await until_disconnect(request, service.whole(job))
    return JSONResponse(_finished(base, job, whole, new_id("msg_")))


def _read_input(body: Mapping[str, Any]) -> list[Any]:
    """`instructions` and `input` (a text or items) as messages."""
    given = body.get("input")
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given
    if not isinstance(items, list):
        raise BadRequestError("input must be a text or a list of messages.", param="input")
    instructions = body.get("instructions")
    return [{"role": "system", "content": instructions}, *items] if instructions else items


def _base(service: Service, body: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": new_id("resp_"),
        "object": "response",
        "created_at": now(),
        "model": service.model,
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "metadata": body.get("metadata") or {},
        "output": [],
        "parallel_tool_calls": True,
        "temperature": body.get("temperature"),
        "tool_choice": "auto",
        "tools": [],
        "top_p": body.get("top_p"),
        "usage": None,
    }


def _item(item_id: str, text: str | None) -> dict[str, Any]:
    """The message that holds the answer; `text` None while it is being made."""
    content = [] if text is None else [_part(text)]
    status = "in_progress" if text is None else "completed"
    return {"type": "message", "id": item_id, "role": "assistant", "status": status, "content": content}


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _finished(base: Mapping[str, Any], job: Job, whole: Whole, item_id: str) -> dict[str, Any]:
    cut = whole.finish_reason == "length"
    usage = {
        "input_tokens": len(job.prompt),
        "input_tokens_details": {"cached_tokens": whole.cached_prompt_tokens},
        "output_tokens": whole.tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": len(job.prompt) + whole.tokens,
    }
    return {
        **base,
        "status": "incomplete" if cut else "completed",
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "output": [_item(item_id, whole.text)],
        "usage": usage,
    }


def _error_event(message: str) -> str:
    return sse({"type": "error", "code": "server_error", "message": message, "param": None}, "error")


class _Events:
    """Numbers the events of one stream."""

    def __init__(self) -> None:
        self._number = -1

    def __call__(self, kind: str, **fields: Any) -> str:
        self._number += 1
        return sse({"type": kind, "sequence_number": self._number, **fields}, kind)


async def _stream(service: Service, job: Job, base: Mapping[str, Any]) -> AsyncIterator[str]:
    event = _Events()
    item_id = new_id("msg_")
    here: dict[str, Any] = {"item_id": item_id, "output_index": 0, "content_index": 0}
    yield event("response.created", response=base)
    yield event("response.in_progress", response=base)
    yield event("response.output_item.added", output_index=0, item=_item(item_id, None))
    yield event("response.content_part.added", **here, part=_part(""))
    text, made, cached, finish_reason, stop = "", 0, 0, "stop", None
    async for piece in service.engine.generate(job):
        text, made, cached = text + piece.text, made + 1, piece.cached_prompt_tokens
        finish_reason, stop = piece.finish_reason or finish_reason, piece.stop
        yield event("response.output_text.delta", **here, delta=piece.text, logprobs=[])
    whole = Whole(text=text, tokens=made, cached_prompt_tokens=cached, finish_reason=finish_reason, stop=stop)
    yield event("response.output_text.done", **here, text=text, logprobs=[])
    yield event("response.content_part.done", **here, part=_part(text))
    yield event("response.output_item.done", output_index=0, item=_item(item_id, text))
    response = _finished(base, job, whole, item_id)
    yield event("response.completed" if finish_reason != "length" else "response.incomplete", response=response)
