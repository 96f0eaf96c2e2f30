"""Requests that wait in the router, over real sockets."""

import asyncio
import random
import resource
from typing import Any

import pytest

from router.types import Credential, CredentialKind, ModelStatus, Priority, Role, RoutingSettings
from tests.router_harness import (
    KEY,
    MODEL,
    STREAM_HEAD,
    FakeReplica,
    RawClient,
    Received,
    Rig,
    chunk,
    event,
    eventually,
    get,
    post,
    rig,
    unary_bytes,
)

DISCONNECTS = 10_000


class Gate:
    """A replica's behaviour that answers each request when it is let through."""

    def __init__(self) -> None:
        self.waiting: list[Received] = []
        self._passes = asyncio.Semaphore(0)

    async def __call__(self, request: Received) -> None:
        self.waiting.append(request)
        await self._passes.acquire()
        await request.send(unary_bytes(b'{"ok":true,"n":%b}' % (request.header("x-n") or "0").encode()))

    def let_through(self, count: int = 1) -> None:
        for _ in range(count):
            self._passes.release()


async def one_at_a_time(router: Rig, **settings: Any) -> None:
    """The model takes one request in each replica."""
    await router.store.model(routing=RoutingSettings(max_in_flight=1, **settings))
    models = router.router.core.table.models
    await eventually(lambda: models[MODEL].entry.routing.max_in_flight == 1 and bool(models[MODEL].replicas))


async def sent(router: Rig, number: int, *, key: str = KEY, **headers: str) -> RawClient:
    client = await router.client()
    await client.send(
        post(key=key, headers={"x-n": str(number), **{k.replace("_", "-"): v for k, v in headers.items()}})
    )
    return client


def queued(router: Rig) -> int:
    return len(router.router.core.table.models[MODEL].queue)


async def test_requests_wait_in_the_router_and_are_woken_by_each_completion(valkey_url: str) -> None:
    gate = Gate()
    async with rig(valkey_url, FakeReplica("r1", gate)) as router:
        await one_at_a_time(router)
        clients = []
        for number in range(4):
            clients.append(await sent(router, number))
            await eventually(lambda number=number: len(gate.waiting) + queued(router) == number + 1)  # type: ignore[misc]
        assert (len(gate.waiting), queued(router)) == (1, 3)
        for number, client in enumerate(clients):
            gate.let_through()
            answer = await client.answer()
            assert (answer.status, answer.json["n"]) == (200, number), "first in, first out"
            assert (int(answer.headers["x-roundhouse-queue-ms"]) > 0) == (number > 0)
            client.close()
        await eventually(lambda: router.in_flight() == 0)


async def test_waiting_client_that_leaves_gives_up_its_place_at_once(valkey_url: str) -> None:
    gate = Gate()
    async with rig(valkey_url, FakeReplica("r1", gate)) as router:
        await one_at_a_time(router)
        first, leaves, last = [await sent(router, number) for number in range(3)]
        await eventually(lambda: queued(router) == 2)
        leaves.close()
        await eventually(lambda: queued(router) == 1)
        gate.let_through(2)
        assert (await first.answer()).status == (await last.answer()).status == 200
        assert sorted(request.header("x-n") or "" for request in gate.waiting) == ["0", "2"]
        first.close()
        last.close()


async def test_full_queue_is_429_with_a_time_to_come_back(valkey_url: str) -> None:
    gate = Gate()
    async with rig(valkey_url, FakeReplica("r1", gate)) as router:
        await one_at_a_time(router, queue_requests=2)
        clients = [await sent(router, number) for number in range(3)]
        await eventually(lambda: queued(router) == 2)
        answer = await router.ask(post())
        assert (answer.status, answer.error["code"], answer.error["type"]) == (429, "queue_full", "rate_limit_error")
        assert int(answer.headers["retry-after"]) >= 1
        assert router.router.core.telemetry.meter(MODEL).sheds == {"requests": 1}
        gate.let_through(3)
        assert [(await client.answer()).status for client in clients] == [200] * 3
        for client in clients:
            client.close()


async def test_request_that_waits_too_long_is_turned_away(valkey_url: str) -> None:
    gate = Gate()
    async with rig(valkey_url, FakeReplica("r1", gate)) as router:
        await one_at_a_time(router, queue_timeout_s=0.2)
        first = await sent(router, 0)
        await eventually(lambda: len(gate.waiting) == 1)
        answer = await router.ask(post())
        assert (answer.status, answer.error["code"]) == (429, "queue_timeout")
        first.close()


async def test_request_for_a_cold_model_waits_for_its_first_replica(valkey_url: str) -> None:
    replica = FakeReplica("r1")
    async with rig(valkey_url) as router:
        await router.store.model(MODEL, ModelStatus.STARTING)
        await eventually(lambda: MODEL in router.router.core.table.models)
        client = await sent(router, 0)
        await eventually(lambda: queued(router) == 1)
        await replica.start()
        await router.store.endpoint(replica.endpoint())
        assert (await client.answer()).status == 200
        client.close()
        await replica.stop()


async def test_model_that_nobody_starts_is_refused_at_once(valkey_url: str) -> None:
    async with rig(valkey_url) as router:
        await router.store.model(MODEL, ModelStatus.STOPPED, detail="scaled to zero")
        await eventually(lambda: router.router.core.table.models[MODEL].entry.status is ModelStatus.STOPPED)
        async with asyncio.timeout(1):
            answer = await router.ask(post())
        assert (answer.status, answer.error["code"]) == (503, "model_stopped")


async def with_key(router: Rig, secret: str, **fields: Any) -> None:
    from hashlib import sha256

    import msgspec

    from router.types import CREDENTIALS_KEY

    digest = sha256(secret.encode()).hexdigest()
    credential = Credential(id=secret, name=secret, role=Role.USER, kind=CredentialKind.KEY, created_at=1.0, **fields)
    await router.store.client.hset(CREDENTIALS_KEY, digest, msgspec.json.encode(credential))
    await router.store.announce("credentials")
    await eventually(lambda: digest in (router.router.core.table.credentials or {}))


async def test_higher_band_goes_first_and_no_key_asks_for_more_than_it_may(valkey_url: str) -> None:
    gate = Gate()
    async with rig(valkey_url, FakeReplica("r1", gate)) as router:
        await one_at_a_time(router)
        await with_key(router, "vip", max_priority=Priority.HIGH)
        first = await sent(router, 0)
        await eventually(lambda: len(gate.waiting) == 1)
        order = [
            await sent(router, 1, x_roundhouse_priority="low"),
            await sent(router, 2, x_roundhouse_priority="high"),  # not within this key: normal
            await sent(router, 3, key="vip", x_roundhouse_priority="high"),
        ]
        await eventually(lambda: queued(router) == 3)
        gate.let_through(4)
        for client in (first, *order):
            await client.answer()
            client.close()
        assert [request.header("x-n") for request in gate.waiting] == ["0", "3", "2", "1"]


async def test_tenant_with_a_long_queue_does_not_keep_another_waiting(valkey_url: str) -> None:
    gate = Gate()
    async with rig(valkey_url, FakeReplica("r1", gate)) as router:
        await one_at_a_time(router)
        await with_key(router, "other")
        greedy = [await sent(router, number) for number in range(8)]
        await eventually(lambda: queued(router) == 7)
        modest = await sent(router, 100, key="other")
        await eventually(lambda: queued(router) == 8)
        gate.let_through(9)
        for client in (*greedy, modest):
            await client.answer()
            client.close()
        assert [request.header("x-n") for request in gate.waiting].index("100") <= 2


async def leave_at_random(router: Rig, rng: random.Random) -> None:
    client = await router.client()
    request = post({"model": MODEL, "stream": True, "messages": [{"role": "user", "content": "x" * 300}]})
    moment = rng.random()
    if moment < 0.2:
        await client.send(request[: rng.randrange(1, len(request))])
    else:
        await client.send(request)
        if moment > 0.5:
            await client.head()
    if rng.random() < 0.2:
        client.writer.write_eof()
    client.close()


@pytest.mark.timeout(200)
async def test_ten_thousand_clients_that_leave_leave_nothing_behind(valkey_url: str) -> None:
    async def engine(request: Received) -> None:
        if len(request.body) % 2:
            await asyncio.sleep(0)
        await request.send(STREAM_HEAD + chunk(event("one")))
        await request.gone.wait()

    rng = random.Random(11)
    async with rig(valkey_url, FakeReplica("r1", engine), FakeReplica("r2", engine)) as router:
        # So few at once that many leave while they wait.
        await router.store.model(routing=RoutingSettings(max_in_flight=16))
        await eventually(lambda: router.router.core.table.models[MODEL].entry.routing.max_in_flight == 16)

        async def leave(count: int) -> None:
            for _ in range(count):
                async with asyncio.timeout(60):
                    await leave_at_random(router, rng)

        await asyncio.gather(*(leave(DISCONNECTS // 50) for _ in range(50)))
        dispatcher = router.router.core.table.models[MODEL]
        await eventually(lambda: router.in_flight() == 0 and not queued(router))
        for view in dispatcher.replicas:
            assert (view.in_flight, view.pending_tokens, view.kv_tokens, view.suspects) == (0, 0, 0, 0)
        assert dispatcher.meter.in_flight == 0
        # Cut connections are closed; none is in use.
        await eventually(lambda: router.router.core.pool.open_connections <= 2)


@pytest.mark.timeout(120)
async def test_slow_readers_hold_little_memory_and_slow_nobody_else(valkey_url: str) -> None:
    block = b"data: " + b"x" * 60_000 + b"\n\n"

    async def engine(request: Received) -> None:
        if b"flood" not in request.body:
            await request.send(unary_bytes())
            return
        await request.send(STREAM_HEAD)
        for _ in range(400):
            await request.send(chunk(block))

    async with rig(valkey_url, FakeReplica("r1", engine)) as router:
        slow = [await router.client(receive_buffer_bytes=4096) for _ in range(20)]
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for client in slow:
            await client.send(post({"model": MODEL, "stream": True, "messages": [], "flood": 1}, path="/v1/messages"))
            await client.head()
        # Each would be 24 MB if the router took what the replica gives. Others are served meanwhile.
        took = []
        for _ in range(50):
            began = asyncio.get_running_loop().time()
            assert (await router.ask(post())).status == 200
            took.append(asyncio.get_running_loop().time() - began)
        grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        assert grown_mb < 20 * 2, "replicas and clients of this test are in the same process"
        assert sorted(took)[25] < 0.1
        for client in slow:
            client.close()
        await eventually(lambda: router.in_flight() == 0)


async def test_queue_is_reported_to_the_store_for_the_autoscaler(valkey_url: str) -> None:
    import msgspec

    from router.types import ROUTER_IDS_KEY, RouterReport, router_report_key

    gate = Gate()
    async with rig(valkey_url, FakeReplica("r1", gate)) as router:
        await one_at_a_time(router)
        clients = [await sent(router, number) for number in range(3)]
        await eventually(lambda: queued(router) == 2)
        key = router_report_key(router.router.id)

        async def report() -> RouterReport:
            return msgspec.json.decode(await router.store.client.get(key) or b"", type=RouterReport)

        async with asyncio.timeout(3):
            while not (load := (await report()).models.get(MODEL)) or load.oldest_wait_s <= 0.25:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert (load.queued, load.in_flight, load.arrivals_total) == (2, 1, 3)
        assert load.queued_tokens > 0
        assert router.router.id.encode() in await router.store.client.smembers(ROUTER_IDS_KEY)
        gate.let_through(3)
        for client in clients:
            await client.answer()
            client.close()
        ops = await RawClient.connect(router.ops_port)
        await ops.send(get("/metrics"))
        assert 'roundhouse_router_queued{model="tiny"} 0.0' in (await ops.answer()).body.decode()
        ops.close()
