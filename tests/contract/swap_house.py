"""A deployment whose weights are swapped: real store, real files, replicas that do what they are told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace
from redis.asyncio import Redis

from orchestrator.events import Changes
from orchestrator.reconcile import spec_digest
from orchestrator.swaps import Swaps
from replicas.store import open_store
from replicas.types import (
    CHANGES_CHANNEL,
    ENDPOINT_IDS_KEY,
    Endpoint,
    EngineKind,
    ReplicaState,
    SwapOrder,
    SwapPhase,
    SwapReport,
    endpoint_key,
)
from tests.contract.api_house import ApiHouse, api_house
from tests.contract.test_api_imports import bring, model


class KilledError(BaseException):
    """The orchestrator ends here."""


@dataclass
class ObedientReplicas:
    """Replicas in the store that do at once what they are told."""

    store: Redis
    told: list[str] = field(default_factory=list)
    refuses: str = ""
    """A revision that they do not take."""
    seen: set[str] = field(default_factory=set)

    async def add(self, endpoint: Endpoint) -> None:
        await self.store.sadd(ENDPOINT_IDS_KEY, endpoint.replica_id)
        await self._write(endpoint)

    async def prepare(self, replica: Endpoint, order: SwapOrder) -> None:
        self.told.append(f"prepare {replica.replica_id}")
        phase = SwapPhase.REFUSED if order.revision == self.refuses else SwapPhase.PREPARED
        await self._write(replace(replica, swap=_report(order, phase, "These weights are of another architecture.")))

    async def swap(self, replica: Endpoint, order: SwapOrder) -> None:
        self.told.append(f"swap {replica.replica_id}")
        assert _holds_weights(order.weights_path)
        await self._write(replace(replica, revision=order.revision, swap=_report(order, SwapPhase.DONE)))

    async def end(self, replica: Endpoint) -> None:
        self.told.append(f"end {replica.replica_id}")
        await self.store.delete(endpoint_key(replica.replica_id))

    async def _write(self, endpoint: Endpoint) -> None:
        await self.store.set(endpoint_key(endpoint.replica_id), msgspec.json.encode(endpoint))
        await self.store.publish(CHANGES_CHANNEL, "endpoints")


def _holds_weights(folder: str) -> bool:
    return Path(folder, "model.safetensors").is_file()


def _report(order: SwapOrder, phase: SwapPhase, detail: str = "") -> SwapReport:
    return SwapReport(swap_id=order.swap_id, revision=order.revision, phase=phase, detail=detail)


@dataclass
class SwapHouse:
    """A deployment of two replicas whose model has two revisions."""

    api: ApiHouse
    replicas: ObedientReplicas
    old: str
    new: str

    def swaps(self, **more: Any) -> Swaps:
        context = self.api.context
        return Swaps(
            context.store, context.deployments, context.records, context.revisions.manifest, self.replicas,
            lambda: self.api.context.loop.observed, Changes(), **more,
        )  # fmt: skip

    async def run(self, swaps: Swaps) -> None:
        """Until nothing is on any more."""
        async with asyncio.timeout(20):
            while await swaps.advance():
                pass

    async def start(self, **body: Any) -> dict[str, Any]:
        answer = await self.api.client.post("/deployments/chat/swap", json={"revision": self.new} | body)
        assert answer.status_code == 202, answer.text
        return dict(answer.json())

    async def last(self) -> dict[str, Any]:
        return dict((await self.api.client.get("/deployments/chat/swaps")).json()[-1])

    async def served(self) -> set[str]:
        return {each.revision for each in await self.api.context.store.endpoints()}


@asynccontextmanager
async def swap_house(valkey_url: str, tmp_path: Path) -> AsyncIterator[SwapHouse]:
    home = tmp_path / "home"
    home.mkdir()
    async with api_house(valkey_url, home) as api:
        folder = model(tmp_path / "tiny")
        old = (await bring(api, folder))["revision"]
        (folder / "model.safetensors").write_bytes(_other_numbers(folder / "model.safetensors"))
        body = {"model": "tiny", "engine": "simulated", "revision": old, "replicas": 2}
        assert (await api.client.put("/deployments/chat", json=body)).status_code == 200
        new = (await bring(api, folder))["revision"]
        store = open_store(valkey_url)
        replicas = ObedientReplicas(store)
        deployment = await api.context.deployments.get("chat")
        for number in range(2):
            await replicas.add(
                Endpoint(
                    replica_id=f"chat-{number}", deployment="chat", spec_digest=spec_digest(deployment), model="chat",
                    revision=old, engine=EngineKind.SIMULATED, state=ReplicaState.READY, host="127.0.0.1", port=1,
                    in_flight=number, started_at=1.0, state_since=1.0,
                )
            )  # fmt: skip
        yield SwapHouse(api, replicas, old, new)
        await store.aclose()


def _other_numbers(path: Path) -> bytes:
    """The same tensors with one bit of the last number changed."""
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    return bytes(data)
