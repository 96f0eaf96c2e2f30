"""Who sends a request and as what, from its headers."""

from collections.abc import Mapping

from router.core import Core
from router.credentials import priority_of
from router.errors import Refusal
from router.exchange import Exchange
from router.headers import PRIORITY_HEADER, session_of, split_request_headers
from router.progress import PROGRESS_HEADER, wants_progress
from router.types import Credential, Priority


class ClientMemory:
    """What the headers of a connection's newest request said. Usually its next request has the same ones."""

    __slots__ = (
        "_core",
        "_credential",
        "_credentials",
        "_headers",
        "_priority",
        "_session",
        "_split",
        "_tenant",
        "_wants_progress",
    )

    def __init__(self, core: Core) -> None:
        self._core = core
        self._headers: list[tuple[bytes, bytes]] = []
        self._split: tuple[dict[bytes, bytes], bytes] = ({}, b"")
        self._credentials: Mapping[str, Credential] | None = None
        """Those by which `_credential` was let in."""
        self._credential: Credential | None = None
        self._tenant = ""
        self._priority = Priority.NORMAL
        self._session = b""
        self._wants_progress = False

    def split(self, headers: list[tuple[bytes, bytes]]) -> tuple[dict[bytes, bytes], bytes]:
        """As `split_request_headers`. The caller changes neither what it gives nor what it gets."""
        if headers != self._headers:
            self._headers = headers
            self._split = split_request_headers(headers)
            self._credential = None
        return self._split

    def identify(self, exchange: Exchange) -> None:
        """Gives `exchange` its trace, its credential and what depends on it, or the refusal, by what was split last."""
        core, kept = self._core, self._split[0]
        if core.settle_trace is not None:
            core.settle_trace(exchange, kept)
        if self._credential is None or self._credentials is not core.table.credentials:
            outcome = core.authenticate(kept, unsafe=True)
            if isinstance(outcome, Refusal):
                exchange.refusal = outcome
                return
            self._remember(outcome, kept)
        exchange.credential = self._credential
        exchange.tenant = self._tenant
        exchange.priority = self._priority
        exchange.session = self._session
        exchange.wants_progress = self._wants_progress

    def _remember(self, credential: Credential, kept: dict[bytes, bytes]) -> None:
        self._credential = credential
        # One that expires is looked at each time.
        self._credentials = self._core.table.credentials if credential.expires_at is None else None
        self._tenant = credential.fair_share_of
        self._priority = priority_of(kept.get(PRIORITY_HEADER), credential)
        self._session = session_of(kept)
        self._wants_progress = wants_progress(kept.get(PROGRESS_HEADER))
