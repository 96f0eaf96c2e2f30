"""Weights swapped behind a router: nobody fails, and no answer is of two revisions."""

import asyncio
import json
from collections.abc import Sized
from functools import partial

import httpx
import msgspec

from replicas.types import SWAP_PATH, Endpoint, SimulationSettings, SwapOrder
from tests.integration.test_router_survival import chat, text_of
from tests.router_harness import MODEL, Rig, eventually, rig
from tests.simulated_fleet import SimulatedFleet, simulated_fleet

SWAPS = 8
CLIENTS = 6


async def order_swap(fleet: SimulatedFleet, endpoint: Endpoint, order: SwapOrder) -> None:
    """Tell a replica, and wait until it serves what it was told."""
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.post(
            f"http://{endpoint.host}:{endpoint.port}{SWAP_PATH}",
            content=msgspec.json.encode(order),
            headers={"authorization": f"Bearer {endpoint.token}"},
        )
    assert answer.status_code == 202

    async def served() -> bool:
        (now,) = [each for each in await fleet.endpoints() if each.replica_id == endpoint.replica_id]
        return now.revision == order.revision

    async with asyncio.timeout(20):
        while not await served():  # noqa: ASYNC110 - a swap is told to routers, not to us
            await asyncio.sleep(0.01)


async def ask_until(router: Rig, stop: asyncio.Event, seen: list[tuple[int, str]]) -> None:
    """Status and revision of each answer; streams must come whole."""
    while not stop.is_set():
        client = await router.client()
        await client.send(chat("Why?"))
        status, headers = await client.head()
        got = b"".join([piece async for piece in client.chunks()]) if status == 200 else b""
        seen.append(
            (status if got.endswith(b"data: [DONE]\n\n") else -status, headers.get("x-roundhouse-revision", ""))
        )
        client.close()


def are_more_than(count: int, seen: Sized) -> bool:
    return len(seen) > count


async def test_swaps_of_the_only_replica_fail_no_request(valkey_url: str) -> None:
    pace = SimulationSettings(prefill_tokens_per_s=50_000, inter_token_s=0.004, swap_s=0.05)
    async with simulated_fleet(valkey_url, MODEL, 1, pace) as fleet, rig(valkey_url) as router:
        await eventually(lambda: router.router.core.table.models[MODEL].ready_replicas == 1)
        seen: list[tuple[int, str]] = []
        stop = asyncio.Event()
        clients = [asyncio.create_task(ask_until(router, stop, seen)) for _ in range(CLIENTS)]
        (endpoint,) = await fleet.endpoints()
        for turn in range(SWAPS):
            order = SwapOrder(swap_id=f"s{turn}", revision=f"r{turn + 2}", weights_path="/")
            await order_swap(fleet, endpoint, order)
            await eventually(partial(are_more_than, len(seen) + CLIENTS, seen))
        stop.set()
        await asyncio.gather(*clients)
        assert {status for status, _ in seen} == {200}
        assert {revision for _, revision in seen} == {f"r{turn + 1}" for turn in range(SWAPS + 1)}
        # Each client asks one after the other, so what it sees never goes back.
        assert router.router.core.telemetry.meter(MODEL).in_flight == 0


async def test_stream_of_a_lost_replica_is_not_continued_with_other_weights(valkey_url: str) -> None:
    slow = SimulationSettings(prefill_tokens_per_s=50_000, inter_token_s=0.05)
    async with simulated_fleet(valkey_url, MODEL, 2, slow) as fleet, rig(valkey_url) as router:
        await eventually(lambda: router.router.core.table.models[MODEL].ready_replicas == 2)
        client = await router.client()
        await client.send(chat("Why?"))
        _, headers = await client.head()
        mine, others = headers["x-roundhouse-replica"], await fleet.endpoints()
        other = next(each for each in others if each.replica_id != mine)
        got, swapped = b"", False
        async for piece in client.chunks():
            got += piece
            if got.count(b"\n\n") >= 3 and not swapped:
                swapped = True
                await order_swap(fleet, other, SwapOrder(swap_id="s", revision="r2", weights_path="/"))
                pid = next(each.pid for each in others if each.replica_id == mine)
                fleet.kill(fleet.pids.index(pid))
        last = json.loads(got.decode().strip().split("\n\n")[-1].removeprefix("data: "))
        assert last["error"]["code"] == "replica_lost"
        assert b"[DONE]" not in got
        client.close()


async def test_stream_of_a_lost_replica_goes_on_where_the_same_weights_are(valkey_url: str) -> None:
    slow = SimulationSettings(prefill_tokens_per_s=50_000, inter_token_s=0.05)
    async with simulated_fleet(valkey_url, MODEL, 3, slow) as fleet, rig(valkey_url) as router:
        await eventually(lambda: router.router.core.table.models[MODEL].ready_replicas == 3)
        client = await router.client()
        await client.send(chat("Why so?"))
        _, headers = await client.head()
        mine, others = headers["x-roundhouse-replica"], await fleet.endpoints()
        rest = [each for each in others if each.replica_id != mine]
        got, swapped = b"", False
        async for piece in client.chunks():
            got += piece
            if got.count(b"\n\n") >= 3 and not swapped:
                swapped = True
                await order_swap(fleet, rest[0], SwapOrder(swap_id="s", revision="r2", weights_path="/"))
                pid = next(each.pid for each in others if each.replica_id == mine)
                fleet.kill(fleet.pids.index(pid))
        assert got.endswith(b"data: [DONE]\n\n")
        assert len(text_of(got)) > 20
        client.close()
