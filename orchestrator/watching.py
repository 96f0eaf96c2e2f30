"""Looks every few seconds for what is wrong. What it finds is told like any other change."""

import asyncio
import logging
import time
from collections.abc import Callable

from orchestrator.accounts import Accounts
from orchestrator.errors import StoreUnavailableError
from orchestrator.events import Changes
from orchestrator.history import FINE, merge
from orchestrator.load import total_load
from orchestrator.loop import ReconcileLoop
from orchestrator.problems import Problem, Situation, problems_in
from orchestrator.recording import Recording
from orchestrator.store import Store
from orchestrator.types import CordonKind

_log = logging.getLogger("roundhouse.watching")
_LOOK_S = 2.0
_RECENT_S = 120.0
_CORDON_OUTLIVES_S = 600.0
"""A replica whose lease has ended may only have lost the store for a while."""


class Watch:
    """Runs until cancelled. Others read `problems`. Forgets cordons of replicas that have gone."""

    def __init__(
        self,
        store: Store,
        loop: ReconcileLoop,
        accounts: Accounts,
        recording: Recording,
        changes: Changes,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._loop = loop
        self._accounts = accounts
        self._recording = recording
        self._changes = changes
        self._clock = clock
        self._started_at = clock()
        self._missing_since: dict[str, float] = {}
        self.problems: tuple[Problem, ...] = ()

    async def run(self) -> None:
        while True:
            try:
                await self.look()
            except StoreUnavailableError as error:
                _log.debug("%s", error.message)
            except Exception:  # noqa: BLE001 - top of the loop: the next look begins afresh
                _log.exception("A look for what is wrong failed")
            await asyncio.sleep(_LOOK_S)

    async def look(self) -> None:
        """Look once, and tell if something has changed."""
        situation = await self._situation()
        await self._forget_cordons(situation)
        found = problems_in(situation)
        if found != self.problems:
            self.problems = found
            self._changes.notify()

    async def _situation(self) -> Situation:
        store, loop, now = self._store, self._loop, self._clock()
        reports = await store.routers()
        recent = [point for point in self._recording.points(FINE)[-_POINTS:] if point.at >= now - _RECENT_S]
        return Situation(
            now=now,
            started_at=self._started_at,
            cluster_problem=loop.problem,
            ray_connected=loop.ray_connected,
            routers=len(reports),
            deployments=await store.deployments(),
            statuses=loop.statuses,
            observed=loop.observed,
            start_times=await store.start_times(),
            loads=total_load(reports),
            recent=merge(recent) if recent else None,
            swaps=await store.swaps(),
            models=await store.models(),
            keys=await self._accounts.keys(),
            cordons=await store.cordons(CordonKind.REPLICAS),
            leaving=await store.cordons(CordonKind.NODES) | await store.cordons(CordonKind.DRAINED_NODES),
        )

    async def _forget_cordons(self, situation: Situation) -> None:
        there = {endpoint.replica_id for endpoint in situation.observed.endpoints}
        missing = situation.cordons - there
        self._missing_since = {each: self._missing_since.get(each, situation.now) for each in missing}
        gone = [each for each, since in self._missing_since.items() if situation.now - since > _CORDON_OUTLIVES_S]
        await self._store.uncordon(CordonKind.REPLICAS, gone)


_POINTS = int(_RECENT_S // FINE.step_s) + 6
"""Of the fine ring; the last ones are single looks."""
