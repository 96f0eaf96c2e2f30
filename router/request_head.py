"""What the router reads of a request: its path, and a few fields of its body. PURE."""

from typing import Any

import msgspec
from msgspec import Struct

from router.errors import RequestRefusedError, bad_request
from router.prefix_chain import CUTS, prompt_text


class Route(Struct, frozen=True):
    """A path that is carried to a replica."""

    path: bytes
    anthropic: bool = False
    """Streams of this path report errors in Anthropic's form."""
    generates: bool = False
    """Text is generated: the prompt's beginning is worth finding in a cache, and tokens come one by one."""


_GENERATING_PATHS = (b"/v1/chat/completions", b"/v1/completions", b"/v1/responses")
_OTHER_PATHS = (
    b"/v1/embeddings",
    b"/v1/rerank",
    b"/v1/score",
    b"/v2/rerank",
    b"/v2/embed",
    b"/tokenize",
    b"/detokenize",
    b"/classify",
    b"/pooling",
    b"/rerank",
    b"/score",
)

ROUTES: dict[bytes, Route] = {
    **{path: Route(path, generates=True) for path in _GENERATING_PATHS},
    **{path: Route(path) for path in _OTHER_PATHS},
    b"/v1/messages": Route(b"/v1/messages", anthropic=True, generates=True),
    b"/v1/messages/count_tokens": Route(b"/v1/messages/count_tokens", anthropic=True),
}
"""Every path that reaches a replica, all of them POST with JSON. Whatever is not here does not: engines serve
more than clients may use (loading adapters, sleeping, profiling)."""


class RequestHead(Struct, frozen=True):
    """What routing needs of a body."""

    model: str
    stream: bool = False
    prompt: bytes = b""
    """Text of the prompt in one form for all APIs (`prefix_chain.prompt_text`), or all of a body that is shorter than a
    block; empty where nothing is generated."""
    converses: bool = False
    """The prompt is a conversation, to which the answer adds a turn."""
    max_tokens: int | None = None
    """Most tokens that the client wants, if it says so."""
    session: bytes = b""
    """What the client says to be the same across the requests of one conversation or user."""


class _Body(Struct):
    # Any: a wrong type must give our sentence, and `null` is what some clients send for "not set". What is wrong
    # elsewhere is the engine's to say.
    model: Any = None
    stream: Any = None
    messages: Any = None
    prompt: Any = None
    input: Any = None
    system: Any = None
    instructions: Any = None
    tools: Any = None
    max_tokens: Any = None
    max_completion_tokens: Any = None
    max_output_tokens: Any = None
    user: Any = None
    prompt_cache_key: Any = None


class _ShortBody(Struct):
    """Of a body that is too short to hold one block of a prompt, what it says is of no use to routing."""

    model: Any = None
    stream: Any = None
    prompt: Any = None
    max_tokens: Any = None
    max_completion_tokens: Any = None
    max_output_tokens: Any = None
    user: Any = None
    prompt_cache_key: Any = None


_decoder = msgspec.json.Decoder(_Body)
_short_decoder = msgspec.json.Decoder(_ShortBody)


def parse_request_head(body: bytes | bytearray, *, generates: bool = False) -> RequestHead:
    """Reads of a JSON body what routing needs; everything else in it is left to the engine.

    Raises `RequestRefusedError` (400) for malformed JSON, JSON that is not an object, and a `model` that is missing
    or not a non-empty string.
    """
    short = len(body) < CUTS[0]
    parsed = _parse(body, _short_decoder if short else _decoder)
    model = parsed.model
    if not isinstance(model, str) or not model:
        raise RequestRefusedError(
            bad_request(
                "'model' must be the name of a model as a string. GET /v1/models lists the names that can be used.",
                code="invalid_model",
                param="model",
            )
        )
    if not generates:
        return RequestHead(model, parsed.stream is True)
    most = parsed.max_completion_tokens or parsed.max_tokens or parsed.max_output_tokens
    session = parsed.prompt_cache_key or parsed.user
    return RequestHead(
        model,
        parsed.stream is True,
        bytes(body) if isinstance(parsed, _ShortBody) else _prompt_of(parsed),
        short or not parsed.prompt,
        most if type(most) is int and most > 0 else None,
        session.encode("utf-8", "surrogatepass") if isinstance(session, str) else b"",
    )


def _prompt_of(parsed: _Body) -> bytes:
    try:
        return prompt_text(
            messages=parsed.messages or parsed.input,
            prompt=parsed.prompt,
            system=parsed.system or parsed.instructions,
            tools=parsed.tools,
        )
    except RecursionError:
        # Nested as deep as a decoder goes: the engine may say what it thinks of it.
        return b""


def _parse(
    body: bytes | bytearray, decoder: "msgspec.json.Decoder[_Body] | msgspec.json.Decoder[_ShortBody]"
) -> _Body | _ShortBody:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError:
        raise RequestRefusedError(
            bad_request('The body must be a JSON object such as {"model": "NAME", …}.', code="invalid_json")
        ) from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise RequestRefusedError(
            bad_request("The body is not valid JSON. Send a JSON object in UTF-8.", code="invalid_json")
        ) from None
