"""What every connection of one router shares."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from router.credentials import authenticate, authenticate_nobody
from router.errors import NO_SNAPSHOT, Refusal
from router.settings import RouterSettings
from router.table import RoutingTable
from router.telemetry import Telemetry
from router.types import Credential
from router.upstream import UpstreamPool


class Watched(Protocol):
    """A client connection, as the sweep sees it."""

    def check_deadline(self, now: float) -> None:
        """Acts if the connection's current deadline has passed. `now`: the loop's time."""


@dataclass(slots=True, eq=False)
class Core:
    """One per router, made in `main`, handed to whoever needs it."""

    settings: RouterSettings
    table: RoutingTable
    pool: UpstreamPool
    telemetry: Telemetry
    rng: Random = field(default_factory=Random)
    connections: set[Watched] = field(default_factory=set)
    no_auth: bool = False
    requests_named: int = 0
    request_id_prefix: bytes = b""
    now: float = 0.0
    """The loop's time at the last sweep. Exact enough for deadlines, and free."""
    _accepted: dict[bytes, Credential] = field(default_factory=dict)
    _accepted_from: Mapping[str, Credential] | None = None

    def __post_init__(self) -> None:
        self.no_auth = self.settings.no_auth
        self.request_id_prefix = b"req-%016x" % self.rng.getrandbits(64)

    def next_request_id(self) -> bytes:
        """An id for a request whose client gave none."""
        self.requests_named += 1
        return b"%b%08x" % (self.request_id_prefix, self.requests_named)

    def authenticate(self, headers: Mapping[bytes, bytes], *, unsafe: bool) -> Credential | Refusal:
        """Who sent these headers (names in lower case). `unsafe`: the method may change something."""
        if self.table.credentials is None:
            return NO_SNAPSHOT
        if self.no_auth:
            return authenticate_nobody(headers)
        return self._authenticate(headers, self.table.credentials, unsafe=unsafe)

    def _authenticate(
        self, headers: Mapping[bytes, bytes], credentials: Mapping[str, Credential], *, unsafe: bool
    ) -> Credential | Refusal:
        """Remembers the keys that were let in until the table is read again, at most a second."""
        if credentials is not self._accepted_from:
            self._accepted_from, self._accepted = credentials, {}
        bearer = headers.get(b"authorization", b"")
        known = self._accepted.get(bearer)
        if known is not None:
            return known
        outcome = authenticate(headers, credentials, time.time(), unsafe=unsafe)
        # Only what this very header proved: another scheme leaves the proof to x-api-key.
        is_bearer = bearer[:7].lower() == b"bearer "
        if is_bearer and isinstance(outcome, Credential) and outcome.expires_at is None:
            self._accepted[bearer] = outcome
        return outcome

    def sweep(self, now: float) -> None:
        """Enforces deadlines of clients and idle connections. `now`: the loop's time.

        One sweep over all instead of a timer for each request: the hot path sets a number.
        """
        self.now = now
        for connection in list(self.connections):
            connection.check_deadline(now)
        self.pool.close_idle(now)
