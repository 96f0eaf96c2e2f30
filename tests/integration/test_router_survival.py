"""Replicas that are killed while they answer: real processes, real sockets, SIGKILL."""

import asyncio
import json
import random
from dataclasses import dataclass, field

import pytest

from replicas.simulated_text import answer_text
from replicas.types import SimulationSettings
from tests.router_harness import MODEL, RawClient, Rig, eventually, post, rig
from tests.simulated_fleet import SimulatedFleet, simulated_fleet

KILLS, KILLS_IN_FULL = 30, 200
CLIENTS = 24
PACE = SimulationSettings(prefill_tokens_per_s=50_000, inter_token_s=0.01, inter_token_per_running_s=0.0001)


@dataclass
class Tally:
    """What the clients saw."""

    whole: int = 0
    continued: int = 0
    before_first_token: list[str] = field(default_factory=list)
    after_first_token: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    """Somebody had a whole answer."""


def text_of(events: bytes) -> str:
    """The answer's text in a stream of chat chunks. Fails on anything that is not one."""
    text = ""
    for line in events.decode().split("\n\n"):
        if line and line != "data: [DONE]":
            for choice in json.loads(line.removeprefix("data: "))["choices"]:
                text += choice["delta"].get("content") or ""
    return text


def chat(question: str, **fields: object) -> bytes:
    messages = [{"role": "user", "content": question}]
    return post({"model": MODEL, "messages": messages, "stream": True, "temperature": 0, **fields})


async def one_chat(router: Rig, question: str, tally: Tally) -> None:
    """One streamed chat over a connection of its own, told apart by when it fails."""
    client = await router.client()
    got = b""
    try:
        await client.send(chat(question))
        status, _ = await client.head()
        if status != 200:
            tally.before_first_token.append(f"{status} {await client.reader.read(400)!r}")
            return
        got = b"".join([piece async for piece in client.chunks()])
    except (OSError, asyncio.IncompleteReadError) as error:
        (tally.after_first_token if got else tally.before_first_token).append(repr(error))
        return
    finally:
        client.close()
    if b'"error"' in got or not got.endswith(b"data: [DONE]\n\n"):
        tally.after_first_token.append(got[-200:].decode())
    elif text_of(got) != answer_text(question):
        tally.wrong.append(text_of(got))
    else:
        tally.whole += 1
        tally.answered.set()


async def keep_asking(router: Rig, number: int, tally: Tally, stop: asyncio.Event) -> None:
    asked = 0
    while not stop.is_set():
        asked += 1
        await one_chat(router, f"Question {asked} of client {number}?", tally)


async def kill_at_random(fleet: SimulatedFleet, kills: int, rng: random.Random, tally: Tally) -> None:
    """One after the other, each as soon as two others are ready and somebody had an answer since the last one: a fleet
    that lives for less than an answer answers nobody."""
    for _ in range(kills):
        fleet.start()
        fleet.kill(rng.randrange(len(fleet.pids) - 1))
        tally.answered.clear()
        await fleet.ready(2)
        await tally.answered.wait()


@pytest.mark.timeout(900)
async def test_no_client_sees_an_error_while_replicas_are_killed_at_random(valkey_url: str, full: bool) -> None:
    kills = KILLS_IN_FULL if full else KILLS
    tally, stop = Tally(), asyncio.Event()
    async with (
        simulated_fleet(valkey_url, MODEL, 3, PACE) as fleet,
        rig(valkey_url, retry_for_s=15) as router,
    ):
        await eventually(lambda: router.router.core.table.models[MODEL].ready_replicas >= 3)
        clients = [asyncio.create_task(keep_asking(router, n, tally, stop)) for n in range(CLIENTS)]
        await kill_at_random(fleet, kills, random.Random(7), tally)
        stop.set()
        await asyncio.gather(*clients)
        lost = router.router.core.telemetry.meter(MODEL).continuations
        assert tally.before_first_token == []
        # Plain text at temperature 0: what was cut is continued, and reads as if nothing had happened.
        assert tally.wrong == []
        # In a storm of deaths a stream may be in the first two by chance alone, and is then taken for their cause.
        assert len(tally.after_first_token) <= 1 + kills // 40, tally.after_first_token
        assert tally.whole > kills
        assert lost.get("continued", 0) > kills / 4
        await eventually(lambda: router.in_flight() == 0)
        assert router.router.core.telemetry.meter(MODEL).in_flight == 0


async def test_stream_is_continued_to_the_same_text_when_its_replica_is_killed(valkey_url: str) -> None:
    slow = SimulationSettings(prefill_tokens_per_s=50_000, inter_token_s=0.05)
    async with simulated_fleet(valkey_url, MODEL, 2, slow) as fleet, rig(valkey_url) as router:
        await eventually(lambda: router.router.core.table.models[MODEL].ready_replicas == 2)
        client = await router.client()
        await client.send(chat("Why?", stream_options={"include_usage": True}))
        _, headers = await client.head()
        by_replica = {each.replica_id: each.pid for each in await fleet.endpoints()}
        got = b""
        async for piece in client.chunks():
            got += piece
            if got.count(b"\n\n") == 5:
                fleet.kill(fleet.pids.index(by_replica[headers["x-roundhouse-replica"]]))
        assert text_of(got) == answer_text("Why?")
        assert got.endswith(b"data: [DONE]\n\n")
        chunks = [json.loads(line[6:]) for line in got.decode().split("\n\n") if line and "[DONE]" not in line]
        assert len({chunk["id"] for chunk in chunks}) == 1
        assert chunks[-1]["usage"]["completion_tokens"] == len(chunks) - 2
        assert 'token_ids":[' not in got.decode()
        client.close()


async def test_stream_with_an_opt_out_ends_with_the_typed_error(valkey_url: str) -> None:
    slow = SimulationSettings(inter_token_s=0.05)
    async with simulated_fleet(valkey_url, MODEL, 2, slow) as fleet, rig(valkey_url) as router:
        await eventually(lambda: router.router.core.table.models[MODEL].ready_replicas == 2)
        # A tool call cannot be cut anywhere.
        tools = [{"type": "function", "function": {"name": "f", "parameters": {}}}]
        client = await router.client()
        await client.send(chat("Why?", tools=tools))
        _, headers = await client.head()
        by_replica = {each.replica_id: each.pid for each in await fleet.endpoints()}
        got = b""
        async for piece in client.chunks():
            got += piece
            if got.count(b"\n\n") == 5:
                fleet.kill(fleet.pids.index(by_replica[headers["x-roundhouse-replica"]]))
        last = json.loads(got.decode().strip().split("\n\n")[-1].removeprefix("data: "))
        assert last["error"]["code"] == "replica_lost"
        assert b"[DONE]" not in got
        client.close()


async def leave_early(router: Rig, rng: random.Random) -> None:
    client = await RawClient.connect(router.port)
    await client.send(chat("Hello?"))
    if rng.random() < 0.5:
        await client.head()
    client.close()
