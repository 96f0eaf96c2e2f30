"""Who sends a request and as what, from its headers."""

from router.core import Core
from router.credentials import priority_of
from router.errors import Refusal
from router.exchange import Exchange
from router.headers import PRIORITY_HEADER, session_of, split_request_headers
from router.types import Priority


class HeaderMemory:
    """Splits a request's headers, or knows them still: over one connection they are usually the same each time."""

    __slots__ = ("_headers", "_split")

    def __init__(self) -> None:
        self._headers: list[tuple[bytes, bytes]] = []
        self._split: tuple[dict[bytes, bytes], bytes] = ({}, b"")

    def split(self, headers: list[tuple[bytes, bytes]]) -> tuple[dict[bytes, bytes], bytes]:
        """As `split_request_headers`. The caller changes neither what it gives nor what it gets."""
        if headers != self._headers:
            self._headers = headers
            self._split = split_request_headers(headers)
        return self._split


def identify(exchange: Exchange, core: Core, kept: dict[bytes, bytes]) -> None:
    """Gives `exchange` its trace, its credential and what depends on it, or the refusal.

    `kept`: headers that the router reads.
    """
    if core.settle_trace is not None:
        core.settle_trace(exchange, kept)
    outcome = core.authenticate(kept, unsafe=True)
    if isinstance(outcome, Refusal):
        exchange.refusal = outcome
        return
    exchange.credential = outcome
    if outcome.max_priority is not Priority.NORMAL or PRIORITY_HEADER in kept:
        exchange.priority = priority_of(kept.get(PRIORITY_HEADER), outcome)
    session = session_of(kept)
    if session:
        exchange.session = session
