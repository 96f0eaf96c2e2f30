"""The orchestrator process: `python -m orchestrator.main`, configured by `ROUNDHOUSE_ORCHESTRATOR_*` variables."""

import asyncio
import logging
import sys
import time
from functools import partial

import uvicorn

from orchestrator.accounts import Accounts
from orchestrator.api.app import create_app
from orchestrator.api.context import Context
from orchestrator.autoscaler import Autoscaler
from orchestrator.charts import Charts
from orchestrator.cluster import RayCluster
from orchestrator.deployments import Deployments
from orchestrator.errors import RoundhouseError
from orchestrator.events import Changes, Paced
from orchestrator.hardware import hardware_now
from orchestrator.host.home import Home
from orchestrator.library.imports import Imports
from orchestrator.library.records import ModelRecords
from orchestrator.library.revisions import Revisions
from orchestrator.loop import ReconcileLoop
from orchestrator.recording import Recording
from orchestrator.replica_logs import ReplicaLogs
from orchestrator.replica_orders import HttpReplicaOrders
from orchestrator.settings import Settings
from orchestrator.store import Store
from orchestrator.swaps import Swaps
from orchestrator.watching import Watch
from replicas.ending import end

_SWEEP_EVERY_S = 3600.0
_TELL_UPLOADS_EVERY_S = 0.5


async def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT. Replicas and routers go on without us."""
    home = Home(settings.home)
    changes = Changes()
    cluster = RayCluster(settings.ray_address, settings.ray_namespace)
    async with Store(settings.store_url) as store:
        await store.ping()
        accounts = Accounts(store, home.admin_key)
        await accounts.ensure_admin_key()
        records = ModelRecords(store, changes)
        revisions = Revisions(home.library, records, uploads_changed=Paced(changes.notify, _TELL_UPLOADS_EVERY_S))
        imports = Imports(records, home.library / "imports", revisions, partial(hardware_now, store))
        deployments = Deployments(store, can_grow=settings.cluster_grows)
        await deployments.renew()
        orders = HttpReplicaOrders()
        loop = ReconcileLoop(store, cluster, orders, changes, settings.tick_s, can_grow=settings.cluster_grows)
        autoscaler = Autoscaler(
            store, deployments, lambda: loop.observed, loop.wake, changes, can_grow=settings.cluster_grows
        )
        swaps = Swaps(store, deployments, records, revisions.manifest, orders, lambda: loop.observed, changes)
        recording, logs = Recording(store), ReplicaLogs(store)
        watch = Watch(store, loop, accounts, recording, changes)
        context = Context(
            settings, store, accounts, deployments, records, imports, revisions, swaps, loop, changes,
            recording, Charts(recording.points), watch, orders, logs, time.time(),
        )  # fmt: skip
        await revisions.start()
        await imports.resume()
        parts = [
            _serve_http(context, settings.port),
            loop.run(),
            autoscaler.run(),
            swaps.run(),
            recording.run(),
            watch.run(),
            _sweep(accounts, revisions),
        ]
        tasks = [asyncio.ensure_future(part) for part in parts]
        try:
            # A part that ends takes the process with it, which `up` then starts afresh: none may be missing unnoticed.
            ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                task.result()
        finally:
            await end(*tasks)
            await orders.close()
            await logs.close()
            await imports.stop()
            await revisions.stop()
            await asyncio.to_thread(cluster.disconnect)


async def _serve_http(context: Context, port: int) -> None:
    config = uvicorn.Config(
        create_app(context),
        host="127.0.0.1",
        port=port,
        log_level="warning",
        access_log=False,
        # Event streams never end by themselves; a stop must not wait for their listeners.
        timeout_graceful_shutdown=2,
        # Longer than the router keeps an idle connection. Joining Ray can hold this process up for many seconds; the
        # first thing it did then would be to close a connection on which a request has been waiting.
        timeout_keep_alive=120,
    )
    await uvicorn.Server(config).serve()


async def _sweep(accounts: Accounts, revisions: Revisions) -> None:
    while True:
        try:
            await accounts.sweep_expired()
            await revisions.uploads.sweep()
        except RoundhouseError as error:
            logging.getLogger("roundhouse").warning("%s", error.message)
        await asyncio.sleep(_SWEEP_EVERY_S)


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    for chatty in ("httpx", "ray", "urllib3", "filelock"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    try:
        # Every value comes from the environment.
        settings = Settings()  # type: ignore[call-arg]
        asyncio.run(serve(settings))
    except RoundhouseError as error:
        print(error.message, file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
