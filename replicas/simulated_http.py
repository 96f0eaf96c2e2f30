"""What the simulated engine's HTTP routes share: reading requests, errors, streams."""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from replicas.errors import EngineUnhealthyError
from replicas.simulated_engine import Job, SimulatedEngine
from replicas.simulated_text import ANSWER_FOLLOWS, tokenize, turn

T = TypeVar("T")
MOST_CHOICES = 16


class BadRequestError(Exception):
    """A request that cannot be served; the message is for the client."""

    def __init__(self, message: str, *, status: int = 400, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.param = param


class Whole(Struct, frozen=True, kw_only=True):
    """An answer when it has ended."""

    text: str
    token_ids: tuple[int, ...] = ()
    tokens: int
    cached_prompt_tokens: int
    finish_reason: str
    stop: str | None


class Service(Struct, frozen=True, kw_only=True):
    """What a route needs."""

    engine: SimulatedEngine
    model: str
    context_tokens: int

    def require_model(self, body: Mapping[str, Any]) -> None:
        """Raise unless `body` names our model, or the fault `error_every` hits this request."""
        if body.get("model") not in (self.model, None):
            raise BadRequestError(f"The model `{body['model']}` does not exist.", status=404, param="model")
        if self.engine.dead:
            raise EngineUnhealthyError("The engine is dead.")
        if self.engine.next_request_fails():
            raise EngineUnhealthyError("A fault that was asked for.")

    def job(
        self,
        prompt: Sequence[int],
        question: str,
        max_tokens: Any,
        stop: Any,
        *,
        ignore_eos: Any = False,
        said: int = 0,
    ) -> Job:
        """A job within the context; `max_tokens` None takes what is left of it."""
        left = self.context_tokens - len(prompt)
        if not prompt:
            raise BadRequestError("The prompt is empty.")
        if left < 1:
            raise BadRequestError(
                f"This model's maximum context length is {self.context_tokens} tokens. However, your prompt has "
                f"{len(prompt)}. Please reduce its length."
            )
        if max_tokens is not None and (not isinstance(max_tokens, int) or max_tokens < 1):
            raise BadRequestError("max_tokens must be at least 1.", param="max_tokens")
        if max_tokens is not None and max_tokens > left:
            raise BadRequestError(
                f"max_tokens is too large: {max_tokens}. This model's context of {self.context_tokens} tokens leaves "
                f"{left} for the answer.",
                param="max_tokens",
            )
        words = (stop,) if isinstance(stop, str) else tuple(stop or ())
        return Job(
            prompt=tuple(prompt),
            question=question,
            max_tokens=max_tokens or left,
            stop=words,
            ignore_eos=bool(ignore_eos),
            said=said,
        )

    async def whole(self, job: Job) -> Whole:
        """The answer to `job`, when it has ended."""
        pieces = [piece async for piece in self.engine.generate(job)]
        return Whole(
            text="".join(piece.text for piece in pieces),
            token_ids=tuple(token for piece in pieces for token in tokenize(piece.text)),
            tokens=len(pieces),
            cached_prompt_tokens=pieces[-1].cached_prompt_tokens,
            finish_reason=pieces[-1].finish_reason or "stop",
            stop=pieces[-1].stop,
        )


async def read_body(request: Request) -> dict[str, Any]:
    """The request's JSON object. Raises `BadRequestError`."""
    try:
        body = json.loads(await request.body())
    except ValueError as error:
        raise BadRequestError(f"The body is not valid JSON: {error}.") from error
    if not isinstance(body, dict):
        raise BadRequestError("The body must be a JSON object.")
    return body


def read_text(content: Any) -> str:
    """The text of a message's content, a string or a list of text parts. Raises `BadRequestError` on other parts."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = [part if isinstance(part, dict) else {} for part in content]
        if all(part.get("type") in ("text", "input_text", "output_text") for part in parts):
            return "".join(str(part.get("text", "")) for part in parts)
    raise BadRequestError("The simulated engine reads text only.", param="messages")


def read_conversation(messages: Any) -> tuple[list[int], str]:
    """Prompt tokens of a chat, and its last question.

    Each message is tokenized by itself, so that a chat's next turn starts with the very tokens of this one and its
    answer: what a prefix cache lives on.
    """
    if not isinstance(messages, list) or not messages:
        raise BadRequestError("messages must be a list with at least one message.", param="messages")
    prompt: list[int] = []
    question = ""
    for message in messages:
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise BadRequestError("Every message is an object with a role.", param="messages")
        text = read_text(message.get("content"))
        prompt += turn(message["role"], text)
        question = text if message["role"] == "user" else question
    return prompt + tokenize(ANSWER_FOLLOWS), question


def read_count(body: Mapping[str, Any]) -> int:
    """How many answers are asked for (`n`). Raises `BadRequestError`."""
    count = body.get("n") or 1
    if not isinstance(count, int) or not 1 <= count <= MOST_CHOICES:
        raise BadRequestError(f"n must be between 1 and {MOST_CHOICES}.", param="n")
    return count


def openai_error(message: str, status: int, param: str | None = None) -> dict[str, Any]:
    """OpenAI's error envelope, with the fields that vLLM fills."""
    kind = {400: "BadRequestError", 404: "NotFoundError"}.get(status, "InternalServerError")
    return {"error": {"message": message, "type": kind, "param": param, "code": status}}


async def until_disconnect(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which is cancelled if the client goes away first."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise BadRequestError("The client closed the connection.", status=499)
        return task.result()
    finally:
        task.cancel()
        gone.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def sse(data: Mapping[str, Any], event: str | None = None) -> str:
    """One server-sent event."""
    head = f"event: {event}\n" if event else ""
    return f"{head}data: {json.dumps(data, ensure_ascii=False, separators=(',', ':'))}\n\n"


def stream(events: AsyncIterator[str]) -> Response:
    return StreamingResponse(events, media_type="text/event-stream")


async def with_error_event(events: AsyncIterator[str], form: Callable[[str], str]) -> AsyncIterator[str]:
    """`events`, and if the engine dies on the way the event that `form` makes of the message. Never a bare end."""
    try:
        async for event in events:
            yield event
    except EngineUnhealthyError as error:
        yield form(str(error))


def new_id(prefix: str) -> str:
    return f"{prefix}{uuid.uuid4().hex}"


def now() -> int:
    """Unix seconds."""
    return int(time.time())


def json_response(data: Mapping[str, Any], status: int = 200) -> Response:
    return JSONResponse(data, status)
