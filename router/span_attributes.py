"""What a span says of a request, in OpenTelemetry's names where it has any. PURE.

https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/ and …/http/http-spans/
"""

from router.finished import CLIENT_GONE, REPLICA_LOST, Finished

_OPERATIONS = {
    "/v1/chat/completions": "chat",
    "/v1/responses": "chat",
    "/v1/messages": "chat",
    "/v1/completions": "text_completion",
    "/v1/embeddings": "embeddings",
}
_ERRORS = {CLIENT_GONE: "client_gone", REPLICA_LOST: "replica_lost"}
"""Codes of ours, under which no HTTP status was sent."""

Attributes = dict[str, str | int | float | bool]


def span_name(finished: Finished) -> str:
    """Of few different values, as names of spans should be."""
    operation = _OPERATIONS.get(finished.path)
    return f"{operation} {finished.model}" if operation and finished.model else f"POST {finished.path}"


def error_of(code: int) -> str | None:
    """`error.type` of a request that ended with `code`; None if it went well."""
    return _ERRORS.get(code, str(code)) if code >= 400 else None


def attributes_of(finished: Finished) -> Attributes:
    """All attributes. Times are in seconds."""
    found: Attributes = {
        "http.request.method": "POST",
        "http.route": finished.path,
        "roundhouse.request_id": finished.request_id,
        "roundhouse.key_id": finished.key_id,
        "roundhouse.queue_s": finished.queue_s,
        "roundhouse.attempts": finished.attempts,
    }
    error = error_of(finished.code)
    if error is not None:
        found["error.type"] = error
    if finished.code not in _ERRORS:
        found["http.response.status_code"] = finished.code
    if finished.replica:
        found["roundhouse.replica"] = finished.replica
    if finished.model:
        found |= _of_model(finished)
    return found


def _of_model(finished: Finished) -> Attributes:
    found: Attributes = {
        "gen_ai.request.model": finished.model,
        "gen_ai.request.stream": finished.streamed,
        "gen_ai.usage.input_tokens": finished.prompt_tokens,
        "gen_ai.usage.output_tokens": finished.output_tokens,
        "roundhouse.tenant": finished.tenant,
        "roundhouse.priority": finished.priority.name.lower(),
    }
    if finished.cached_tokens:
        found["gen_ai.usage.cache_read.input_tokens"] = finished.cached_tokens
    if finished.first_token_s is not None:
        found["gen_ai.response.time_to_first_chunk"] = finished.first_token_s
    operation = _OPERATIONS.get(finished.path)
    if operation is not None:
        found["gen_ai.operation.name"] = operation
        # Required by the convention; what answers behind us is not known by any name of its list.
        found["gen_ai.provider.name"] = "roundhouse"
    return found
