"""What can go wrong here, and what a client is told of it. PURE.

    RouterError
    ├── RequestRefusedError      a request that the router answers itself; carries the `Refusal`
    ├── ReplicaUnreachableError  no connection to a replica could be made
    ├── StoreAwayError           the store does not answer
    └── ListenError              a port cannot be listened on

Every message says what happened and what to do next.
"""

import msgspec
from msgspec import Struct

from router.types import CatalogEntry, ModelStatus

_SHOWN_NAME_CHARS = 120


class Refusal(Struct, frozen=True, kw_only=True):
    """An answer of the router's own, in the words of OpenAI's envelope."""

    status: int
    kind: str
    """The envelope's `type`."""
    code: str
    message: str
    param: str | None = None
    retry_after_s: int | None = None
    allow: str | None = None
    """Value of the `allow` header of a 405."""


class RouterError(Exception):
    """Root of this package's exceptions."""


class RequestRefusedError(RouterError):
    """The request cannot be carried; `refusal` is the answer."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class ReplicaUnreachableError(RouterError):
    """No connection could be made. `reason` is one of the words that telemetry counts retries by."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class StoreAwayError(RouterError):
    """The store does not answer; the message says how."""


class ListenError(RouterError):
    """A port cannot be listened on; the message is for a person at the terminal."""


class _ErrorBody(Struct, frozen=True):
    message: str
    type: str
    param: str | None
    code: str


class _Envelope(Struct, frozen=True):
    type: str
    error: _ErrorBody


_encoder = msgspec.json.Encoder()


def envelope(refusal: Refusal) -> bytes:
    """JSON body of a refusal: OpenAI's envelope, with the outer `type` that Anthropic's SDK reads."""
    body = _ErrorBody(refusal.message, refusal.kind, refusal.param, refusal.code)
    return _encoder.encode(_Envelope("error", body))


def replica_lost_event(*, anthropic: bool) -> bytes:
    """Server-sent event that ends a stream whose replica died. Begins on a fresh line."""
    error = _ErrorBody(
        message="The replica that was answering was lost in mid-answer. Send the request again.",
        type="upstream_error",
        param=None,
        code="replica_lost",
    )
    if anthropic:
        return b"event: error\ndata: " + _encoder.encode(_Envelope("error", error)) + b"\n\n"
    return b"data: " + _encoder.encode({"error": error}) + b"\n\n"


def _shown(name: str) -> str:
    return name if len(name) <= _SHOWN_NAME_CHARS else name[:_SHOWN_NAME_CHARS] + "…"


def bad_request(message: str, *, code: str = "invalid_request", param: str | None = None) -> Refusal:
    """400."""
    return Refusal(status=400, kind="invalid_request_error", code=code, message=message, param=param)


def model_not_found(name: str) -> Refusal:
    """404: a name that was never registered."""
    return Refusal(
        status=404,
        kind="not_found_error",
        code="model_not_found",
        param="model",
        message=f"No model is named '{_shown(name)}'. GET /v1/models lists the names that can be used.",
    )


def alias_without_model(name: str) -> Refusal:
    """503: an alias none of whose models is there, as it is for a moment when both are new."""
    return Refusal(
        status=503,
        kind="service_unavailable",
        code="alias_without_model",
        param="model",
        message=f"'{_shown(name)}' is an alias, and none of its models is deployed. Try again in 2 s; "
        "an admin changes it with 'roundhouse alias set'.",
        retry_after_s=2,
    )


def path_not_found(path: str) -> Refusal:
    """404: a path under /v1 that is not served."""
    return Refusal(
        status=404,
        kind="not_found_error",
        code="path_not_found",
        message=f"Nothing is served at {_shown(path)}. Chat is at POST /v1/chat/completions, "
        "the list of models at GET /v1/models.",
    )


def method_not_allowed(method: str, path: str, allow: str) -> Refusal:
    """405."""
    return Refusal(
        status=405,
        kind="invalid_request_error",
        code="method_not_allowed",
        message=f"{_shown(path)} does not take {_shown(method)}; send {allow}.",
        allow=allow,
    )


def current_status(entry: CatalogEntry, *, ready_replicas: int) -> ModelStatus:
    """The status to show: `ready` if and only if a replica is."""
    if ready_replicas:
        return ModelStatus.READY
    return ModelStatus.STARTING if entry.status is ModelStatus.READY else entry.status


def model_not_ready(entry: CatalogEntry) -> Refusal:
    """503 of a model that has no ready replica."""
    status = current_status(entry, ready_replicas=0)
    why = f": {entry.detail.rstrip('.')}" if entry.detail else ""
    wait = max(1, entry.retry_after_s)
    return Refusal(
        status=503,
        kind="service_unavailable",
        code=f"model_{status.value}",
        param="model",
        message=f"Model '{_shown(entry.name)}' is {status.value}{why}. Try again in {wait} s.",
        retry_after_s=wait,
    )


def no_replica_left(name: str) -> Refusal:
    """503: replicas were listed as ready and none of them answered."""
    return Refusal(
        status=503,
        kind="service_unavailable",
        code="no_replica_reachable",
        message=f"No replica of '{_shown(name)}' could be reached. Try again in 2 s.",
        retry_after_s=2,
    )


_WHY_OVERLOADED = {
    "requests": "too many requests wait for it",
    "tokens": "the requests that wait for it hold too many tokens",
    "bytes": "the requests that wait for it are too large together",
    "displaced": "others who have had less of it wait, too",
}
_MOST_RETRY_AFTER_S = 120


def overloaded(name: str, reason: str, drain_s: float) -> Refusal:
    """429 of a model whose queue is full. `reason`: which cap. `drain_s`: time in which the queue will have gone."""
    wait = _retry_after(drain_s)
    return Refusal(
        status=429,
        kind="rate_limit_error",
        code="queue_full",
        message=f"Model '{_shown(name)}' is busy and {_WHY_OVERLOADED[reason]}. Try again in {wait} s.",
        retry_after_s=wait,
    )


def waited_too_long(name: str, waited_s: float, drain_s: float) -> Refusal:
    """429 of a request that found no room in time."""
    wait = _retry_after(drain_s)
    return Refusal(
        status=429,
        kind="rate_limit_error",
        code="queue_timeout",
        message=f"Every replica of '{_shown(name)}' was busy for {waited_s:.0f} s. Try again in {wait} s.",
        retry_after_s=wait,
    )


def _retry_after(drain_s: float) -> int:
    return min(max(1, round(drain_s)), _MOST_RETRY_AFTER_S)


QUARANTINED = Refusal(
    status=422,
    kind="invalid_request_error",
    code="request_quarantined",
    message="Two engines died while they worked on this very request, so it is not sent to a third. "
    "Change the request; an admin finds the engines' last words in the replicas' logs.",
)
NO_SNAPSHOT = Refusal(
    status=503,
    kind="service_unavailable",
    code="router_starting",
    message="The router has not read its routing table yet: the store is still unreachable. Try again in 2 s.",
    retry_after_s=2,
)
STOPPING = Refusal(
    status=503,
    kind="service_unavailable",
    code="router_stopping",
    message="The router is stopping. Try again in 5 s.",
    retry_after_s=5,
)
ORCHESTRATOR_DOWN = Refusal(
    status=503,
    kind="service_unavailable",
    code="orchestrator_unreachable",
    message="The orchestrator does not answer. Models that are up go on serving; "
    "start it with infra/up, then try again.",
    retry_after_s=2,
)
NOT_JSON = bad_request("The body is not valid JSON. Send a JSON object in UTF-8.", code="invalid_json")
NO_KEY = Refusal(
    status=401,
    kind="authentication_error",
    code="missing_api_key",
    message="No API key was sent. Send it as 'Authorization: Bearer KEY' or 'x-api-key: KEY'; "
    "an admin makes one with 'roundhouse key create'.",
)
WRONG_KEY = Refusal(
    status=401,
    kind="authentication_error",
    code="invalid_api_key",
    message="This API key is not known, was revoked or has expired. Ask an admin for a new one "
    "('roundhouse key create').",
)
NO_SESSION = Refusal(
    status=401,
    kind="authentication_error",
    code="invalid_session",
    message="This browser session is not known or has expired. Log in again.",
)
CSRF = Refusal(
    status=403,
    kind="permission_error",
    code="csrf",
    message="A request with a session cookie needs the x-roundhouse-csrf header of that session and must come "
    "from this site. Reload the page; programs should use an API key instead.",
)
FOREIGN_HOST = Refusal(
    status=403,
    kind="permission_error",
    code="foreign_host",
    message="Without auth only this machine is served. Open the page as http://localhost or http://127.0.0.1.",
)
HEADERS_TOO_LARGE = Refusal(
    status=431,
    kind="invalid_request_error",
    code="headers_too_large",
    message="The request's headers are too many or too large. Send fewer or shorter headers.",
)
REQUEST_TIMEOUT = Refusal(
    status=408,
    kind="invalid_request_error",
    code="request_timeout",
    message="The request did not arrive in time. Send it again in one go.",
)
MALFORMED_HTTP = bad_request(
    "This is not a valid HTTP/1.1 request. Check the client or the proxy that sent it.", code="malformed_http"
)


def body_too_large(limit_bytes: int) -> Refusal:
    """413."""
    return Refusal(
        status=413,
        kind="request_too_large",
        code="request_too_large",
        message=f"The request body is larger than {limit_bytes} bytes. Send a smaller one.",
    )
