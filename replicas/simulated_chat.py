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
from replicas.simulated_text import recall, tokenize


class _Form(Struct, frozen=True, kw_only=True):
    """How one of the two APIs writes things down, in vLLM's words and order.

    What is not asked for is null: vLLM leaves no field out.
    """

    id: str
    object: str
    chunk_object: str
    created: int
    model: str
    chat: bool
    token_ids: bool
    """Show the ids of prompt and answer."""

    def ids(self, tokens: Sequence[int]) -> list[int] | None:
        return list(tokens) if self.token_ids else None

    def whole(self, jobs: Sequence[Job], wholes: Sequence[Whole], usage: Mapping[str, Any]) -> dict[str, Any]:
        """An answer that is not streamed. A chat's prompt is shown beside its choices, other prompts within them."""
        pairs = zip(jobs, wholes, strict=True)
        choices = [self._choice(index, job, whole) for index, (job, whole) in enumerate(pairs)]
        data = {**self._head(self.object), "choices": choices, "usage": usage}
        return data | {"prompt_token_ids": self.ids(jobs[0].prompt)} if self.chat else data

    def _choice(self, index: int, job: Job, whole: Whole) -> dict[str, Any]:
        content: dict[str, Any] = (
            {"message": {"role": "assistant", "content": whole.text}} if self.chat else {"text": whole.text}
        )
        ending = {"finish_reason": whole.finish_reason, "stop_reason": whole.stop}
        choice = {"index": index, **content, "logprobs": None, **ending, "token_ids": self.ids(whole.token_ids)}
        return choice if self.chat else choice | {"prompt_token_ids": self.ids(job.prompt)}

    def role(self, index: int, job: Job) -> str:
        """The first chunk of a choice in a chat."""
        delta = {"role": "assistant", "content": ""}
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": None}
        data = {**self._head(self.chunk_object), "choices": [choice]}
        return sse(data | {"prompt_token_ids": self.ids(job.prompt), "prompt_text": None})

    def piece(self, index: int, piece: Piece, prompt: Sequence[int] | None) -> str:
        """A chunk with one token. `prompt`: in the first chunk of a choice that is no chat's."""
        content: dict[str, Any] = {"delta": {"content": piece.text}} if self.chat else {"text": piece.text}
        choice = {"index": index, **content, "logprobs": None, "finish_reason": piece.finish_reason}
        if not self.chat or piece.finish_reason is not None:
            choice["stop_reason"] = piece.stop
        if not self.chat:
            choice["prompt_token_ids"] = None if prompt is None else self.ids(prompt)
        choice["token_ids"] = self.ids(tokenize(piece.text))
        return sse({**self._head(self.chunk_object), "choices": [choice]})

    def usage(self, usage: Mapping[str, Any]) -> str:
        return sse({**self._head(self.chunk_object), "choices": [], "usage": usage})

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}


async def chat_completions(request: Request, service: Service) -> Response:
    body = await read_body(request)
    service.require_model(body)
    prompt, question = read_conversation(body.get("messages"))
    form = _Form(
        id=new_id("chatcmpl-"),
        object="chat.completion",
        chunk_object="chat.completion.chunk",
        created=now(),
        model=service.model,
        chat=True,
        token_ids=body.get("return_token_ids") is True,
    )
    most = body.get("max_completion_tokens") or body.get("max_tokens")
    return await _answer(request, service, body, form, [_job(service, body, prompt, question, most)])


async def completions(request: Request, service: Service) -> Response:
    body = await read_body(request)
    service.require_model(body)
    form = _Form(
        id=new_id("cmpl-"),
        object="text_completion",
        chunk_object="text_completion",
        created=now(),
        model=service.model,
        chat=False,
        token_ids=body.get("return_token_ids") is True,
    )
    most = body.get("max_tokens") or 16
    jobs = [
        _job(service, body, prompt, question, most, said)
        for prompt, question, said in _read_prompts(body.get("prompt"))
    ]
    return await _answer(request, service, body, form, jobs)


def _job(
    service: Service, body: Mapping[str, Any], prompt: Sequence[int], question: str, most: Any, said: int = 0
) -> Job:
    return service.job(prompt, question, most, body.get("stop"), ignore_eos=body.get("ignore_eos"), said=said)


def _read_prompts(given: Any) -> list[tuple[list[int], str, int]]:
    """`prompt` (a text, texts, token ids, or lists of token ids) as tokens, question, and tokens of the answer in it.

    Only ids may end inside an answer: a text is always a question.
    """
    if isinstance(given, str):
        given = [given]
    if isinstance(given, list) and given:
        if all(isinstance(item, int) for item in given):
            given = [given]
        if all(isinstance(item, str) for item in given):
            return [(tokenize(item), item, 0) for item in given]
        if all(isinstance(item, list) for item in given):
            return [(item, *recall(item)) for item in given]
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
        form.whole(jobs, wholes, _usage(prompt_tokens, sum(w.tokens for w in wholes), wholes[0].cached_prompt_tokens))
    )


async def _gather(service: Service, jobs: Sequence[Job]) -> list[Whole]:
    return await asyncio.gather(*(service.whole(job) for job in jobs))


async def _stream(
    service: Service, form: _Form, jobs: Sequence[Job], prompt_tokens: int, include_usage: bool
) -> AsyncIterator[str]:
    if form.chat:
        for index, job in enumerate(jobs):
            yield form.role(index, job)
    made = cached = 0
    begun: set[int] = set()
    async for index, piece in _merged(service, jobs):
        made, cached = made + 1, piece.cached_prompt_tokens
        yield form.piece(index, piece, None if index in begun else jobs[index].prompt)
        begun.add(index)
    if include_usage:
        yield form.usage(_usage(prompt_tokens, made, cached))
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
        "total_tokens": prompt_tokens + made,
        "completion_tokens": made,
        "prompt_tokens_details": {"cached_tokens": cached},
    }
