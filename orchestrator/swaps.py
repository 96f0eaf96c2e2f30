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

from orchestrator.canary import beside
from orchestrator.deployments import Deployments
from orchestrator.errors import (
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    RoundhouseError,
    StoreUnavailableError,
)
from orchestrator.events import Changes
from orchestrator.library.records import ModelRecords
from orchestrator.sentences import Saying, Sentence, say
from orchestrator.store import Store
from orchestrator.swap import Seen, advance, give_up, journal_of, send_back, strays, turn_back, way_back
from orchestrator.swap_seen import seen_of, with_canary
from orchestrator.swap_strategy import Revised, choose_for_canary, choose_strategy, has_spare
from orchestrator.swap_types import (
    Activate,
    CanaryTerms,
    EndReplica,
    PrepareReplica,
    SplitTraffic,
    Swap,
    SwapAction,
    SwapReplica,
    SwapStep,
    SwapStrategy,
)
from orchestrator.types import Deployment, ModelState, ObservedState, Weights
from replicas.types import Endpoint, SwapOrder
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
        return await self._journal(await self._deployments.get(name))

    async def _journal(self, deployment: Deployment) -> tuple[Swap, ...]:
        return journal_of(deployment, (await self._store.swaps()).get(deployment.name, ()))

    async def start(
        self,
        name: str,
        revision: str,
        *,
        strategy: SwapStrategy | None = None,
        deadline_s: float | None = None,
        canary: CanaryTerms | None = None,
        queue: bool = False,
        by: str = "",
    ) -> Swap:
        """Begin to swap; with `queue`, after one that is on; with `canary`, by a trial on these terms first.

        Raises NotFoundError, ConflictError, InvalidRequestError.
        """
        async with self._writing, self._deployments.changing:  # or it could be deployed anew meanwhile
            deployment = await self._deployments.get(name)
            journal = await self._journal(deployment)
            active = [each for each in journal if each.active]
            if active and not queue:
                raise ConflictError(
                    say(Saying.SWAP_RUNNING, name=name, revision=active[0].after.revision), code="swap_running"
                )
            before = active[-1].after if active else Weights(deployment.revision, deployment.weights_path)
            after = await self._weights(deployment, revision)
            if after.revision == before.revision:
                raise ConflictError(say(Saying.ALREADY_SERVED, name=name, revision=revision), code="already_served")
            chosen, why = await self._choose(strategy, deployment, before, after, canary)
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
                canary=canary,
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
        """Swap back to what was served before the last swap that was done; one that still prepares is cancelled, and
        a canary that is on goes back.

        Raises ConflictError, NotFoundError.
        """
        async with self._writing:
            deployment = await self._deployments.get(name)
            journal = await self._journal(deployment)
            active = next((each for each in journal if each.active), None)
            if active is not None and active.step in (SwapStep.QUEUED, SwapStep.PREPARING):
                cancelled = give_up(active, self._clock(), say(Saying.CANCELLED))
                await self._write(journal, cancelled)
                return cancelled
            if active is not None and (back := _turned_back(active, self._clock())) is not None:
                await self._write(journal, back)
                return back
        aim = deployment.revision if active is None else active.after.revision
        done = [each for each in journal if each.step is SwapStep.DONE or each is active]
        last = next((each for each in reversed(done) if each.after.revision == aim), None)
        if last is None:
            raise ConflictError(say(Saying.NEVER_SWAPPED, name=name))
        return await self.start(name, last.before.revision, queue=True, by=by)

    async def needed(self) -> frozenset[str]:
        """Revisions that a swap needs, or a rollback."""
        needed: set[str] = set()
        deployments = await self._store.deployments()
        for name, entries in (await self._store.swaps()).items():
            journal = journal_of(deployments[name], entries) if name in deployments else ()
            done = [each for each in journal if each.step is SwapStep.DONE]
            for swap in (*done[-1:], *(each for each in journal if each.active)):
                needed |= {swap.before.revision, swap.after.revision}
        return frozenset(needed)

    async def advance(self) -> bool:
        """Take one step of every swap that is on; whether there is any."""
        async with self._writing:
            deployments, entries = await self._store.deployments(), await self._store.swaps()
            endpoints, reports = await self._store.endpoints(), await self._store.routers()
            canaries = [own.name for each in deployments.values() if (own := beside(each)) is not None]
            failures = await self._store.failures([*deployments, *canaries])
            closed = await self._store.closed_nodes()
            observed, going_on = self._observed(), False
            for name, deployment in deployments.items():
                journal = journal_of(deployment, entries.get(name, ()))
                swap = next((each for each in journal if each.active), None)
                seen = seen_of(deployment, endpoints, failures, observed)
                if swap is not None and swap.canary is not None:
                    seen = with_canary(seen, deployment, endpoints, failures, observed, reports, closed)
                going_on = going_on or swap is not None
                try:
                    await self._look_at(deployment, journal, swap, seen)
                except StoreUnavailableError:
                    raise
                except Exception:  # noqa: BLE001 - a fault with one must not hold up the others
                    _log.exception("A step of the swap of %s failed", name)
        return going_on

    async def _look_at(self, deployment: Deployment, journal: Sequence[Swap], swap: Swap | None, seen: Seen) -> None:
        if swap is None:
            await self._do(deployment.name, None, strays(seen), seen)
            return
        if swap.step is SwapStep.QUEUED:
            swap = await self._come_to_its_turn(swap, deployment)
        await self._advance(journal, swap, seen)

    async def _come_to_its_turn(self, swap: Swap, deployment: Deployment) -> Swap:
        """A swap that waited, as it would be begun now: the one before it may have failed."""
        before = Weights(deployment.revision, deployment.weights_path)
        if before.revision == swap.after.revision:
            return give_up(swap, self._clock(), say(Saying.SERVED_ALREADY))
        try:
            strategy, why = await self._choose(swap.asked, deployment, before, swap.after, swap.canary)
        except ConflictError as error:
            return give_up(swap, self._clock(), error.sentence)
        return structs.replace(swap, before=before, strategy=strategy, why=why)

    async def _advance(self, journal: Sequence[Swap], swap: Swap, seen: Seen) -> None:
        after, actions = advance(swap, seen, self._clock())
        if after not in journal:
            _log.info("Swap of %s: %s. %s", swap.deployment, after.step.value, after.reason or after.detail or "")
            await self._write(journal, after)
        self._reached(f"noted-{after.step.value}")
        await self._do(swap.deployment, after, actions, seen)
        self._reached(f"done-{after.step.value}")

    async def _write(self, journal: Sequence[Swap], swap: Swap) -> None:
        await self._store.put_swaps(swap.deployment, tuple(swap if each.id == swap.id else each for each in journal))
        self._changes.notify()

    async def _do(self, name: str, swap: Swap | None, actions: Sequence[SwapAction], seen: Seen) -> None:
        replicas = {each.replica_id: each for each in seen.endpoints}
        for action in actions:
            match action:
                case Activate(weights=weights, generation=generation, surge=surge, canary=canary) if swap is not None:
                    await self._deployments.activate(name, weights, generation, surge=surge, canary=canary)
                    self._changes.notify()
                case SplitTraffic(canary=canary):
                    await self._deployments.split(name, canary)
                    self._changes.notify()
                case PrepareReplica(replica_id=replica_id) if swap is not None:
                    await self._orders.prepare(replicas[replica_id], _order(swap))
                case SwapReplica(replica_id=replica_id, back=back) if swap is not None:
                    await self._orders.swap(replicas[replica_id], _order_back(swap) if back else _order(swap))
                case EndReplica(replica_id=replica_id) if replica_id in replicas:
                    await self._orders.end(replicas[replica_id])

    async def _weights(self, deployment: Deployment, revision: str) -> Weights:
        model = await self._records.find(deployment.model) if deployment.model else None
        if model is None:
            raise InvalidRequestError(say(Saying.SERVES_NO_WEIGHTS, name=deployment.name))
        found = model.find(revision)
        if found is None or found.state is not ModelState.READY:
            raise NotFoundError(say(Saying.NO_SUCH_REVISION, name=model.name, revision=revision))
        return Weights(found.digest, found.path)

    async def _choose(
        self,
        wanted: SwapStrategy | None,
        deployment: Deployment,
        before: Weights,
        after: Weights,
        canary: CanaryTerms | None,
    ) -> tuple[SwapStrategy, Sentence]:
        old = await asyncio.to_thread(self._revised, before)
        new = await asyncio.to_thread(self._revised, after)
        spare = has_spare(deployment, self._observed(), await self._store.closed_nodes())
        if canary is not None:
            return _for_canary(
                wanted, deployment, *choose_for_canary(old, new, replicas=deployment.replicas, spare=spare)
            )
        chosen, why = choose_strategy(old, new, spare=spare)
        if wanted is None or wanted is chosen:
            return chosen, why
        if wanted is SwapStrategy.IN_PLACE:
            raise ConflictError(say(Saying.NOT_IN_PLACE, why=why))
        return wanted, say(Saying.ASKED_FOR)

    def _revised(self, weights: Weights) -> Revised | None:
        try:
            manifest = self._manifest_of(weights.revision)
            config = msgspec.json.decode((Path(weights.path) / "config.json").read_bytes(), type=dict)
        except (WeightsError, OSError, msgspec.DecodeError):
            return None
        return Revised(manifest, config)


def _for_canary(
    wanted: SwapStrategy | None, deployment: Deployment, possible: SwapStrategy | None, why: Sentence
) -> tuple[SwapStrategy, Sentence]:
    """The strategy of a swap with a canary. Raises ConflictError where there is none."""
    if wanted is SwapStrategy.RESTART:
        raise ConflictError(say(Saying.RESTART_WITH_CANARY), code="no_canary")
    if possible is None or (wanted is SwapStrategy.IN_PLACE and possible is not wanted):
        more = deployment.replicas + 1
        raise ConflictError(say(Saying.NO_CANARY, why=why, name=deployment.name, more=more), code="no_canary")
    return (possible, why) if wanted is None or wanted is possible else (wanted, say(Saying.ASKED_FOR))


def _turned_back(swap: Swap, now: float) -> Swap | None:
    """The entry of a swap that can still go back by itself; None: another swap must undo it."""
    if swap.step is SwapStep.RESTARTING:
        return turn_back(swap, now, say(Saying.ROLLED_BACK))
    if swap.canary is not None and swap.step in (SwapStep.FIRST, SwapStep.CANARY):
        return send_back(swap, now, say(Saying.ROLLED_BACK))
    return swap if swap.step in (SwapStep.UNDOING, SwapStep.RETURNING) else None


def _order_back(swap: Swap) -> SwapOrder:
    return SwapOrder(
        swap_id=way_back(swap),
        revision=swap.before.revision,
        weights_path=swap.before.path,
        deadline_s=swap.deadline_s,
    )


def _order(swap: Swap) -> SwapOrder:
    return SwapOrder(
        swap_id=swap.id,
        revision=swap.after.revision,
        weights_path=swap.after.path,
        deadline_s=swap.deadline_s,
        fetch_only=swap.strategy is not SwapStrategy.IN_PLACE,
    )
