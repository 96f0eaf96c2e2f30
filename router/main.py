"""`python -m router.main`: the router as a process. Settings come from the environment (`settings.py`)."""

import asyncio
import contextlib
import functools
import gc
import logging
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from random import Random
from typing import Any, Literal

import uvicorn
import uvloop
from pydantic import ValidationError
from starlette.applications import Starlette

from replicas.ending import end
from router.access_log import STDOUT
from router.app import create_app, create_ops_app
from router.core import Core, LoopClock
from router.dispatcher import Dispatcher
from router.errors import ListenError, StoreAwayError
from router.fleet import Fleet, Sockets
from router.protocol import RouterProtocol
from router.quarantine import Quarantine
from router.records import Records
from router.settings import RouterSettings
from router.store import RouterStore
from router.table import RoutingTable
from router.telemetry import Telemetry
from router.types import CatalogEntry, RouterReport
from router.upstream import UpstreamPool

log = logging.getLogger(__name__)

_BACKLOG = 2048
_GC_THRESHOLD = 10_000
_LONGEST_SWEEP_PERIOD_S = 0.25
_FIRST_SNAPSHOT_S = 2.0
_REPORT_PERIOD_S = 0.25
_KEY_USE_PERIOD_S = 2.0
EXIT_CANNOT_START = 2


def listen(host: str, port: int, purpose: str, *, shared: bool = False) -> socket.socket:
    """A listening socket; a `shared` one lets others beside it on its port that say the same.

    Raises `ListenError` with a sentence for the person who started us.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host.strip("[]"), port), family=family, backlog=_BACKLOG, reuse_port=shared)
    except OSError as exc:
        raise ListenError(
            f"Cannot listen on {host}:{port} for {purpose}: {os.strerror(exc.errno or 0)}. "
            "Stop the other program or choose another port."
        ) from exc


class _Server(uvicorn.Server):
    """Leaves signals to the process: two servers share one loop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Router:
    """A running router: the table, the pool and two listeners."""

    def __init__(self, settings: RouterSettings) -> None:
        telemetry, quarantine, clock = Telemetry(), Quarantine(), LoopClock()
        rng = Random()  # noqa: S311  # it spreads load, it guards nothing
        self.id = f"router-{secrets.token_hex(4)}"
        self._store = RouterStore(settings.store_url)

        def dispatcher_for(entry: CatalogEntry) -> Dispatcher:
            meter = telemetry.meter(entry.name)
            return Dispatcher(
                entry,
                meter,
                quarantine=quarantine,
                clock=clock,
                rng=rng,
                circuit_open_s=settings.circuit_open_s,
                retry_for_s=settings.retry_for_s,
            )

        table = RoutingTable(self._store, telemetry, dispatcher_for, router_id=self.id, refresh_s=settings.refresh_s)
        self.core = Core(
            settings=settings,
            table=table,
            quarantine=quarantine,
            clock=clock,
            rng=rng,
            pool=UpstreamPool(
                connect_timeout_s=settings.connect_timeout_s,
                idle_s=settings.upstream_idle_s,
                idle_connections=settings.upstream_idle_connections,
            ),
            telemetry=telemetry,
        )
        telemetry.loads = self.core.loads
        telemetry.ready = table.ready
        self._records = Records(settings, router_id=self.id, rng=rng)
        self._records.observe(self.core)
        protocol = functools.partial(RouterProtocol, core=self.core)
        self._public = _Server(_config(create_app(self.core), http=protocol, drain_s=settings.drain_s))
        self._ops = _Server(_config(create_ops_app(self.core), http="httptools", drain_s=0, lifespan="off"))

    @property
    def started(self) -> bool:
        """Both ports are being served."""
        return self._public.started and self._ops.started

    def stop(self) -> None:
        """Accept nothing more; let what is in flight end within `drain_s`."""
        self._public.should_exit = True

    def stop_now(self) -> None:
        """Stop without waiting for what is in flight."""
        self._public.should_exit = self._public.force_exit = True

    async def serve(self, public: socket.socket, ops: socket.socket) -> None:
        """Serves on both sockets until `stop` and the drain after it."""
        self.core.now = asyncio.get_running_loop().time()
        background = [
            asyncio.create_task(self.core.table.follow(), name="router-table"),
            asyncio.create_task(self._sweep(), name="router-sweep"),
            asyncio.create_task(self._report(), name="router-report"),
            asyncio.create_task(self._write_key_use(), name="router-key-use"),
            asyncio.create_task(self._ops.serve([ops]), name="router-ops"),
        ]
        try:
            # Connections wait in the socket's queue meanwhile: who takes another router's place must not refuse what it
            # can serve in a moment.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.core.table.loaded.wait(), _FIRST_SNAPSHOT_S)
            await self._public.serve([public])
        finally:
            await end(*background)
            for server in self._ops.servers if self._ops.started else ():
                server.close()
            for connection in (*self._public.server_state.connections, *self._ops.server_state.connections):
                if connection.transport is not None:
                    connection.transport.abort()
            self.core.pool.close()
            with contextlib.suppress(StoreAwayError):
                await self._flush_key_use()
                await self._store.withdraw(self.id)
            await self._store.close()
            # Lets aborted transports close their sockets before the loop ends.
            await asyncio.sleep(0)
            await asyncio.to_thread(self._records.close)

    async def _sweep(self) -> None:
        settings = self.core.settings
        shortest_s = min(settings.header_timeout_s, settings.body_timeout_s, settings.keep_alive_s)
        period_s = min(_LONGEST_SWEEP_PERIOD_S, shortest_s / 4)
        loop = asyncio.get_running_loop()
        while True:
            self.core.sweep(loop.time())
            self._records.flush()
            await asyncio.sleep(period_s)

    async def _report(self) -> None:
        """Publishes what waits and runs, four times a second, for the autoscaler."""
        while True:
            report = RouterReport(
                router_id=self.id,
                at=time.time(),
                models=self.core.loads(),
                totals=self.core.telemetry.totals(),
                canaries=self.core.canaries(),
            )
            with contextlib.suppress(StoreAwayError):
                await self._store.publish(report)
            await asyncio.sleep(_REPORT_PERIOD_S)

    async def _write_key_use(self) -> None:
        while True:
            await asyncio.sleep(_KEY_USE_PERIOD_S)
            await self._flush_key_use()

    async def _flush_key_use(self) -> None:
        """Adds what keys have used to what the store knows of it. While it is away, it waits here."""
        use = self.core.key_use.take()
        try:
            await self._store.add_key_use(use, time.time())
        except StoreAwayError:
            self.core.key_use.give_back(use)


def _config(app: Starlette, *, http: Any, drain_s: float, lifespan: Literal["on", "off"] = "on") -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=http,
        ws="none",
        lifespan=lifespan,
        access_log=False,
        log_config=None,
        # No header says who a client is: keys do.
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=max(1, round(drain_s)),
    )


def listen_on_both(settings: RouterSettings, *, shared: bool = False) -> Sockets:
    """The public and the ops port. Raises `ListenError`."""
    public = listen(settings.host, settings.port, "clients", shared=shared)
    try:
        return public, listen(settings.ops_host, settings.ops_port, "metrics (ops port)")
    except ListenError:
        public.close()
        raise


@contextlib.asynccontextmanager
async def running(settings: RouterSettings, sockets: Sockets | None = None) -> AsyncIterator[tuple[Router, int, int]]:
    """A router in this loop, with its public and its ops port; drains when left. Raises `ListenError`."""
    public, ops = sockets or listen_on_both(settings)
    with public, ops:
        router = Router(settings)
        ports = public.getsockname()[1], ops.getsockname()[1]
        log.info("%s (process %d) serves on port %d; ops port %d", router.id, os.getpid(), *ports)
        serving = asyncio.create_task(router.serve(public, ops), name="router")
        try:
            yield router, *ports
        finally:
            router.stop()
            await serving


async def _run(settings: RouterSettings, sockets: Sockets) -> None:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    async with running(settings, sockets) as (router, _, _):
        await stopped.wait()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, router.stop_now)


def _serve(settings: RouterSettings, sockets: Sockets) -> None:
    """One router, until SIGTERM or SIGINT and the drain after it."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(settings, sockets))


def _serve_many(settings: RouterSettings) -> None:
    """As many routers as the settings say. Raises `ListenError`."""
    # Not shared: a port that somebody else serves, another fleet too, is taken.
    with listen(settings.host, settings.port, "clients") as probe:
        settings = settings.model_copy(update={"port": probe.getsockname()[1]})
    Fleet(
        settings.workers,
        open_sockets=lambda index: listen_on_both(_of_member(settings, index), shared=True),
        serve=lambda index, sockets: _serve(_of_member(settings, index), sockets),
        drain_s=settings.drain_s,
    ).run()


def _of_member(settings: RouterSettings, index: int) -> RouterSettings:
    """Settings of one router of several: what two processes cannot share it has for itself."""
    changes: dict[str, Any] = {"ops_port": settings.ops_port and settings.ops_port + index}
    if settings.access_log not in ("", STDOUT):
        path = Path(settings.access_log)
        changes["access_log"] = str(path.with_stem(f"{path.stem}-{index}"))
    return settings.model_copy(update=changes)


def main() -> int:
    """Entry point. Exit code 2 with one sentence on stderr when the router cannot start."""
    try:
        settings = RouterSettings()
    except ValidationError as exc:
        reasons = "; ".join(str(error["msg"]) for error in exc.errors())
        sys.stderr.write(f"The router's settings cannot work: {reasons}\n")
        return EXIT_CANNOT_START
    # What is imported stays; looking through it again and again would cost the hot path a tenth of its time.
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GC_THRESHOLD)
    logging.basicConfig(level=settings.log_level.upper(), format="%(levelname)s %(name)s: %(message)s")
    try:
        if settings.workers == 1:
            _serve(settings, listen_on_both(settings))
        else:
            _serve_many(settings)
    except ListenError as exc:
        sys.stderr.write(f"{exc}\n")
        return EXIT_CANNOT_START
    return 0


if __name__ == "__main__":
    sys.exit(main())
