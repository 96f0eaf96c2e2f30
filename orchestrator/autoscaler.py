"""Looks at the load, decides how many replicas there should be, and writes the number down with the reason.

What to do is decided by the pure functions of `orchestrator.scaling`; the reconcile loop starts and stops.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping

from msgspec import structs

from orchestrator.canary import with_canaries
from orchestrator.deployments import Deployments
from orchestrator.errors import RoundhouseError
from orchestrator.events import Changes
from orchestrator.load import total_load
from orchestrator.load_samples import load_samples, replica_samples
from orchestrator.reconcile import is_hopeless
from orchestrator.scaling.decide import COLD_START_S, decide
from orchestrator.scaling.types import ScalingDecision
from orchestrator.sharing import Ask, Share, divide
from orchestrator.store import Store
from orchestrator.swap import journal_of
from orchestrator.types import Deployment, DesiredState, ObservedState, ScalingLog, ScalingRecord
from router.types import ModelLoad, RouterReport

_log = logging.getLogger("roundhouse.autoscaler")
_EVERY_S = 0.5
_KEPT = 200
_WRITE_EVERY_S = 15.0
"""What is remembered is written so often; an earlier process' memory is that old at most."""


class Autoscaler:
    """The only writer of numbers of replicas that follow the load. Methods raise StoreUnavailableError."""

    def __init__(
        self,
        store: Store,
        deployments: Deployments,
        observed: Callable[[], ObservedState],
        changed: Callable[[], None],
        changes: Changes,
        *,
        can_grow: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`changed` is called when a number was written."""
        self._store = store
        self._deployments = deployments
        self._observed = observed
        self._changed = changed
        self._changes = changes
        self._can_grow = can_grow
        self._clock = clock
        self._logs: dict[str, ScalingLog] = {}
        self._written_at: dict[str, float] = {}
        self._asked_at: dict[str, float] = {}
        """When the start of a replica that has no endpoint yet was first seen to be asked for, by application."""

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self.step()
            except RoundhouseError as error:
                _log.warning("%s", error.message)
            except Exception:  # noqa: BLE001 - top of the loop: the next look sees it afresh
                _log.exception("The autoscaler's look at the load failed")
            await asyncio.sleep(_EVERY_S)

    async def step(self) -> None:
        """Look once, and write what follows."""
        await self._end_overrides()
        deployments = await self._store.deployments()
        following = {name: each for name, each in deployments.items() if each.scaling is not None}
        for gone in self._logs.keys() - following.keys():
            del self._logs[gone]
        if not following:
            return
        if following.keys() - self._logs.keys():
            self._logs = {name: ScalingLog() for name in following} | await self._known(following) | self._logs
        swapping = await self._swapping(following)
        reports = await self._store.routers()
        times = await self._store.times()
        observed = structs.replace(self._observed(), endpoints=await self._store.endpoints())
        decisions = {
            name: self._decide(deployment, reports, observed, times.next_s(deployment, observed))
            for name, deployment in following.items()
        }
        closed = await self._store.closed_nodes()
        desired = with_canaries(DesiredState(deployments=deployments, cordoned_nodes=closed, can_grow=self._can_grow))
        loads = total_load(reports)
        asks = [
            _ask(each, decisions.get(name), times.again_s(each), loads.get(name))
            for name, each in desired.deployments.items()
        ]
        shares = divide(asks, desired, observed, self._clock())
        for name, deployment in following.items():
            # A swap counts the replicas; only one that nobody could answer is given some meanwhile. What cannot start
            # keeps its number, and with it the reason that everybody is told: it holds no room.
            if (name not in swapping or not deployment.replicas) and not is_hopeless(deployment, observed):
                await self._follow(deployment, decisions[name], shares[name])

    async def _end_overrides(self) -> None:
        now = self._clock()
        for name, each in (await self._store.deployments()).items():
            if each.override is not None and each.override.until is not None and each.override.until <= now:
                await self._deployments.follow_load(name)

    async def _known(self, following: Mapping[str, Deployment]) -> dict[str, ScalingLog]:
        logs = await self._store.scaling_logs()
        return {name: log for name, log in logs.items() if name in following}

    async def _swapping(self, following: Mapping[str, Deployment]) -> frozenset[str]:
        journals = await self._store.swaps()
        return frozenset(
            name
            for name, deployment in following.items()
            if any(swap.active for swap in journal_of(deployment, journals.get(name, ())))
        )

    def _decide(
        self,
        deployment: Deployment,
        reports: Iterable[RouterReport],
        observed: ObservedState,
        cold_start_s: float | None,
    ) -> ScalingDecision:
        assert deployment.scaling is not None  # noqa: S101 - those that follow the load alone
        now = self._clock()
        log = self._logs[deployment.name]
        decision, memory = decide(
            deployment.scaling,
            load_samples(deployment.name, reports),
            replica_samples(deployment, observed, self._asked_at, now),
            cold_start_s=cold_start_s,
            target_wait_s=deployment.scaling.target_wait_s or deployment.routing.target_ttft_s,
            # What is wanted may have been changed by hand, by a deploy, or not at all for a swap.
            memory=structs.replace(log.memory, target=deployment.replicas),
            now=now,
            override=deployment.override,
        )
        self._logs[deployment.name] = structs.replace(log, memory=memory)
        return decision

    async def _follow(self, deployment: Deployment, decision: ScalingDecision, share: Share) -> None:
        name, now = deployment.name, self._clock()
        shortage = share.shortage if share.replicas < decision.target else None
        log = self._logs[name]
        # What was set by hand since belongs into the record, too.
        before = log.records[-1].granted if deployment.override and log.records else deployment.replicas
        if share.replicas != before:
            record = ScalingRecord(at=now, before=before, decision=decision, granted=share.replicas, shortage=shortage)
            self._logs[name] = structs.replace(log, records=(*log.records[1 - _KEPT :], record))
            _log.info("%s: %d → %d replicas. %s", name, before, share.replicas, decision.reason)
        if share.replicas != before or now - self._written_at.get(name, 0.0) > _WRITE_EVERY_S:
            self._written_at[name] = now
            await self._store.put_scaling_log(name, self._logs[name])
        leaving = share.leaving if share.replicas < deployment.replicas else ()
        if await self._deployments.resize(
            name, share.replicas, deployment.override, leaving=leaving, shortage=shortage
        ):
            self._changed()
            self._changes.notify()


def _ask(
    deployment: Deployment, decision: ScalingDecision | None, cold_start_s: float | None, load: ModelLoad | None
) -> Ask:
    """`decision`: None where the number is as an admin, or a canary, has it."""
    if decision is None:
        deployment = structs.replace(deployment, scaling=None, override=None)
    return Ask(
        deployment=deployment,
        wanted=deployment.replicas if decision is None else decision.target,
        needed=deployment.replicas if decision is None else decision.needed,
        cold_start_s=COLD_START_S if cold_start_s is None else cold_start_s,
        oldest_wait_s=load.oldest_wait_s if load else 0.0,
    )
