"""`python -m router.main`: the router as a process. Settings come from the environment (`settings.py`)."""

import asyncio
import contextlib
import functools
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any, Literal

import uvicorn
import uvloop
from pydantic import ValidationError
from starlette.applications import Starlette

from router.app import create_app, create_ops_app
from router.core import Core
from router.errors import ListenError
from router.protocol import RouterProtocol
from router.settings import RouterSettings
from router.table import RoutingTable
from router.telemetry import Telemetry
from router.upstream import UpstreamPool

_BACKLOG = 2048
_GC_THRESHOLD = 10_000
_LONGEST_SWEEP_PERIOD_S = 0.5
EXIT_CANNOT_START = 2


def listen(host: str, port: int, purpose: str) -> socket.socket:
    """A listening socket. Raises `ListenError` with a sentence for the person who started us."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host.strip("[]"), port), family=family, backlog=_BACKLOG)
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
        telemetry = Telemetry()
        self.core = Core(
            settings=settings,
            table=RoutingTable(settings.store_url, telemetry, refresh_s=settings.refresh_s),
            pool=UpstreamPool(
                connect_timeout_s=settings.connect_timeout_s,
                idle_s=settings.upstream_idle_s,
                idle_connections=settings.upstream_idle_connections,
            ),
            telemetry=telemetry,
        )
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
            asyncio.create_task(self._ops.serve([ops]), name="router-ops"),
        ]
        try:
            await self._public.serve([public])
        finally:
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)
            for server in self._ops.servers if self._ops.started else ():
                server.close()
            for connection in (*self._public.server_state.connections, *self._ops.server_state.connections):
                if connection.transport is not None:
                    connection.transport.abort()
            self.core.pool.close()
            # Lets aborted transports close their sockets before the loop ends.
            await asyncio.sleep(0)

    async def _sweep(self) -> None:
        settings = self.core.settings
        shortest_s = min(settings.header_timeout_s, settings.body_timeout_s, settings.keep_alive_s)
        period_s = min(_LONGEST_SWEEP_PERIOD_S, shortest_s / 4)
        loop = asyncio.get_running_loop()
        while True:
            self.core.sweep(loop.time())
            await asyncio.sleep(period_s)


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


@contextlib.asynccontextmanager
async def running(settings: RouterSettings) -> AsyncIterator[tuple[Router, int, int]]:
    """A router in this loop, with its public and its ops port; drains when left. Raises `ListenError`."""
    with contextlib.ExitStack() as sockets:
        public = sockets.enter_context(listen(settings.host, settings.port, "clients"))
        ops = sockets.enter_context(listen(settings.ops_host, settings.ops_port, "metrics (ops port)"))
        router = Router(settings)
        ports = public.getsockname()[1], ops.getsockname()[1]
        serving = asyncio.create_task(router.serve(public, ops), name="router")
        try:
            yield router, *ports
        finally:
            router.stop()
            await serving


async def _run(settings: RouterSettings) -> None:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    async with running(settings) as (router, _, _):
        await stopped.wait()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, router.stop_now)


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
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_run(settings))
    except ListenError as exc:
        sys.stderr.write(f"{exc}\n")
        return EXIT_CANNOT_START
    return 0


if __name__ == "__main__":
    sys.exit(main())
