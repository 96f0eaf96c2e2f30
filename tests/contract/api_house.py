"""The admin API in process, over a real Valkey and a Ray that only remembers what it was told."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from orchestrator.accounts import Accounts
from orchestrator.api.app import create_app
from orchestrator.api.context import Context
from orchestrator.application_names import name_of, parse_application
from orchestrator.charts import Charts
from orchestrator.deployments import Deployments
from orchestrator.events import Changes
from orchestrator.library.fit_types import Hardware
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
from orchestrator.types import (
    Action,
    ObservedApplication,
    ObservedNode,
    StartApplication,
    StopApplication,
)
from orchestrator.watching import Watch

ADMIN_KEY = "rh-admin-key-of-the-tests"

HOST = ObservedNode(
    id="n1",
    address="127.0.0.1",
    hostname="here",
    alive=True,
    head=True,
    cpus=8.0,
    gpus=0.0,
    memory_bytes=2**34,
)


@dataclass
class RecordingCluster:
    """Does at once what Serve does in its own time, and keeps every action."""

    actions: list[Action] = field(default_factory=list)
    shown: dict[str, ObservedApplication] = field(default_factory=dict)
    node_list: tuple[ObservedNode, ...] = (HOST,)
    fails: bool = False
    refuses: str = ""
    """Name of a deployment whose actions Ray refuses."""

    def connect(self) -> None:
        if self.fails:
            raise ConnectionError("no Ray here")

    def applications(self) -> Mapping[str, ObservedApplication]:
        if self.fails:
            raise ConnectionError("no Ray here")
        return dict(self.shown)

    def nodes(self) -> tuple[ObservedNode, ...]:
        return self.node_list

    def apply(self, action: StartApplication | StopApplication) -> None:
        name = (
            action.deployment.name
            if isinstance(action, StartApplication)
            else parse_application(action.name).deployment
        )
        if name == self.refuses:
            raise ValueError(f"{name} cannot be placed")
        self.actions.append(action)
        match action:
            case StartApplication(deployment=one, spec_digest=digest, slot=slot, node=node, gpus=gpus):
                name = name_of(action)
                self.shown[name] = ObservedApplication(
                    name=name,
                    deployment=one.name,
                    spec_digest=digest,
                    slot=slot,
                    node=node,
                    gpus=gpus,
                    need=one.need,
                    status="RUNNING",
                )
            case StopApplication(name=name):
                del self.shown[name]


@dataclass
class ApiHouse:
    client: httpx.AsyncClient
    context: Context
    cluster: RecordingCluster

    async def tick(self) -> None:
        await self.context.loop.tick()

    async def wait_for_model(self, name: str) -> dict[str, Any]:
        """The model's view once its import has ended, as the changes tell."""
        async with asyncio.timeout(20):
            async for _ in self.context.changes():
                answer = await self.client.get(f"/models/{name}")
                if answer.json()["progress"] is None:
                    return dict(answer.json())
        raise AssertionError("the changes ended")


@asynccontextmanager
async def api_house(
    store_url: str,
    home: Path,
    *,
    no_auth: bool = False,
    memory_bytes: int = 2**36,
    cluster: RecordingCluster | None = None,
) -> AsyncIterator[ApiHouse]:
    changes, cluster = Changes(), cluster or RecordingCluster()

    async def hardware() -> Hardware:
        return Hardware(host_memory_bytes=memory_bytes, host_free_bytes=memory_bytes)

    settings = Settings(store_url=store_url, home=home, port=1, ray_address="127.0.0.1:1", no_auth=no_auth)
    async with Store(store_url) as store:
        (home / "admin.key").write_text(ADMIN_KEY)
        accounts = Accounts(store, home / "admin.key")
        await accounts.ensure_admin_key()
        records = ModelRecords(store, changes)
        revisions = Revisions(home / "library", records)
        imports = Imports(records, home / "library" / "imports", revisions, hardware)
        await revisions.start()
        deployments, orders = Deployments(store), HttpReplicaOrders()
        loop = ReconcileLoop(store, cluster, orders, changes, tick_s=1.0)
        swaps = Swaps(store, deployments, records, revisions.manifest, orders, lambda: loop.observed, changes)
        recording, logs = Recording(store), ReplicaLogs(store)
        watch = Watch(store, loop, accounts, recording, changes)
        context = Context(
            settings, store, accounts, deployments, records, imports, revisions, swaps, loop, changes,
            recording, Charts(recording.points), watch, orders, logs, time.time(),
        )  # fmt: skip
        transport = httpx.ASGITransport(create_app(context))
        headers = {"authorization": f"Bearer {ADMIN_KEY}"}
        base_url = "http://localhost/api/v1"
        async with httpx.AsyncClient(transport=transport, base_url=base_url, headers=headers) as client:
            yield ApiHouse(client, context, cluster)
        await orders.close()
        await logs.close()
        await imports.stop()
        await revisions.stop()
