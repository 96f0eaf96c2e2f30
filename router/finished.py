"""What is written down of a request that has ended. PURE."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from router.answer import Learnt
from router.trace_context import Trace
from router.types import Priority

if TYPE_CHECKING:
    from router.job import Job  # which has failed attempts of here

CLIENT_GONE = 499
"""Code of a request whose client left before the answer's end."""
REPLICA_LOST = 599
"""Code of an answer that broke off after its first byte."""


class FailedAttempt(Struct, frozen=True, gc=False):
    """A replica that did not answer a request, or broke off."""

    replica: str
    reason: str
    after_s: float
    """From the end of the request's headers."""


class Finished(Struct, frozen=True, kw_only=True, gc=False):
    """One request that has ended. Times are in seconds, from the end of its headers unless said otherwise."""

    ended_at: float
    """Unix seconds."""
    request_id: str
    model: str = ""
    """Empty, as is whatever comes of it, where the request was refused before its model was known."""
    path: str
    code: int
    """HTTP status, or one of the two codes above."""
    streamed: bool = False
    key_id: str
    tenant: str = ""
    priority: Priority = Priority.NORMAL
    replica: str
    """The one that answered last; empty if none was asked."""
    attempts: int = 0
    """Times that it was sent again."""
    failures: tuple[FailedAttempt, ...] = ()
    """The newest attempts that failed, the oldest of them first."""
    duration_s: float
    queue_s: float = 0.0
    first_token_s: float | None
    prompt_tokens: int = 0
    cached_tokens: int = 0
    """Both are estimates where the engine does not tell."""
    output_tokens: int = 0
    trace_id: str = ""
    """Of W3C trace context: the client's, or ours where the trace begins here."""
    parent_span_id: str = ""
    """The client's span."""
    span_id: str = ""
    """Our span; empty where none is recorded."""


class Times(Struct, frozen=True, gc=False):
    """Of one request; monotonic seconds but for the last."""

    began: float
    """Its headers were there."""
    first_token_at: float
    """0 if none came."""
    ended_at: float
    ended_at_unix: float


def finished_of(
    job: "Job | None",
    learnt: Learnt,
    *,
    request_id: bytes,
    path: bytes,
    code: int,
    key_id: str,
    replica: str,
    times: Times,
    trace: Trace,
) -> Finished:
    """The record of a request; `job` is None if it was refused before it had one."""
    began, first_token_at = times.began, times.first_token_at
    return Finished(
        ended_at=times.ended_at_unix,
        request_id=request_id.decode("latin-1"),
        path=path.decode(),
        code=code,
        key_id=key_id,
        replica=replica,
        duration_s=times.ended_at - began,
        first_token_s=first_token_at - began if first_token_at else None,
        trace_id=trace.trace_id,
        parent_span_id=trace.parent_span_id,
        span_id=trace.span_id,
        **({} if job is None else _of_job(job, learnt)),
    )


def _of_job(job: "Job", learnt: Learnt) -> dict[str, Any]:
    return {
        "model": job.model,
        "streamed": job.streamed,
        "tenant": job.tenant,
        "priority": job.priority,
        "attempts": job.attempts,
        "failures": job.failures,
        "queue_s": job.queue_s,
        "prompt_tokens": learnt.prompt_tokens or job.prompt_tokens,
        "cached_tokens": job.cached_tokens if learnt.cached_tokens is None else learnt.cached_tokens,
        "output_tokens": learnt.output_tokens,
    }


Observer = Callable[[Finished], None]
