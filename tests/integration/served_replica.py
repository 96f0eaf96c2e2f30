"""A replica that runs, and who asks it: real store, real sockets, the simulated engine."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import msgspec
from redis.asyncio import Redis

from replicas.replica import Place, ReplicaLife
from replicas.store import open_store
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

FAST = SimulationSettings(prefill_tokens_per_s=1e6, inter_token_s=0.0005, weights_bytes=77)
ASKED = "/v1/chat/completions"
CHAT = {"model": "tiny", "messages": [{"role": "user", "content": "Hello?"}]}


class ServedReplica:
    def __init__(self, life: ReplicaLife, store: Redis, client: httpx.AsyncClient) -> None:
        self.life, self.store, self.client = life, store, client

    async def endpoint(self) -> Endpoint:
        (name,) = await self.store.smembers(ENDPOINT_IDS_KEY)
        assert isinstance(name, bytes)
        return msgspec.json.decode(await self.store.get(endpoint_key(name.decode())) or b"", type=Endpoint)

    async def until(self, holds: Callable[[Endpoint], bool]) -> Endpoint:
        """The endpoint once `holds`; looks again at each announced change, as routers do."""
        async with asyncio.timeout(20), self.store.pubsub() as changes:
            await changes.subscribe(CHANGES_CHANNEL)
            while not holds(endpoint := await self.endpoint()):
                await changes.get_message(timeout=0.5)
        return endpoint

    async def is_(self, state: ReplicaState) -> Endpoint:
        return await self.until(lambda endpoint: endpoint.state is state)

    async def post(
        self, path: str, content: bytes = b"", sent: asyncio.Event | None = None, **headers: str
    ) -> httpx.Response:
        """`sent` is set once the last byte of the request has left."""

        async def trace(event: str, _: Any) -> None:
            if sent is not None and event == "http11.send_request_body.complete":
                sent.set()

        url, given = await self._address(path)
        return await self.client.post(url, content=content, headers=given | headers, extensions={"trace": trace})

    async def order(self, path: str, order: msgspec.Struct | None = None) -> None:
        assert (await self.post(path, msgspec.json.encode(order) if order else b"")).status_code == 202

    async def ask(self, sent: asyncio.Event | None = None) -> httpx.Response:
        return await self.post(ASKED, msgspec.json.encode(CHAT), sent)

    @asynccontextmanager
    async def streamed(self, **fields: Any) -> AsyncIterator[AsyncIterator[str]]:
        """The lines of an answer that has begun."""
        url, headers = await self._address(ASKED)
        body = msgspec.json.encode(CHAT | {"stream": True} | fields)
        async with self.client.stream("POST", url, content=body, headers=headers) as answer:
            yield answer.aiter_lines()

    async def _address(self, path: str) -> tuple[str, dict[str, str]]:
        endpoint = await self.endpoint()
        headers = {"authorization": f"Bearer {endpoint.token}", "content-type": "application/json"}
        return f"http://{endpoint.host}:{endpoint.port}{path}", headers


Serve = Callable[..., Awaitable[ServedReplica]]
"""Takes how the engine behaves and further fields of `ReplicaSpec`."""


@asynccontextmanager
async def serving(valkey_url: str) -> AsyncIterator[Serve]:
    """Starts replicas, each ready when it is handed over; they end with it."""
    async with AsyncExitStack() as stack:
        store = open_store(valkey_url)
        stack.push_async_callback(store.aclose)
        client = await stack.enter_async_context(httpx.AsyncClient(timeout=30))

        async def start(simulation: SimulationSettings = FAST, **fields: Any) -> ServedReplica:
            spec = ReplicaSpec(
                deployment="tiny", model="tiny", engine=EngineKind.SIMULATED, simulation=simulation,
                **({"drain_deadline_s": 5.0} | fields),
            )  # fmt: skip
            await store.set(spec_key("tiny"), msgspec.json.encode(spec))
            life = ReplicaLife("tiny", valkey_url, Place(address="127.0.0.1", node_id="n"))
            stack.push_async_callback(life.stop)
            await life.start()
            served = ServedReplica(life, store, client)
            await served.is_(ReplicaState.READY)
            return served

        yield start
