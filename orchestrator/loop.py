"""The reconcile loop: observe, plan, apply, tell. The only writer of the catalog."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Protocol

from orchestrator.application_names import name_of
from orchestrator.canary import with_canaries
from orchestrator.errors import StoreUnavailableError
from orchestrator.events import Changes
from orchestrator.reconcile import plan
from orchestrator.status import catalog_entry, describe
from orchestrator.store import Store
from orchestrator.types import (
    Action,
    CordonKind,
    Deployment,
    DeploymentStatus,
    DesiredState,
    ObservedApplication,
    ObservedNode,
    ObservedState,
    SleepReplica,
    StartApplication,
    StopApplication,
    WakeReplica,
)
from replicas.types import Endpoint, ReplicaState

_log = logging.getLogger("roundhouse.loop")
_RETRY_CONNECT_S = 2.0
_SETTLE_S = 0.1
"""Changes that come within this time of each other are told together, where a tick is not there to tell them."""


class Cluster(Protocol):
    """What the loop needs of Ray. Calls block, and raise whatever Ray raises; the next tick tries again."""

    def connect(self) -> None: ...
    def applications(self) -> Mapping[str, ObservedApplication]: ...
    def nodes(self) -> tuple[ObservedNode, ...]: ...
    def apply(self, action: StartApplication | StopApplication) -> None: ...


class SleepOrders(Protocol):
    """How replicas are told; False if one did not hear it."""

    async def sleep(self, replica: Endpoint) -> bool: ...
    async def wake(self, replica: Endpoint) -> bool: ...


class ReconcileLoop:
    """Runs until cancelled. Others read `observed`, `statuses` and `ray_connected`.

    `wake()` asks for a tick now. Ray may keep a tick for long; what routers are told does not wait for it.
    """

    def __init__(
        self,
        store: Store,
        cluster: Cluster,
        orders: SleepOrders,
        changes: Changes,
        tick_s: float,
        clock: Callable[[], float] = time.time,
        *,
        can_grow: bool = False,
    ) -> None:
        self._store = store
        self._cluster = cluster
        self._orders = orders
        self._changes = changes
        self._tick_s = tick_s
        self._clock = clock
        self._can_grow = can_grow
        self._wake = asyncio.Event()
        self._untold = asyncio.Event()
        self._telling = asyncio.Lock()
        self._ticking = False
        self._applications: Mapping[str, ObservedApplication] = {}
        self._nodes: tuple[ObservedNode, ...] = ()
        self._timed: set[str] = set()
        self._asked_at: dict[str, float] = {}
        """When applications were started, or their replicas woken, that were not ready yet."""
        self.observed = ObservedState()
        self.statuses: Mapping[str, DeploymentStatus] = {}
        self.ray_connected = False
        self.problem = ""

    def wake(self) -> None:
        self._wake.set()
        self._untold.set()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._tick_forever())
            group.create_task(self._tell_forever())
            group.create_task(self._follow_store())

    async def _tick_forever(self) -> None:
        while True:
            self._wake.clear()
            self._ticking = True
            try:
                await self.tick()
            except StoreUnavailableError as error:
                self._report(error.message)
            except Exception as error:  # noqa: BLE001 - top of the loop: the next tick sees the state afresh
                self.ray_connected = False
                self._report(f"The last look at the cluster failed: {error}")
                _log.debug("tick failed", exc_info=error)
                await asyncio.sleep(_RETRY_CONNECT_S)
            self._ticking = False
            try:
                await asyncio.wait_for(self._wake.wait(), self._tick_s)
            except TimeoutError:
                continue

    async def _tell_forever(self) -> None:
        """Tell what changes while a tick waits for Ray."""
        while True:
            await self._untold.wait()
            self._untold.clear()
            if self._ticking:
                # What fails here fails in the next tick too, which says so.
                with suppress(Exception):
                    await self._tell()
                await asyncio.sleep(_SETTLE_S)

    def _report(self, problem: str) -> None:
        if problem != self.problem:
            if problem:
                _log.warning("%s", problem)
            self.problem = problem
            self._changes.notify()

    async def _follow_store(self) -> None:
        """Wake when a replica reports; a lost message costs one tick."""
        while True:
            try:
                async for change in self._store.changes():
                    if change == "endpoints":
                        self.wake()
            except StoreUnavailableError:
                await asyncio.sleep(self._tick_s)

    async def tick(self) -> None:
        # What replicas say is read and told first: Ray may take seconds to answer, clients must not wait for it.
        await self._tell()
        if not self.ray_connected:
            await asyncio.to_thread(self._cluster.connect)
        self._applications, self._nodes = await asyncio.to_thread(self._observe_cluster)
        desired, observed = await self._tell()
        # Only now: whoever reads it may rely on the nodes having been seen.
        self.ray_connected = True
        actions = plan(with_canaries(desired), observed, self._clock())
        replicas = {each.application: each for each in observed.endpoints}
        failed = [problem for action in actions if (problem := await self._apply(action, replicas))]
        self._report(" ".join(failed))

    async def _apply(self, action: Action, replicas: Mapping[str, Endpoint]) -> str:
        """Apply one action. What Ray refuses of it is returned, and must not hold up the others."""
        _log.info("%s", _in_words(action))
        try:
            if isinstance(action, StartApplication | StopApplication):
                await asyncio.to_thread(self._cluster.apply, action)
            else:
                await self._tell_replica(action, replicas[action.name])
        except Exception as error:  # noqa: BLE001 - Ray raises what it likes; the next tick sees what came of it
            return f"{_in_words(action)}: {error}"
        if isinstance(action, StartApplication):
            self._asked_at[name_of(action)] = self._clock()
        return ""

    async def _tell_replica(self, action: SleepReplica | WakeReplica, replica: Endpoint) -> None:
        if isinstance(action, SleepReplica):
            heard = await self._orders.sleep(replica)
        else:
            self._asked_at.setdefault(action.name, self._clock())
            heard = await self._orders.wake(replica)
        if not heard:
            # Serve can end it all the same, and a start does what it would have done.
            stop = StopApplication(name=action.name, reason="it did not hear what it was told")
            _log.warning("%s", _in_words(stop))
            await asyncio.to_thread(self._cluster.apply, stop)

    def _observe_cluster(self) -> tuple[Mapping[str, ObservedApplication], tuple[ObservedNode, ...]]:
        return self._cluster.applications(), self._cluster.nodes()

    async def _observe(self, deployments: Mapping[str, Deployment]) -> ObservedState:
        """Replicas as they are now, and the cluster as Ray told it last."""
        endpoints = await self._store.endpoints()
        await self._measure_starts(endpoints)
        return ObservedState(
            applications=self._applications,
            endpoints=endpoints,
            failures=await self._store.failures(deployments),
            nodes=self._nodes,
            hosts=await self._store.hosts(),
        )

    async def _measure_starts(self, endpoints: tuple[Endpoint, ...]) -> None:
        """Keep what a start or a waking took: it is the next one's time left, and the Retry-After of a cold model."""
        for endpoint in endpoints:
            if endpoint.state is ReplicaState.READY and endpoint.replica_id not in self._timed:
                self._timed.add(endpoint.replica_id)
                asked_at = self._asked_at.pop(endpoint.application, None)
                if not endpoint.epoch:
                    seconds = max(0.1, endpoint.state_since - (asked_at or endpoint.started_at))
                    await self._store.put_start_time(endpoint.deployment, seconds)
                elif asked_at is not None:  # or it became ready by a swap, long after its start
                    await self._store.put_wake_time(endpoint.deployment, max(0.1, endpoint.state_since - asked_at))
        self._timed &= {each.replica_id for each in endpoints if each.state is not ReplicaState.ASLEEP}

    async def _tell(self) -> tuple[DesiredState, ObservedState]:
        """Look at what is wanted and what is there, tell routers and pages, and return what was seen.

        Only one at a time, each with a look of its own: nothing older ever replaces what was told before.
        """
        async with self._telling:
            desired = DesiredState(
                deployments=await self._store.deployments(),
                cordoned_nodes=await self._store.cordons(CordonKind.NODES),
                drained_nodes=await self._store.cordons(CordonKind.DRAINED_NODES),
                can_grow=self._can_grow,
            )
            observed = await self._observe(with_canaries(desired).deployments)
            await self._tell_of(desired, observed)
            return desired, observed

    async def _tell_of(self, desired: DesiredState, observed: ObservedState) -> None:
        times = await self._store.times()
        now = self._clock()
        deployments = desired.deployments
        statuses = {
            name: describe(deployment, desired, observed, times.next_s(deployment, observed), now)
            for name, deployment in deployments.items()
        }
        models = await self._store.models()
        by_hand = await self._store.cordons(CordonKind.REPLICAS)
        cordoned = [each for each in observed.endpoints if each.replica_id in by_hand]
        wanted = {
            name: catalog_entry(deployment, statuses[name], models.get(deployment.model), cordoned)
            for name, deployment in deployments.items()
        }
        current = await self._store.catalog()
        changed = {name: entry for name, entry in wanted.items() if current.get(name) != entry}
        await self._store.put_catalog(changed, [name for name in current if name not in wanted])
        if observed != self.observed or statuses != self.statuses or changed:
            self.observed, self.statuses = observed, statuses
            self._changes.notify()


def _in_words(action: Action) -> str:
    name = action.deployment.name if hasattr(action, "deployment") else action.name
    return f"{type(action).__name__} {name}: {action.reason}"
