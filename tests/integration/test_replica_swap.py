"""A replica that is given other weights while it serves: real store, real sockets, the simulated engine."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import httpx
import msgspec
import pytest
from redis.asyncio import Redis

from replicas.replica import Place, ReplicaLife
from replicas.store import open_store
from replicas.types import (
    CHANGES_CHANNEL,
    END_PATH,
    ENDPOINT_IDS_KEY,
    PREPARE_SWAP_PATH,
    SWAP_PATH,
    Endpoint,
    EngineKind,
    ReplicaSpec,
    ReplicaState,
    SimulationSettings,
    SwapOrder,
    SwapPhase,
    endpoint_key,
    spec_key,
)

CHAT = {"model": "tiny", "messages": [{"role": "user", "content": "Hello?"}]}
ORDER = SwapOrder(swap_id="s1", revision="new", weights_path="/")
Serve = Callable[..., Awaitable["Served"]]


class Served:
    """A replica that runs, and who asks it."""

    def __init__(self, life: ReplicaLife, store: Redis, client: httpx.AsyncClient) -> None:
        self.life, self.store, self.client = life, store, client

    async def endpoint(self) -> Endpoint:
        (name,) = await self.store.smembers(ENDPOINT_IDS_KEY)
        return msgspec.json.decode(await self.store.get(endpoint_key(name.decode())), type=Endpoint)

    async def until(self, holds: Callable[[Endpoint], bool]) -> Endpoint:
        """The endpoint once `holds`; looks again at each announced change, as routers do."""
        async with asyncio.timeout(20), self.store.pubsub() as changes:
            await changes.subscribe(CHANGES_CHANNEL)
            while not holds(endpoint := await self.endpoint()):
                await changes.get_message(timeout=0.5)
        return endpoint

    async def post(
        self, path: str, content: bytes, sent: asyncio.Event | None = None, **headers: str
    ) -> httpx.Response:
        """`sent` is set once the last byte of the request has left."""

        async def trace(event: str, _: Any) -> None:
            if sent is not None and event == "http11.send_request_body.complete":
                sent.set()

        endpoint = await self.endpoint()
        headers = {"authorization": f"Bearer {endpoint.token}"} | headers
        url = f"http://{endpoint.host}:{endpoint.port}{path}"
        return await self.client.post(url, content=content, headers=headers, extensions={"trace": trace})

    async def order(self, path: str, order: SwapOrder = ORDER) -> None:
        assert (await self.post(path, msgspec.json.encode(order))).status_code == 202

    async def ask(self, sent: asyncio.Event | None = None) -> httpx.Response:
        headers = {"content-type": "application/json"}
        return await self.post("/v1/chat/completions", msgspec.json.encode(CHAT), sent, **headers)


@pytest.fixture
async def serve(valkey_url: str) -> AsyncIterator[Serve]:
    async with AsyncExitStack() as stack:
        store = open_store(valkey_url)
        stack.push_async_callback(store.aclose)
        client = await stack.enter_async_context(httpx.AsyncClient(timeout=30))

        async def start(simulation: SimulationSettings, **faults: Any) -> Served:
            spec = ReplicaSpec(
                deployment="tiny", model="tiny", engine=EngineKind.SIMULATED, revision="old", simulation=simulation,
                engine_args={"faults": faults}, canary_interval_s=0.3, canary_timeout_s=1.0, drain_deadline_s=5.0,
            )  # fmt: skip
            await store.set(spec_key("tiny"), msgspec.json.encode(spec))
            life = ReplicaLife("tiny", valkey_url, Place(address="127.0.0.1", node_id="n"))
            stack.push_async_callback(life.stop)
            await life.start()
            served = Served(life, store, client)
            await served.until(lambda endpoint: endpoint.state is ReplicaState.READY)
            return served

        yield start


FAST = SimulationSettings(prefill_tokens_per_s=1e6, inter_token_s=0.0005)
SLOW = SimulationSettings(prefill_tokens_per_s=1e6, inter_token_s=0.15, swap_s=1.5)
"""A reload takes longer than a canary may."""


def in_phase(phase: SwapPhase) -> Callable[[Endpoint], bool]:
    return lambda endpoint: endpoint.swap is not None and endpoint.swap.phase is phase


async def test_swap_under_load_answers_everybody_with_one_revision_each(serve: Serve) -> None:
    served = await serve(SLOW)
    before = asyncio.create_task(served.ask())
    await served.until(lambda endpoint: endpoint.in_flight == 1)
    await served.order(PREPARE_SWAP_PATH)
    prepared = await served.until(in_phase(SwapPhase.PREPARED))
    assert (prepared.state, prepared.revision) == (ReplicaState.READY, "old"), "nothing is cordoned by preparing"
    await served.order(SWAP_PATH)
    await served.until(lambda endpoint: endpoint.state is ReplicaState.CORDONED)
    late = asyncio.create_task(served.ask())
    after = await served.until(in_phase(SwapPhase.DONE))
    assert (after.state, after.revision, after.epoch) == (ReplicaState.READY, "new", 1)
    assert after.swap is not None
    assert after.swap.drained_s is not None
    assert after.swap.reloaded_s is not None
    assert after.swap.reloaded_s >= 1.5
    revisions = [(await answer).headers["x-roundhouse-revision"] for answer in (before, late)]
    assert revisions == ["old", "new"]
    assert [(await answer).status_code for answer in (before, late)] == [200, 200]
    served.life.check_health()  # a paused engine is no sick one


async def test_order_heard_twice_swaps_once(serve: Serve) -> None:
    served = await serve(FAST)
    await served.order(SWAP_PATH)
    await served.order(SWAP_PATH)
    await served.until(in_phase(SwapPhase.DONE))
    await served.order(SWAP_PATH)
    assert (await served.ask()).headers["x-roundhouse-revision"] == "new"
    assert (await served.endpoint()).epoch == 1


async def test_refused_weights_touch_nothing_and_failed_ones_are_undone(serve: Serve) -> None:
    served = await serve(FAST, refuse_swap="It has other shapes.")
    await served.order(SWAP_PATH)
    refused = await served.until(in_phase(SwapPhase.REFUSED))
    assert refused.swap is not None
    assert (refused.revision, refused.epoch, refused.swap.detail) == ("old", 0, "It has other shapes.")


async def test_weights_that_do_not_prove_themselves_are_undone(serve: Serve) -> None:
    served = await serve(FAST, fail_to_swap="It holds something else.")
    await served.order(SWAP_PATH)
    failed = await served.until(in_phase(SwapPhase.FAILED))
    assert (failed.state, failed.revision) == (ReplicaState.READY, "old")
    assert (await served.ask()).headers["x-roundhouse-revision"] == "old"


async def test_request_that_outlasts_the_deadline_does_not_hold_the_swap_up(serve: Serve) -> None:
    served = await serve(SimulationSettings(inter_token_s=60.0))
    stuck = asyncio.create_task(served.ask())
    await served.until(lambda endpoint: endpoint.in_flight == 1)
    await served.order(SWAP_PATH, msgspec.structs.replace(ORDER, deadline_s=0.2))
    done = await served.until(in_phase(SwapPhase.DONE))
    assert done.revision == "new"
    stuck.cancel()


async def test_stop_in_the_middle_of_a_swap_lets_nobody_wait_for_ever(serve: Serve) -> None:
    served = await serve(SimulationSettings(swap_s=600.0))
    await served.order(SWAP_PATH)
    await served.until(lambda endpoint: endpoint.state is ReplicaState.CORDONED)
    sent = asyncio.Event()
    waiting = asyncio.create_task(served.ask(sent))
    await sent.wait()
    await served.life.stop()
    with pytest.raises(httpx.HTTPError):
        (await waiting).raise_for_status()


async def test_replica_told_to_end_drains_and_is_condemned(serve: Serve) -> None:
    served = await serve(SLOW)
    asked = asyncio.create_task(served.ask())
    await served.until(lambda endpoint: endpoint.in_flight == 1)
    assert (await served.post(END_PATH, b"")).status_code == 202
    assert (await asked).status_code == 200
    async with asyncio.timeout(10):
        await served.life.condemned.wait()


@pytest.mark.parametrize(("path", "body", "status"), [("/-/none", b"", 404), (SWAP_PATH, b"{}", 422)])
async def test_order_that_is_none_is_refused(serve: Serve, path: str, body: bytes, status: int) -> None:
    served = await serve(FAST)
    assert (await served.post(path, body)).status_code == status
    assert (await served.post(path, body, authorization="Bearer wrong")).status_code == 401
