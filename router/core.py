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
    now: float = 0.0
    """The loop's time at the last sweep. Exact enough for deadlines, and free."""

    def authenticate(self, headers: Mapping[bytes, bytes], *, unsafe: bool) -> Credential | Refusal:
        """Who sent these headers (names in lower case). `unsafe`: the method may change something."""
        if self.table.credentials is None:
            return NO_SNAPSHOT
        if self.settings.no_auth:
            return authenticate_nobody(headers)
        return authenticate(headers, self.table.credentials, time.time(), unsafe=unsafe)

    def sweep(self, now: float) -> None:
        """Enforces deadlines of clients and idle connections. `now`: the loop's time.

        One sweep over all instead of a timer for each request: the hot path sets a number.
        """
        self.now = now
        for connection in list(self.connections):
            connection.check_deadline(now)
        self.pool.close_idle(now)
