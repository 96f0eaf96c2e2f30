"""One replica's life: load the spec, start the engine, serve, prove that it lives, drain, go.

Knows nothing of Ray; `deployment.py` hands it to Ray Serve.
"""

import asyncio
import contextlib
import logging
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from replicas.doing import Doing
from replicas.engine import Engine, make_engine
from replicas.errors import EngineStartError, EngineUnhealthyError, ReplicaError
from replicas.lease import LeaseKeeper
from replicas.lifecycle import (
    CanaryAction,
    CanaryMemory,
    Event,
    Phase,
    canary_answered,
    drain_done,
    look,
    step,
)
from replicas.log_tail import ProcessLog
from replicas.orders import orders_app
from replicas.server import ReplicaServer
from replicas.sleep import Sleep
from replicas.swap import Swaps
from replicas.types import (
    Endpoint,
    EngineKind,
    EngineLoad,
    ReplicaFailure,
    ReplicaSpec,
    ReplicaState,
    SwapOrder,
    SwapReport,
)
from replicas.weights.local import LocalWeights

_SPEC_PATIENCE_S = 120.0
_WATCH_S = 1.0
_WARM_UP_TIMEOUT_S = 300.0
_log = logging.getLogger(__name__)


class Place(Struct, frozen=True, kw_only=True):
    """Where a replica runs."""

    address: str
    """Address that routers reach and the replica listens on."""
    node_id: str = ""
    gpus: tuple[str, ...] = ()
    application: str = ""
    """Serve application that holds the replica."""


class ReplicaLife:
    """Runs one replica in the current event loop. `start` once, then `stop` once."""

    def __init__(
        self, deployment: str, store_url: str, place: Place, engine_of: Callable[[EngineKind], Engine] = make_engine
    ) -> None:
        self.replica_id = f"{deployment}-{secrets.token_hex(3)}"
        self._deployment = deployment
        self._place = place
        self._engine_of = engine_of
        self._keeper = LeaseKeeper(store_url)
        self._weights = LocalWeights(lambda: self._keeper.fetch_host(place.address))
        self._log = ProcessLog()
        self._phase = Phase.STARTING
        self._epoch = 0
        self._spec: ReplicaSpec | None = None
        self._engine: Engine | None = None
        self._server: ReplicaServer | None = None
        self._canary = CanaryMemory(alive_at=0.0)
        self._canary_task: asyncio.Task[None] | None = None
        self._watch_task: asyncio.Task[None] | None = None
        self._swaps: Swaps | None = None
        self._sleep: Sleep | None = None
        self._ending: asyncio.Task[None] | None = None
        self._illness: str | None = None
        self.condemned = asyncio.Event()
        """Set when the engine will never serve again: the lease is withdrawn, and the process should end."""

    async def start(self) -> None:
        """Load the spec and serve it. Raises what failed, with the failure recorded and nothing left behind."""
        try:
            self._spec = await self._keeper.fetch_spec(self._deployment, _SPEC_PATIENCE_S)
            await self._serve(self._spec)
        # The top of a start: whatever went wrong must be recorded and cleared away, a cancellation too.
        except BaseException as error:
            self._phase = step(self._phase, Event.START_FAILED)
            await self._record(error)
            await self._clear_away()
            raise

    async def _serve(self, spec: ReplicaSpec) -> None:
        _log.info("Replica %s starts with the engine %s and revision %s", self.replica_id, spec.engine, spec.revision)
        endpoint = self._first_endpoint(spec)
        await self._keeper.hold(endpoint, self._vitals)
        self._engine = self._engine_of(spec.engine)
        if spec.weights_path:
            folder = await self._weights.bring(spec.weights_path, spec.revision, self._tell)
            spec = replace(spec, weights_path=str(folder))
        await self._engine.start(spec, self._tell)
        self._tell(Doing.WARMING_UP)
        await self._warm_up(self._engine)
        self._swaps = Swaps(self._engine, self._weights_of, self)
        self._sleep = Sleep(self._engine, self)
        orders = orders_app(
            self._swaps.prepare,
            self._swaps.swap,
            self._end_soon,
            self._sleep.fall_asleep,
            self._sleep.wake,
            self._log.part,
        )
        self._server = ReplicaServer(self._engine, endpoint.token, orders=orders, revision=spec.revision)
        port = await self._server.start(self._place.address)
        now = time.monotonic()
        self._canary = CanaryMemory(alive_at=now, tokens_total=self._engine.load().generation_tokens_total)
        self._watch_task = asyncio.create_task(self._watch(self._engine))
        capacity = self._engine.capacity
        self._enter(
            Event.ENGINE_STARTED,
            port=port,
            max_model_len=capacity.max_model_len,
            max_running=capacity.max_running,
            kv_capacity_tokens=capacity.kv_tokens,
            takes_token_ids=capacity.takes_token_ids,
            sleep_bytes=capacity.sleep_bytes,
            detail="",
        )

    def _first_endpoint(self, spec: ReplicaSpec) -> Endpoint:
        now = time.time()
        return Endpoint(
            replica_id=self.replica_id,
            deployment=spec.deployment,
            spec_digest=spec.spec_digest,
            model=spec.model,
            revision=spec.revision,
            engine=spec.engine,
            state=ReplicaState.STARTING,
            detail=Doing.STARTING,
            host=self._place.address,
            token=secrets.token_urlsafe(32),
            node_id=self._place.node_id,
            application=self._place.application,
            gpus=self._place.gpus,
            pid=os.getpid(),
            max_model_len=spec.max_model_len,
            started_at=now,
            state_since=now,
        )

    async def _warm_up(self, engine: Engine) -> None:
        try:
            async with asyncio.timeout(_WARM_UP_TIMEOUT_S):
                await engine.generate_one()
        except (EngineUnhealthyError, TimeoutError) as error:
            raise EngineStartError(
                "The engine loaded the model but did not generate its first token. The replica's log has the details; "
                "try a smaller max_model_len.",
                permanent=False,
            ) from error

    def _tell(self, detail: str) -> None:
        self._keeper.update(detail=detail)

    def _enter(self, event: Event, **fields: Any) -> None:
        before, self._phase = self._phase, step(self._phase, event)
        if self._phase is not before and self._phase is not Phase.GONE:
            _log.info("Replica %s is %s", self.replica_id, self._phase)
            state = ReplicaState.STARTING if self._phase is Phase.WAKING else ReplicaState(self._phase)
            self._keeper.update(state=state, state_since=time.time(), **fields)

    def _vitals(self) -> tuple[dict[str, int], EngineLoad]:
        engine, server = self._engine, self._server
        return (server.in_flight_by_router() if server else {}), (engine.load() if engine else EngineLoad())

    async def _record(self, error: BaseException) -> None:
        reason = str(error) if isinstance(error, ReplicaError) else f"The replica failed to start: {error!r}."
        if isinstance(error, asyncio.CancelledError):
            return  # told to stop while starting: nothing failed
        _log.error("Replica %s failed: %s", self.replica_id, reason)
        failure = ReplicaFailure(
            replica_id=self.replica_id,
            deployment=self._deployment,
            spec_digest=self._spec.spec_digest if self._spec else "",
            revision=self._spec.revision if self._spec else "",
            reason=reason,
            permanent=isinstance(error, EngineStartError) and error.permanent,
            at=time.time(),
        )
        await self._keeper.record_failure(failure, self._log.last())

    # --- while it serves ---

    def check_health(self) -> None:
        """Raise `EngineUnhealthyError` if the engine is dead or a canary is overdue; send a canary when due."""
        if self._illness is None and self._engine is not None and self._spec is not None:
            self._illness = self._examine(self._engine, self._spec)
        if self._illness is not None:
            raise EngineUnhealthyError(self._illness)

    def _examine(self, engine: Engine, spec: ReplicaSpec) -> str | None:
        if engine.dead:
            return "The engine's process has died. The replica is started again."
        if any(work is not None and work.engine_is_paused for work in (self._swaps, self._sleep)):
            self._canary = CanaryMemory(alive_at=time.monotonic())
            return None
        action, self._canary = look(
            self._canary,
            tokens_total=engine.load().generation_tokens_total,
            now=time.monotonic(),
            interval_s=spec.canary_interval_s,
            timeout_s=spec.canary_timeout_s,
        )
        if action is CanaryAction.GENERATE:
            self._canary_task = asyncio.create_task(self._generate_canary(engine))
        if action is CanaryAction.CONDEMN:
            return f"The engine has generated nothing for {spec.canary_timeout_s:.0f} s. The replica is started again."
        return None

    async def _generate_canary(self, engine: Engine) -> None:
        try:
            await engine.generate_one()
        except EngineUnhealthyError as error:
            self._illness = str(error)
        else:
            self._canary = canary_answered(self._canary, time.monotonic())

    async def _watch(self, engine: Engine) -> None:
        """Look after the engine each second: Serve asks only each 10 s, and acts after three failures.

        A dead engine leaves the routers' tables at once.
        """
        while self._illness is None:
            await asyncio.sleep(_WATCH_S)
            with contextlib.suppress(EngineUnhealthyError):
                self.check_health()
        self._phase = step(self._phase, Event.ENGINE_DIED)
        await self._keeper.release()
        if self._ending is None:
            await self._record(EngineUnhealthyError(self._illness))
        self.condemned.set()

    # --- other weights ---

    async def _weights_of(self, order: SwapOrder, tell: Callable[[str], None]) -> Path:
        return await self._weights.bring(order.weights_path, order.revision, tell)

    def cordon(self) -> None:
        """Tell routers to send nothing new; what they send all the same waits at the door."""
        assert self._server is not None  # noqa: S101 - whoever swaps, serves
        self._enter(Event.SWAP_BEGUN)
        self._server.hold()

    async def wait_empty(self, timeout_s: float) -> None:
        """Return when no request is in flight, or after `timeout_s` seconds."""
        assert self._server is not None  # noqa: S101 - whoever swaps, serves
        await self._server.wait_empty(timeout_s)

    def uncordon(self, served: SwapOrder | None) -> None:
        """Take requests again, with the weights of `served`, or with those from before if it is None."""
        assert self._server is not None  # noqa: S101 - whoever swaps, serves
        assert self._spec is not None  # noqa: S101 - the same
        if served is not None:
            self._spec = replace(self._spec, revision=served.revision, weights_path=served.weights_path)
        # Also a swap that was undone has emptied the engine's cache.
        self._epoch += 1
        self._enter(Event.SWAP_ENDED, revision=self._spec.revision, epoch=self._epoch)
        self._server.release(self._spec.revision)
        self._weights.release(but=self._spec.revision)

    def condemn(self, reason: str) -> None:
        """The engine is good for nothing any more; a new replica starts in this one's place."""
        self._illness = reason

    def report(self, report: SwapReport) -> None:
        """Tell how far a swap is."""
        self._keeper.update(swap=report)

    # --- sleep ---

    @property
    def asleep(self) -> bool:
        """Whether its engine sleeps, falls asleep or wakes."""
        return self._phase not in (Phase.READY, Phase.CORDONED)

    def retire(self) -> bool:
        """Take nothing new; False if it cannot fall asleep now, for it is not ready."""
        if self._phase is not Phase.READY or self._server is None:
            return False
        self._enter(Event.SLEEP_REQUESTED, detail=Doing.FALLING_ASLEEP)
        self._server.drain()
        return True

    async def wait_retired(self) -> None:
        """Return when no request and no canary is in flight, or after `drain_deadline_s`."""
        assert self._spec is not None  # noqa: S101 - whoever retires, has served
        await self.wait_empty(self._spec.drain_deadline_s)
        if self._canary_task is not None:
            await asyncio.wait({self._canary_task}, timeout=self._spec.canary_timeout_s)

    def fell_asleep(self) -> None:
        """Tell that the GPUs are free, and that the engine's cache is empty."""
        self._epoch += 1
        self._enter(Event.FELL_ASLEEP, detail="", epoch=self._epoch)

    async def will_wake(self) -> bool:
        """Have the store know that it takes its GPUs again; False if the store does not, or if it does not sleep."""
        if self._phase is not Phase.ASLEEP:
            return False
        self._enter(Event.WAKE_REQUESTED, detail=Doing.WAKING_UP)
        known = await self._keeper.flush()
        if not known:
            self._enter(Event.WAKE_REFUSED, detail="")
        return known

    def woke(self) -> None:
        """Take requests again."""
        assert self._server is not None  # noqa: S101 - whoever woke, has served
        self._enter(Event.WOKE, detail="")
        self._server.reopen()

    # --- the end ---

    def _end_soon(self) -> None:
        """Drain, then have a new replica started in this one's place."""
        if self._ending is None and self._server is not None and self._spec is not None:
            self._enter(Event.STOP_REQUESTED, detail=Doing.STARTING_AGAIN)
            self._ending = asyncio.create_task(self._end(self._server, self._spec.drain_deadline_s))

    async def _end(self, server: ReplicaServer, deadline_s: float) -> None:
        await self._drain(server, deadline_s)
        self.condemn("It was told to start again.")

    async def stop(self) -> None:
        """Drain, then end everything. Requests still in flight after `drain_deadline_s` are cut."""
        if self._sleep is not None:
            await self._sleep.stop()
        self._enter(Event.STOP_REQUESTED, detail=Doing.FINISHING)
        if self._phase is Phase.DRAINING and self._server is not None and self._spec is not None:
            await self._drain(self._server, self._spec.drain_deadline_s)
        await self._clear_away()

    async def _drain(self, server: ReplicaServer, deadline_s: float) -> None:
        server.drain()
        deadline = time.monotonic() + deadline_s
        while not drain_done(server.in_flight, now := time.monotonic(), deadline):
            await server.wait_empty(deadline - now)
        self._enter(Event.DRAINED)

    async def _clear_away(self) -> None:
        self._phase = Phase.GONE
        for task in (self._watch_task, self._canary_task, self._ending):
            if task is not None:
                task.cancel()
        if self._swaps is not None:
            await self._swaps.stop()
        await self._keeper.release()
        if self._server is not None:
            await self._server.stop()
        if self._engine is not None:
            await self._engine.stop()
        self._weights.release()
        await self._keeper.close()
