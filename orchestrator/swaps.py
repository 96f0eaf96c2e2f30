"""Carries swaps out: reads the journal, looks at the replicas, writes the next entry, then does what it says."""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import msgspec
from msgspec import structs

from orchestrator.deployments import Deployments
from orchestrator.errors import ConflictError, InvalidRequestError, NotFoundError, RoundhouseError
from orchestrator.events import Changes
from orchestrator.library.records import ModelRecords
from orchestrator.reconcile import GAVE_UP, application_name, spec_digest
from orchestrator.store import Store
from orchestrator.swap import Seen, advance, give_up, strays, turn_back
from orchestrator.swap_strategy import Revised, choose_strategy, has_spare
from orchestrator.types import (
    Activate,
    Deployment,
    EndReplica,
    ModelState,
    ObservedState,
    PrepareReplica,
    Swap,
    SwapAction,
    SwapReplica,
    SwapStep,
    SwapStrategy,
    Weights,
)
from replicas.types import Endpoint, ReplicaState, SwapOrder
from replicas.weights.contents import Reached, nothing
from replicas.weights.errors import WeightsError
from replicas.weights.manifest import Manifest

_log = logging.getLogger("roundhouse.swap")
_KEPT = 20
_LOOK_AGAIN_S = 1.0
_IDLE_S = 15.0


class ReplicaOrders(Protocol):
    """How replicas are told. What fails is told again."""

    async def prepare(self, replica: Endpoint, order: SwapOrder) -> None: ...
    async def swap(self, replica: Endpoint, order: SwapOrder) -> None: ...
    async def end(self, replica: Endpoint) -> None: ...


class Swaps:
    """The only writer of the journal. Methods raise StoreUnavailableError."""

    def __init__(
        self,
        store: Store,
        deployments: Deployments,
        records: ModelRecords,
        manifest_of: Callable[[str], Manifest],
        orders: ReplicaOrders,
        observed: Callable[[], ObservedState],
        changes: Changes,
        *,
        clock: Callable[[], float] = time.time,
        reached: Reached = nothing,
    ) -> None:
        self._store = store
        self._deployments = deployments
        self._records = records
        self._manifest_of = manifest_of
        self._orders = orders
        self._observed = observed
        self._changes = changes
        self._clock = clock
        self._reached = reached
        self._writing = asyncio.Lock()

    async def run(self) -> None:
        """Until cancelled. What an earlier process left goes on from its last entry."""
        while True:
            try:
                active = await self.advance()
            except RoundhouseError as error:
                _log.warning("%s", error.message)
                active = True
            except Exception:  # noqa: BLE001 - top of the loop: the others go on, and the next look sees it afresh
                _log.exception("A step of a swap failed")
                active = True
            await self._something_new(_LOOK_AGAIN_S if active else _IDLE_S)

    async def _something_new(self, longest_s: float) -> None:
        try:
            async with asyncio.timeout(longest_s):
                told = 0
                async for _ in self._changes():
                    told += 1
                    if told > 1:  # the first comes at once
                        return
        except TimeoutError:
            return

    async def of(self, name: str) -> tuple[Swap, ...]:
        """A deployment's last swaps, oldest first. Raises NotFoundError."""
        return _of_this(await self._deployments.get(name), (await self._store.swaps()).get(name, ()))

    async def start(
        self,
        name: str,
        revision: str,
        *,
        strategy: SwapStrategy | None = None,
        deadline_s: float | None = None,
        queue: bool = False,
        by: str = "",
    ) -> Swap:
        """Begin to swap; with `queue`, after one that is on.

        Raises NotFoundError, ConflictError, InvalidRequestError.
        """
        async with self._writing:
            deployment = await self._deployments.get(name)
            journal = await self.of(name)
            active = [each for each in journal if each.active]
            if active and not queue:
                raise ConflictError(
                    f"{name!r} is being swapped to {active[0].after.revision} already. Wait until that is done, or "
                    "queue behind it (`--queue`).",
                    code="swap_running",
                )
            before = active[-1].after if active else Weights(deployment.revision, deployment.weights_path)
            after = await self._weights(deployment, revision)
            if after.revision == before.revision:
                raise ConflictError(f"{name!r} serves {revision} already.", code="already_served")
            chosen, why = await self._choose(strategy, deployment, before, after)
            now = self._clock()
            swap = Swap(
                id=secrets.token_hex(8),
                deployment=name,
                before=before,
                after=after,
                strategy=chosen,
                why=why,
                asked=strategy,
                generation=deployment.generation,
                deadline_s=deployment.drain_deadline_s if deadline_s is None else deadline_s,
                by=by,
                step=SwapStep.QUEUED,
                started_at=now,
                step_since=now,
            )
            ended = [each for each in journal if not each.active]
            await self._store.put_swaps(name, (*ended[-_KEPT:], *active, swap))
        self._changes.notify()
        return swap

    async def rollback(self, name: str, *, by: str = "") -> Swap:
        """Swap back to what was served before the last swap that was done; one that still prepares is cancelled.

        Raises ConflictError, NotFoundError.
        """
        async with self._writing:
            journal = await self.of(name)
            active = next((each for each in journal if each.active), None)
            if active is not None and active.step in (SwapStep.QUEUED, SwapStep.PREPARING):
                cancelled = give_up(active, self._clock(), "It was cancelled.")
                await self._write(journal, cancelled)
                return cancelled
            if active is not None and active.step is SwapStep.RESTARTING:
                back = turn_back(active, self._clock(), "It was rolled back.")
                await self._write(journal, back)
                return back
        deployment = await self._deployments.get(name)
        aim = deployment.revision if active is None else active.after.revision
        done = [each for each in journal if each.step is SwapStep.DONE or each is active]
        last = next((each for each in reversed(done) if each.after.revision == aim), None)
        if last is None:
            raise ConflictError(f"{name!r} was not swapped before: there is nothing to go back to.")
        return await self.start(name, last.before.revision, queue=True, by=by)

    async def needed(self) -> frozenset[str]:
        """Revisions that a swap needs, or a rollback."""
        needed: set[str] = set()
        for journal in (await self._store.swaps()).values():
            done = [each for each in journal if each.step is SwapStep.DONE]
            for swap in (*done[-1:], *(each for each in journal if each.active)):
                needed |= {swap.before.revision, swap.after.revision}
        return frozenset(needed)

    async def advance(self) -> bool:
        """Take one step of every swap that is on; whether there is any."""
        async with self._writing:
            deployments, journals = await self._store.deployments(), await self._store.swaps()
            endpoints = await self._store.endpoints()
            going_on = False
            for name, deployment in deployments.items():
                journal = _of_this(deployment, journals.get(name, ()))
                seen = await self._look(deployment, endpoints)
                swap = next((each for each in journal if each.active), None)
                if swap is None:
                    await self._do(None, strays(seen), seen)
                    continue
                going_on = True
                if swap.step is SwapStep.QUEUED:
                    swap = await self._come_to_its_turn(swap, deployment)
                await self._advance(journal, swap, seen)
        return going_on

    async def _come_to_its_turn(self, swap: Swap, deployment: Deployment) -> Swap:
        """A swap that waited, as it would be begun now: the one before it may have failed."""
        before = Weights(deployment.revision, deployment.weights_path)
        if before.revision == swap.after.revision:
            return give_up(swap, self._clock(), "These weights are served already.")
        try:
            strategy, why = await self._choose(swap.asked, deployment, before, swap.after)
        except ConflictError as error:
            return give_up(swap, self._clock(), error.message)
        return structs.replace(swap, before=before, strategy=strategy, why=why)

    async def _advance(self, journal: Sequence[Swap], swap: Swap, seen: Seen) -> None:
        after, actions = advance(swap, seen, self._clock())
        if after not in journal:
            _log.info("Swap of %s: %s. %s", swap.deployment, after.step.value, after.reason or after.detail)
            await self._write(journal, after)
        self._reached(f"noted-{after.step.value}")
        await self._do(after, actions, seen)
        self._reached(f"done-{after.step.value}")

    async def _write(self, journal: Sequence[Swap], swap: Swap) -> None:
        await self._store.put_swaps(swap.deployment, tuple(swap if each.id == swap.id else each for each in journal))
        self._changes.notify()

    async def _do(self, swap: Swap | None, actions: Sequence[SwapAction], seen: Seen) -> None:
        replicas = {each.replica_id: each for each in seen.endpoints}
        for action in actions:
            match action:
                case Activate(weights=weights, generation=generation, surge=surge) if swap is not None:
                    await self._deployments.activate(swap.deployment, weights, generation, surge=surge)
                    self._changes.notify()
                case PrepareReplica(replica_id=replica_id) if swap is not None:
                    await self._orders.prepare(replicas[replica_id], _order(swap))
                case SwapReplica(replica_id=replica_id) if swap is not None:
                    await self._orders.swap(replicas[replica_id], _order(swap))
                case EndReplica(replica_id=replica_id) if replica_id in replicas:
                    await self._orders.end(replicas[replica_id])

    async def _look(self, deployment: Deployment, endpoints: Sequence[Endpoint]) -> Seen:
        digest = spec_digest(deployment)
        failure = (await self._store.failures([deployment.name])).get(deployment.name)
        application = self._observed().applications.get(application_name(deployment.name, digest))
        gave_up = application is not None and application.status == GAVE_UP
        if failure is not None and (failure.spec_digest, failure.revision) != (digest, deployment.revision):
            failure = None  # of what was wanted before
        why = "" if failure is None or not (failure.permanent or gave_up) else failure.reason
        mine = [each for each in endpoints if each.deployment == deployment.name]
        return Seen(
            active=deployment.revision,
            generation=deployment.generation,
            wanted_replicas=deployment.replicas,
            endpoints=tuple(each for each in mine if each.spec_digest == digest),
            outgoing=sum(each.spec_digest != digest and each.state is ReplicaState.READY for each in mine),
            failure=why or ("Ray Serve gave up starting them; see the replicas' logs." if gave_up else ""),
        )

    async def _weights(self, deployment: Deployment, revision: str) -> Weights:
        model = await self._records.find(deployment.model) if deployment.model else None
        if model is None:
            raise InvalidRequestError(f"{deployment.name!r} serves no weights of the library. Deploy a model first.")
        found = model.find(revision)
        if found is None or found.state is not ModelState.READY:
            raise NotFoundError(
                f"Model {model.name!r} has no ready revision {revision}. `roundhouse model revisions {model.name}` "
                "shows what there is."
            )
        return Weights(found.digest, found.path)

    async def _choose(
        self, wanted: SwapStrategy | None, deployment: Deployment, before: Weights, after: Weights
    ) -> tuple[SwapStrategy, str]:
        chosen, why = choose_strategy(
            await asyncio.to_thread(self._revised, before),
            await asyncio.to_thread(self._revised, after),
            spare=has_spare(deployment, self._observed().nodes),
        )
        if wanted is None or wanted is chosen:
            return chosen, why
        if wanted is SwapStrategy.IN_PLACE:
            raise ConflictError(f"This cannot be done in place: {why}. Leave the strategy out, or take another one.")
        return wanted, "asked for"

    def _revised(self, weights: Weights) -> Revised | None:
        try:
            manifest = self._manifest_of(weights.revision)
            config = msgspec.json.decode((Path(weights.path) / "config.json").read_bytes(), type=dict)
        except (WeightsError, OSError, msgspec.DecodeError):
            return None
        return Revised(manifest, config)


def _of_this(deployment: Deployment, journal: Sequence[Swap]) -> tuple[Swap, ...]:
    """Without what is left of a deployment of the same name that is gone."""
    return tuple(swap for swap in journal if swap.started_at >= deployment.created_at)


def _order(swap: Swap) -> SwapOrder:
    return SwapOrder(
        swap_id=swap.id,
        revision=swap.after.revision,
        weights_path=swap.after.path,
        deadline_s=swap.deadline_s,
        fetch_only=swap.strategy is not SwapStrategy.IN_PLACE,
    )
