"""What every connection of one router shares."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from router.credentials import authenticate, authenticate_nobody
from router.errors import NO_SNAPSHOT, Refusal
from router.finished import Observer
from router.key_use import KeyUse
from router.quarantine import Quarantine
from router.settings import RouterSettings
from router.table import RoutingTable
from router.telemetry import Telemetry
from router.trace_context import SettleTrace
from router.types import CanaryCounts, Credential, ModelLoad
from router.upstream import UpstreamPool


class Watched(Protocol):
    """A client connection, as the sweep sees it."""

    def check_deadline(self, now: float) -> None:
        """Acts if the connection's current deadline has passed. `now`: the loop's time."""


class LoopClock:
    """Time as the running event loop keeps it."""

    now = staticmethod(time.monotonic)

    def later(self, delay_s: float, call: Callable[[], None]) -> None:
        """Calls `call` after `delay_s`."""
        asyncio.get_running_loop().call_later(delay_s, call)


@dataclass(slots=True, eq=False)
class Core:
    """One per router, made in `main`, handed to whoever needs it."""

    settings: RouterSettings
    table: RoutingTable
    pool: UpstreamPool
    telemetry: Telemetry
    quarantine: Quarantine = field(default_factory=Quarantine)
    clock: LoopClock = field(default_factory=LoopClock)
    rng: Random = field(default_factory=Random)
    observers: list[Observer] = field(default_factory=list)
    """Who is told of every request that has ended: the access log, tracing."""
    key_use: KeyUse = field(default_factory=KeyUse)
    settle_trace: SettleTrace | None = None
    """Called for every request before it is sent, if anybody wants to know its trace."""
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

    def loads(self) -> dict[str, ModelLoad]:
        """What waits and runs, by model; without the models that had no traffic since the start."""
        now = self.clock.now()
        models = self.table.models.items()
        return {name: dispatcher.load(now) for name, dispatcher in models if dispatcher.window.arrivals_total}

    def canaries(self) -> dict[str, CanaryCounts]:
        """How the old and the new revision fare, by model that has a canary on."""
        splits = ((name, dispatcher.canary) for name, dispatcher in self.table.models.items())
        return {name: split.counts() for name, split in splits if split is not None and split.canary.id}

    def sweep(self, now: float) -> None:
        """Enforces deadlines of clients and idle connections. `now`: the loop's time.

        One sweep over all instead of a timer for each request: the hot path sets a number.
        """
        self.now = now
        moment = self.clock.now()
        for dispatcher in self.table.models.values():
            dispatcher.expire(moment)
        for connection in list(self.connections):
            connection.check_deadline(now)
        self.pool.close_idle(now)
