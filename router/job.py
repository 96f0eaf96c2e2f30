"""One request on its way through the router, and whom it deals with there."""

from collections.abc import Callable
from typing import Protocol

from router.admission import Ticket
from router.errors import Refusal
from router.estimates import ModelEstimates
from router.features import chain_for
from router.finished import FailedAttempt
from router.prefix_chain import EMPTY, PrefixChain
from router.prompt_text import answered
from router.replica_view import ReplicaView, Reservation
from router.request_head import RequestHead
from router.types import CatalogEntry, Priority

_FAILURES_KEPT = 8


class Clock(Protocol):
    """Time, as the router's event loop or a simulation has it."""

    def now(self) -> float:
        """Monotonic seconds."""

    def later(self, delay_s: float, call: Callable[[], None]) -> None:
        """Calls `call` after `delay_s`."""


class Carrier(Protocol):
    """Who carries a request's bytes."""

    def send_to(self, replica: ReplicaView) -> None:
        """A place in `replica` is reserved: send the request there."""

    def turn_away(self, refusal: Refusal) -> None:
        """The request will not be sent (again)."""


class Job(Ticket):
    """One request on its way through the router."""

    queue_s = 0.0
    """Seconds spent in the queue."""
    cached_tokens = 0
    """Of the prompt, expected at the replica that it was last sent to."""
    reservation: Reservation | None = None
    failures: tuple[FailedAttempt, ...] = ()
    """The newest of them."""
    attempts = 0
    rounds = 0
    """Times that every replica had been tried."""
    failing_since = 0.0
    """Monotonic seconds of the first failed attempt; 0 before."""
    waits = False
    not_before = 0.0
    """Monotonic seconds before which it is not sent again."""
    retry_paid = True
    """The budget has a place for sending it again."""
    on_canary: bool | None = None
    """Whether a canary's replicas get it; None: no canary was on when it was sent."""
    suspect = False
    """It, or the same request sent before, was in a replica that died."""
    alone_until = 0.0
    """Monotonic seconds until which a suspect waits for a replica without another one; 0 before it had to."""

    def __init__(
        self,
        carrier: Carrier,
        *,
        model: str,
        tenant: str,
        prompt_tokens: int,
        output_tokens: int,
        size_bytes: int,
        began: float,
        weight: float = 1.0,
        priority: Priority = Priority.NORMAL,
        chain: PrefixChain = EMPTY,
        session: bytes = b"",
        streamed: bool = False,
        opening: bytes = b"",
        digest: int = 0,
    ) -> None:
        """`began`: monotonic seconds at which it came. `opening`: how its messages begin, as
        `prompt_text.answered` needs it. `digest`: hash of the request, to know it by when it comes again."""
        super().__init__(
            tenant=tenant,
            prompt_tokens=prompt_tokens,
            output_tokens=output_tokens,
            size_bytes=size_bytes,
            since=began,
            weight=weight,
            priority=priority,
            chain=chain,
            session=session,
        )
        self.carrier = carrier
        self.model = model
        self.streamed = streamed
        self.opening = opening
        self.digest = digest
        self.began = began

    def failed_at(self, replica_id: str, reason: str, now: float) -> None:
        """A replica failed it at `now`, in monotonic seconds."""
        self.tried = (*self.tried, replica_id)
        kept = self.failures[1 - _FAILURES_KEPT :]
        self.failures = (*kept, FailedAttempt(replica_id, reason, now - self.began))

    def answered_as(self, text: str) -> bytes:
        """What the next prompt of the conversation has after this one."""
        return answered(self.opening, text)


def job_for(
    carrier: Carrier,
    head: RequestHead,
    *,
    entry: CatalogEntry,
    estimates: ModelEstimates,
    tenant: str,
    tenant_weight: float,
    priority: Priority,
    now: float,
    size_bytes: int,
) -> Job:
    """The job for a request that came at `now`, in monotonic seconds, with a body of `size_bytes`."""
    prompt = head.prompt
    return Job(
        carrier,
        model=entry.name,
        tenant=tenant,
        prompt_tokens=estimates.prompt_tokens(len(prompt) or size_bytes),
        output_tokens=estimates.expected_output_tokens(head.max_tokens) if prompt else 0,
        size_bytes=size_bytes,
        began=now,
        weight=tenant_weight,
        priority=priority,
        chain=chain_for(entry.routing.policy, prompt) if prompt else EMPTY,
        session=head.session,
        streamed=head.stream,
        opening=head.opening,
    )
