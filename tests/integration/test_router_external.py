"""Engines outside the cluster, and a request that kills engines."""

import asyncio
import json
from typing import Any

from router.types import ExternalEngine, RoutingSettings
from tests.router_harness import MODEL, FakeReplica, Received, Rig, eventually, post, rig, unary_bytes


async def outside(request: Received) -> None:
    await request.send(unary_bytes(b'{"from":"outside"}'))


async def with_outside(router: Rig, server: FakeReplica, **fields: Any) -> None:
    """The model has this server as an engine outside, seen as healthy."""
    engine = ExternalEngine(name="paid", url=f"http://127.0.0.1:{server.port}/base/v1", key="their-key", **fields)
    await router.store.model(routing=RoutingSettings(max_in_flight=1), external=(engine,))
    models = router.router.core.table.models
    await eventually(lambda: any(view.external and view.takes for view in models[MODEL].replicas))


class Outside(FakeReplica):
    """A server that answers its health check, and requests as it is told."""

    def __init__(self, behaviour: Any = outside) -> None:
        super().__init__("outside")
        self.healthy = True
        self.checks: list[Received] = []
        self._told = behaviour
        self.behaviour = self._answer

    async def _answer(self, request: Received) -> None:
        if request.target.endswith("/models"):
            self.checks.append(request)
            await request.send(unary_bytes(status="200 OK" if self.healthy else "500 Internal Server Error"))
        else:
            await self._told(request)


async def test_engine_outside_is_told_of_the_request_and_not_of_who_asks(valkey_url: str) -> None:
    told = {"accept": "text/event-stream", "anthropic-version": "2023-06-01", "traceparent": f"00-{1:032x}-{2:016x}-01"}
    people = {
        "x-openwebui-user-email": "a@example.org",
        "x-session-id": "s",
        "baggage": "user=a",
        "x-forwarded-user": "a",
    }
    server = Outside()
    await server.start()
    async with rig(valkey_url) as router:
        await with_outside(router, server)
        assert (await router.ask(post(headers=told | people))).status == 200
        carried = next(request for request in server.requests if request.target.endswith("completions"))
        assert {name: carried.header(name) for name in told} == told
        assert {name: carried.header(name) for name in people} == dict.fromkeys(people)
        assert carried.header("content-type") == "application/json"


async def test_engine_outside_takes_over_when_our_replicas_are_full(valkey_url: str) -> None:
    async def hang(request: Received) -> None:
        await request.gone.wait()

    server = Outside()
    await server.start()
    async with rig(valkey_url, FakeReplica("r1", hang)) as router:
        await with_outside(router, server, model="their-name")
        busy = await router.client()
        await busy.send(post())
        await eventually(lambda: router.in_flight() == 1)
        answer = await router.ask(post({"model": MODEL, "messages": [], "seed": 1}))
        assert (answer.status, answer.json) == (200, {"from": "outside"})
        assert answer.headers["x-roundhouse-replica"] == "external-paid"
        carried = next(request for request in server.requests if request.target.endswith("completions"))
        assert carried.target == "/base/v1/chat/completions"
        assert carried.header("authorization") == "Bearer their-key"
        assert carried.header("x-roundhouse-router") is None
        assert json.loads(carried.body) == {"model": "their-name", "messages": [], "seed": 1}
        assert server.checks[0].header("authorization") == "Bearer their-key"
        busy.close()
        await eventually(lambda: router.in_flight() == 0)
    await server.stop()


async def test_body_that_cannot_be_renamed_for_an_engine_outside_is_refused_and_holds_no_place(valkey_url: str) -> None:
    server = Outside()
    await server.start()
    async with rig(valkey_url) as router:
        await with_outside(router, server, model="their-name")
        answer = await router.ask(post(b'{"model":"%b","\xff":1}' % MODEL.encode()))
        assert (answer.status, answer.json["error"]["code"]) == (400, "invalid_json")
        assert router.in_flight() == 0
        assert (await router.ask(post())).status == 200
    await server.stop()


async def test_fallback_is_not_used_while_a_replica_has_room(valkey_url: str) -> None:
    server = Outside()
    await server.start()
    async with rig(valkey_url, FakeReplica("r1")) as router:
        await with_outside(router, server)
        for _ in range(10):
            assert (await router.ask(post())).headers["x-roundhouse-replica"] == "r1"
    await server.stop()


async def test_engine_outside_that_is_not_healthy_gets_nothing(valkey_url: str) -> None:
    server = Outside()
    server.healthy = False
    await server.start()
    async with rig(valkey_url) as router:
        engine = ExternalEngine(name="paid", url=f"http://127.0.0.1:{server.port}/v1", weight=1)
        await router.store.model(external=(engine,), routing=RoutingSettings(cold_start_timeout_s=0.1))
        await eventually(lambda: bool(server.checks))
        assert (await router.ask(post())).status == 503
        assert len(server.requests) == len(server.checks)
    await server.stop()


async def test_busy_engine_outside_says_so_only_when_there_is_no_other(valkey_url: str) -> None:
    async def busy(request: Received) -> None:
        await request.send(unary_bytes(b'{"error":{"message":"slow down"}}', status="429 Too Many Requests"))

    server = Outside(busy)
    await server.start()
    async with rig(valkey_url) as router:
        await with_outside(router, server)
        answer = await router.ask(post())
        assert (answer.status, answer.error["message"]) == (429, "slow down")
        ours = FakeReplica("r1")
        await ours.start()
        await router.store.endpoint(ours.endpoint())
        await eventually(lambda: router.router.core.table.models[MODEL].ready_replicas == 2)
        engine = ExternalEngine(
            name="paid", url=f"http://127.0.0.1:{server.port}/base/v1", key="their-key", weight=1000
        )
        await router.store.model(external=(engine,))
        await eventually(lambda: any(view.weight == 1000 for view in router.router.core.table.models[MODEL].replicas))
        assert (await router.ask(post())).headers["x-roundhouse-replica"] == "r1"
        await ours.stop()
    await server.stop()


async def test_request_that_kills_engines_kills_two_and_no_more(valkey_url: str) -> None:
    async def engine(request: Received) -> None:
        if b"poison" in request.body:
            replica = router.replicas[request.header("authorization").removeprefix("Bearer token-of-")]  # type: ignore[union-attr]
            replica.die()
            return
        await asyncio.sleep(0.01)
        await request.send(unary_bytes())

    fleet = [FakeReplica(f"r{number}", engine) for number in range(5)]
    async with rig(valkey_url, *fleet, retry_for_s=10) as router:
        poison = {"model": MODEL, "messages": [{"role": "user", "content": "poison"}]}

        async def innocent(number: int) -> int:
            body = {"model": MODEL, "messages": [{"role": "user", "content": f"hello {number}"}]}
            return (await router.ask(post(body))).status

        innocents = [asyncio.create_task(innocent(number)) for number in range(40)]
        answer = await router.ask(post(poison))
        assert (answer.status, answer.error["code"]) == (422, "request_quarantined")
        assert await asyncio.gather(*innocents) == [200] * 40
        assert (await router.ask(post(poison))).error["code"] == "request_quarantined"
        hit = [replica for replica in fleet if any(b"poison" in request.body for request in replica.requests)]
        assert len(hit) == 2
        assert router.router.core.telemetry.meter(MODEL).quarantined == 1
