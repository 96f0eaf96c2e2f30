"""Simulated replicas as processes of their own, to be killed."""

import asyncio
import contextlib
import multiprocessing
import os
import signal
from collections.abc import AsyncIterator
from multiprocessing.context import ForkServerProcess
from typing import Any

import msgspec
import redis.asyncio as redis

from replicas.types import (
    CHANGES_CHANNEL,
    ENDPOINT_IDS_KEY,
    Endpoint,
    EngineKind,
    ReplicaSpec,
    ReplicaState,
    SimulationSettings,
    endpoint_key,
    spec_key,
)

_FORK_SERVER = multiprocessing.get_context("forkserver")
_FORK_SERVER.set_forkserver_preload(["replicas.replica", "replicas.simulated_app"])


def serve_replica(deployment: str, store_url: str) -> None:
    """Runs one replica until it is killed. Entry point of the process."""
    from replicas.replica import Place, ReplicaLife

    async def live() -> None:
        life = ReplicaLife(deployment, store_url, Place(address="127.0.0.1"))
        await life.start()
        await life.condemned.wait()
        await life.stop()

    asyncio.run(live())


class SimulatedFleet:
    """Replicas of one deployment. `kill` is SIGKILL: no goodbye, and the lease runs on."""

    def __init__(self, store_url: str, deployment: str) -> None:
        self.store = redis.Redis.from_url(store_url)
        self._url = store_url
        self._deployment = deployment
        self._processes: list[ForkServerProcess] = []

    async def prepare(self, simulation: SimulationSettings, **spec: Any) -> None:
        """Writes what the replicas serve."""
        record = ReplicaSpec(
            deployment=self._deployment,
            model=self._deployment,
            engine=EngineKind.SIMULATED,
            revision="r1",
            simulation=simulation,
            **spec,
        )
        await self.store.set(spec_key(self._deployment), msgspec.json.encode(record))

    @property
    def pids(self) -> list[int]:
        """Processes that run."""
        return [process.pid for process in self._processes if process.pid is not None]

    def start(self) -> None:
        """Starts one more replica. Returns before it is ready."""
        process = _FORK_SERVER.Process(target=serve_replica, args=(self._deployment, self._url), daemon=True)
        process.start()
        self._processes.append(process)

    def kill(self, index: int) -> int:
        """Kills the replica that was started `index`-th of those that run; returns its pid."""
        process = self._processes.pop(index)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        return process.pid

    async def endpoints(self) -> list[Endpoint]:
        """What the store says, of the living and of the dead."""
        ids = await self.store.smembers(ENDPOINT_IDS_KEY)
        keys = [endpoint_key(each.decode()) for each in ids if isinstance(each, bytes)]
        records = await self.store.mget(keys) if keys else []
        return [msgspec.json.decode(record, type=Endpoint) for record in records if record]

    async def ready(self, count: int) -> None:
        """Returns once so many of those that run are ready."""
        async with asyncio.timeout(60), self.store.pubsub() as changes:
            await changes.subscribe(CHANGES_CHANNEL)
            while True:
                alive = set(self.pids)
                ready = [
                    each for each in await self.endpoints() if each.state is ReplicaState.READY and each.pid in alive
                ]
                if len(ready) >= count:
                    return
                await changes.get_message(timeout=0.5)

    async def close(self) -> None:
        """Kills what runs."""
        while self._processes:
            self.kill(0)
        await self.store.aclose()


@contextlib.asynccontextmanager
async def simulated_fleet(
    store_url: str, deployment: str, replicas: int, simulation: SimulationSettings, **spec: Any
) -> AsyncIterator[SimulatedFleet]:
    """So many ready replicas."""
    fleet = SimulatedFleet(store_url, deployment)
    try:
        await fleet.prepare(simulation, **spec)
        for _ in range(replicas):
            fleet.start()
        await fleet.ready(replicas)
        yield fleet
    finally:
        await fleet.close()
