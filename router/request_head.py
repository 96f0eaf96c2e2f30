"""What the router reads of a request: its path, and a few fields of its body. PURE."""

import msgspec

from router.bodies import MALFORMED, RequestBody, decode_request
from router.errors import NOT_JSON, RequestRefusedError, bad_request
from router.prefix_chain import CUTS
from router.prompt_text import read_prompt


class Route:
    """A path that is carried to a replica."""

    def __init__(self, path: bytes, *, anthropic: bool = False, generates: bool = False) -> None:
        self.path = path
        self.anthropic = anthropic
        """Streams of this path report errors in Anthropic's form."""
        self.generates = generates
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


class RequestHead:
    """What routing needs of a body."""

    def __init__(
        self,
        model: str,
        stream: bool = False,
        prompt: bytes = b"",
        opening: bytes = b"",
        max_tokens: int | None = None,
        session: bytes = b"",
    ) -> None:
        self.model = model
        self.stream = stream
        self.prompt = prompt
        """Text of the prompt (`prompt_text`), or all of a body that is shorter than a block; empty where nothing is
        generated."""
        self.opening = opening
        """How the messages of a conversation begin; empty where the prompt is none, or shorter than a block."""
        self.max_tokens = max_tokens
        """Most tokens that the client wants, if it says so."""
        self.session = session
        """What the client says to be the same across the requests of one conversation or user."""


def parse_request_head(body: bytes | bytearray, *, generates: bool = False) -> RequestHead:
    """Reads of a JSON body what routing needs; everything else in it is left to the engine.

    Raises `RequestRefusedError` (400) for malformed JSON, JSON that is not an object, and a `model` that is missing
    or not a non-empty string.
    """
    # A body that is too short to hold one block of a prompt says nothing to routing but by its length.
    short = len(body) < CUTS[0]
    parsed = _parse(body)
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
    prompt, opening = (bytes(body), b"") if short else read_prompt(parsed)
    return RequestHead(
        model,
        parsed.stream is True,
        prompt,
        opening,
        most if type(most) is int and most > 0 else None,
        session.encode("utf-8", "surrogatepass") if isinstance(session, str) else b"",
    )


def _parse(body: bytes | bytearray) -> RequestBody:
    try:
        return decode_request(body)
    except msgspec.ValidationError:
        raise RequestRefusedError(
            bad_request('The body must be a JSON object such as {"model": "NAME", …}.', code="invalid_json")
        ) from None
    except MALFORMED:
        raise RequestRefusedError(NOT_JSON) from None
