"""OpenAI's chat completions and completions, as the simulated engine answers them."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from replicas.errors import EngineUnhealthyError
from replicas.simulated_engine import Job, Piece
from replicas.simulated_http import (
    BadRequestError,
    Service,
    Whole,
    json_response,
    new_id,
    now,
    openai_error,
    read_body,
    read_conversation,
    read_count,
    sse,
    stream,
    until_disconnect,
    with_error_event,
)
from replicas.simulated_text import detokenize, tokenize


class _Form(Struct, frozen=True, kw_only=True):
    """How one of the two APIs writes things down."""

    id: str
    object: str
    chunk_object: str
    model: str
    chat: bool

    def choice(self, index: int, whole: Whole) -> dict[str, Any]:
        content: dict[str, Any] = (
            {"message": {"role": "assistant", "content": whole.text}} if self.chat else {"text": whole.text}
        )
        return {"index": index, **content, "logprobs": None, "finish_reason": whole.finish_reason}

    def chunk(self, choices: Sequence[Mapping[str, Any]], usage: Mapping[str, Any] | None = None) -> str:
        data: dict[str, Any] = {
            "id": self.id,
            "object": self.chunk_object,
            "created": now(),
            "model": self.model,
            "choices": list(choices),
        }
        return sse(data if usage is None else data | {"usage": usage})

    def delta(self, index: int, text: str, finish_reason: str | None) -> dict[str, Any]:
        content: dict[str, Any] = {"delta": {"content": text}} if self.chat else {"text": text}
        return {"index": index, **content, "logprobs": None, "finish_reason": finish_reason}


async def chat_completions(request: Request, service: Service) -> Response:
    body = await read_body(request)
    service.require_model(body)
    prompt, question = read_conversation(body.get("messages"))
    form = _Form(
        id=new_id("chatcmpl-"),
        object="chat.completion",
        chunk_object="chat.completion.chunk",
        model=service.model,
        chat=True,
    )
    most = body.get("max_completion_tokens") or body.get("max_tokens")
    return await _answer(request, service, body, form, [_job(service, body, prompt, question, most)])


async def completions(request: Request, service: Service) -> Response:
    body = await read_body(request)
    service.require_model(body)
    form = _Form(
        id=new_id("cmpl-"), object="text_completion", chunk_object="text_completion", model=service.model, chat=False
    )
    jobs = [
        _job(service, body, prompt, detokenize(prompt), body.get("max_tokens") or 16)
        for prompt in _read_prompts(body.get("prompt"))
    ]
    return await _answer(request, service, body, form, jobs)


def _job(service: Service, body: Mapping[str, Any], prompt: Sequence[int], question: str, most: Any) -> Job:
    return service.job(prompt, question, most, body.get("stop"), ignore_eos=body.get("ignore_eos"))


def _read_prompts(given: Any) -> list[list[int]]:
    """`prompt`: a text, texts, token ids, or lists of token ids."""
    if isinstance(given, str):
        return [tokenize(given)]
    if isinstance(given, list) and given:
        if all(isinstance(item, int) for item in given):
            return [given]
        if all(isinstance(item, str) for item in given):
            return [tokenize(item) for item in given]
        if all(isinstance(item, list) for item in given):
            return given
    raise BadRequestError("prompt must be a text, a list of texts, or token ids.", param="prompt")


async def _answer(
    request: Request, service: Service, body: Mapping[str, Any], form: _Form, prompts: Sequence[Job]
) -> Response:
    count = read_count(body)
    jobs = [job for job in prompts for _ in range(count)]
    prompt_tokens = sum(len(job.prompt) for job in prompts)
    if body.get("stream"):
        options = body.get("stream_options") or {}
        include_usage = bool(options.get("include_usage"))
        events = _stream(service, form, jobs, prompt_tokens, include_usage)
        return stream(with_error_event(events, lambda message: sse(openai_error(message, 500))))
    wholes = await until_disconnect(request, _gather(service, jobs))
    return json_response(
        {
            "id": form.id,
            "object": form.object,
            "created": now(),
            "model": service.model,
            "choices": [form.choice(index, whole) for index, whole in enumerate(wholes)],
            "usage": _usage(prompt_tokens, sum(w.tokens for w in wholes), wholes[0].cached_prompt_tokens),
        }
    )


async def _gather(service: Service, jobs: Sequence[Job]) -> list[Whole]:
    return await asyncio.gather(*(service.whole(job) for job in jobs))


async def _stream(
    service: Service, form: _Form, jobs: Sequence[Job], prompt_tokens: int, include_usage: bool
) -> AsyncIterator[str]:
    if form.chat:
        role = {"delta": {"role": "assistant", "content": ""}, "logprobs": None, "finish_reason": None}
        yield form.chunk([{"index": index, **role} for index in range(len(jobs))])
    made = cached = 0
    async for index, piece in _merged(service, jobs):
        made, cached = made + 1, piece.cached_prompt_tokens
        yield form.chunk([form.delta(index, piece.text, piece.finish_reason)])
    if include_usage:
        yield form.chunk([], _usage(prompt_tokens, made, cached))
    yield "data: [DONE]\n\n"


async def _merged(service: Service, jobs: Sequence[Job]) -> AsyncIterator[tuple[int, Piece]]:
    """The pieces of all jobs as they come, each with the index of its job."""
    queue: asyncio.Queue[tuple[int, Piece] | EngineUnhealthyError | None] = asyncio.Queue()

    async def feed(index: int, job: Job) -> None:
        try:
            async for piece in service.engine.generate(job):
                queue.put_nowait((index, piece))
            queue.put_nowait(None)
        except EngineUnhealthyError as error:
            queue.put_nowait(error)

    tasks = [asyncio.create_task(feed(index, job)) for index, job in enumerate(jobs)]
    running = len(tasks)
    try:
        while running:
            item = await queue.get()
            if item is None:
                running -= 1
            elif isinstance(item, EngineUnhealthyError):
                raise item
            else:
                yield item
    finally:
        for task in tasks:
            task.cancel()


def _usage(prompt_tokens: int, made: int, cached: int) -> dict[str, Any]:
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": made,
        "total_tokens": prompt_tokens + made,
        "prompt_tokens_details": {"cached_tokens": cached},
    }
