"""What the router reads of a request: its path, and two fields of its body. PURE."""

from typing import Any

import msgspec
from msgspec import Struct

from router.errors import RequestRefusedError, bad_request


class Route(Struct, frozen=True):
    """A path that is carried to a replica."""

    path: bytes
    anthropic: bool = False
    """Streams of this path report errors in Anthropic's form."""


_PATHS = (
    b"/v1/chat/completions",
    b"/v1/completions",
    b"/v1/embeddings",
    b"/v1/responses",
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
_ANTHROPIC_PATHS = (b"/v1/messages", b"/v1/messages/count_tokens")

ROUTES: dict[bytes, Route] = {
    **{path: Route(path) for path in _PATHS},
    **{path: Route(path, anthropic=True) for path in _ANTHROPIC_PATHS},
}
"""Every path that reaches a replica, all of them POST with JSON. Whatever is not here does not: engines serve
more than clients may use (loading adapters, sleeping, profiling)."""


class RequestHead(Struct, frozen=True):
    """What routing needs of a body."""

    model: str
    stream: bool


class RequestFeatures(Struct, frozen=True):
    """What `choose` knows of a request."""

    model: str
    tried: tuple[str, ...] = ()
    """Replica ids that failed this request already."""
    now: float = 0.0
    """Monotonic seconds, of the clock that `ReplicaView.aside_until` is on."""


class _Body(Struct):
    # Any: a wrong type must give our sentence, and `null` is what some clients send for "not set".
    model: Any = None
    stream: Any = None


_decoder = msgspec.json.Decoder(_Body)


def parse_request_head(body: bytes | bytearray) -> RequestHead:
    """Reads `model` and `stream` of a JSON body; everything else in it is left to the engine.

    Raises `RequestRefusedError` (400) for malformed JSON, JSON that is not an object, and a `model` that is missing
    or not a non-empty string.
    """
    try:
        parsed = _decoder.decode(body)
    except msgspec.ValidationError:
        raise RequestRefusedError(
            bad_request('The body must be a JSON object such as {"model": "NAME", …}.', code="invalid_json")
        ) from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise RequestRefusedError(
            bad_request("The body is not valid JSON. Send a JSON object in UTF-8.", code="invalid_json")
        ) from None
    if not isinstance(parsed.model, str) or not parsed.model:
        raise RequestRefusedError(
            bad_request(
                "'model' must be the name of a model as a string. GET /v1/models lists the names that can be used.",
                code="invalid_model",
                param="model",
            )
        )
    return RequestHead(parsed.model, parsed.stream is True)
