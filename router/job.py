"""One request on its way through the router, and whom it deals with there."""

from collections.abc import Callable
from typing import Protocol

from msgspec import Struct

from router.admission import Ticket
from router.errors import Refusal
from router.estimates import ModelEstimates
from router.features import RequestHead, chain_for
from router.prefix_chain import EMPTY, PrefixChain, turn
from router.replica_view import ReplicaView, Reservation
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


class FailedAttempt(Struct, frozen=True, gc=False):
    """A replica that did not answer a request, or broke off."""

    replica: str
    reason: str
    after_s: float
    """From the end of the request's headers."""


class Job(Ticket, eq=False, kw_only=True):
    """One request on its way through the router."""

    carrier: Carrier
    model: str
    chain: PrefixChain = EMPTY
    session: bytes = b""
    streamed: bool = False
    converses: bool = False
    """Its answer comes back as a turn of the next prompt, not as more of the same text."""
    digest: int = 0
    """Hash of the request, to know it by when it comes again."""
    began: float = 0.0
    queue_s: float = 0.0
    """Seconds spent in the queue."""
    cached_bytes: int = 0
    """Of the prompt, expected at the replica that it was last sent to."""
    cached_tokens: int = 0
    """The same in tokens."""
    reservation: Reservation | None = None
    tried: tuple[str, ...] = ()
    failures: tuple[FailedAttempt, ...] = ()
    """The newest of them."""
    attempts: int = 0
    rounds: int = 0
    """Times that every replica had been tried."""
    failing_since: float = 0.0
    """Monotonic seconds of the first failed attempt; 0 before."""
    waits: bool = False
    not_before: float = 0.0
    """Monotonic seconds before which it is not sent again."""
    retry_paid: bool = True
    """The budget has a place for sending it again."""
    suspect: bool = False
    """It, or the same request sent before, was in a replica that died."""
    alone_until: float = 0.0
    """Monotonic seconds until which a suspect waits for a replica without another one; 0 before it had to."""

    def failed_at(self, replica_id: str, reason: str, now: float) -> None:
        """A replica failed it at `now`, in monotonic seconds."""
        self.tried = (*self.tried, replica_id)
        kept = self.failures[1 - _FAILURES_KEPT :]
        self.failures = (*kept, FailedAttempt(replica_id, reason, now - self.began))

    def answered_as(self, text: str) -> bytes:
        """What the next prompt of the conversation has after this one."""
        return (turn("assistant", text) if self.converses else text).encode("utf-8", "surrogatepass")


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
        carrier=carrier,
        model=entry.name,
        tenant=tenant,
        weight=tenant_weight,
        priority=priority,
        prompt_tokens=estimates.prompt_tokens(len(prompt) or size_bytes),
        output_tokens=estimates.expected_output_tokens(head.max_tokens) if prompt else 0,
        size_bytes=size_bytes,
        since=now,
        began=now,
        chain=chain_for(entry.routing.policy, prompt) if prompt else EMPTY,
        session=head.session,
        streamed=head.stream,
        converses=head.converses,
    )
