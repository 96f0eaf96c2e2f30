"""What a client hears while its stream waits, over real sockets."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from router.types import ModelStatus, RoutingSettings
from tests.router_harness import (
    MODEL,
    STREAM_HEAD,
    FakeReplica,
    RawClient,
    Received,
    Rig,
    chunk,
    event,
    eventually,
    post,
    rig,
    unary_bytes,
)

ASLEEP: dict[str, Any] = {"status": ModelStatus.ASLEEP, "detail": "the next request starts it", "retry_after_s": 33}
STREAM = {"model": MODEL, "stream": True, "messages": [{"role": "user", "content": "Hello?"}]}
DONE = b"data: [DONE]\n\n"


async def stream(request: Received) -> None:
    await request.send(STREAM_HEAD + chunk(event("Hello.")) + chunk(DONE) + b"0\r\n\r\n")


async def refuse(request: Received) -> None:
    await request.send(unary_bytes(b'{"error":{"message":"too long"}}', status="400 Bad Request"))


@pytest.fixture
async def router(valkey_url: str) -> AsyncIterator[Rig]:
    """Nobody serves the model, which sleeps."""
    async with rig(valkey_url) as opened:
        await opened.store.model(**ASLEEP)
        await eventually(lambda: opened.router.core.table.models[MODEL].entry.status is ModelStatus.ASLEEP)
        yield opened


async def ask(router: Rig, **headers: str) -> RawClient:
    client = await router.client()
    await client.send(post(STREAM, headers={name.replace("_", "-"): value for name, value in headers.items()}))
    return client


async def wake(router: Rig, behaviour: Any) -> FakeReplica:
    replica = FakeReplica("r1", behaviour)
    await replica.start()
    await router.store.endpoint(replica.endpoint())
    return replica


async def test_stream_that_waits_hears_comments_and_then_the_answer(router: Rig) -> None:
    client = await ask(router, x_roundhouse_progress="1")
    status, headers = await client.head()
    assert (status, headers["content-type"]) == (200, "text/event-stream")
    pieces = client.chunks()
    first, second = await anext(pieces), await anext(pieces)
    told = json.loads(second.removeprefix(b": roundhouse "))
    assert told["waited_s"] > json.loads(first.removeprefix(b": roundhouse "))["waited_s"] >= 0.9
    assert (told["status"], told["eta_s"], told["detail"]) == ("asleep", 33, "the next request starts it")
    replica = await wake(router, stream)
    text = b"".join([piece async for piece in pieces])
    lines = [line for line in text.splitlines() if line and not line.startswith(b":")]
    assert lines == [event("Hello.").strip(), DONE.strip()], "but for comments nothing but the answer"
    assert b"\n: x-roundhouse-revision: sha256:abc" in text
    assert b": x-roundhouse-queue-ms: " in text
    assert replica.requests[0].header("x-roundhouse-progress") is None
    await replica.stop()


async def test_stream_that_is_answered_at_once_hears_no_comment(valkey_url: str) -> None:
    replica = FakeReplica("r1", stream)
    async with rig(valkey_url, replica) as router:
        answer = await (await ask(router, x_roundhouse_progress="1")).answer()
        assert answer.body == event("Hello.") + DONE
        assert answer.headers["x-roundhouse-revision"] == "sha256:abc"


@pytest.mark.parametrize("headers", [{}, {"x_roundhouse_progress": "0"}])
async def test_stream_of_a_client_that_did_not_ask_hears_nothing_until_the_answer(
    router: Rig, headers: dict[str, str]
) -> None:
    client = await ask(router, **headers)
    await eventually(lambda: router.router.core.table.models[MODEL].queue.oldest_wait_s(_now(router)) > 1.3)
    replica = await wake(router, stream)
    answer = await client.answer()
    assert (answer.status, answer.body) == (200, event("Hello.") + DONE)
    await replica.stop()


async def test_refusal_after_comments_is_an_event_and_not_a_bare_end(router: Rig) -> None:
    await router.store.model(**ASLEEP, routing=RoutingSettings(cold_start_timeout_s=1.5))
    await eventually(lambda: router.router.core.table.models[MODEL].entry.routing.cold_start_timeout_s == 1.5)
    answer = await (await ask(router, x_roundhouse_progress="1")).answer()
    last = answer.body.rstrip().rpartition(b"\n")[2]
    error = json.loads(last.removeprefix(b"data: "))["error"]
    assert (answer.status, error["code"], DONE in answer.body) == (200, "model_asleep", False)
    assert router.codes() == {503: 1}, "counted as what it is"


async def test_error_of_an_engine_after_comments_is_an_event(router: Rig) -> None:
    client = await ask(router, x_roundhouse_progress="1")
    await client.head()
    pieces = client.chunks()
    await anext(pieces)
    replica = await wake(router, refuse)
    text = b"".join([piece async for piece in pieces])
    assert text.endswith(b'data: {"error":{"message":"too long"}}\n\n')
    await replica.stop()


async def test_client_that_leaves_while_it_is_told_is_forgotten(router: Rig) -> None:
    client = await ask(router, x_roundhouse_progress="1")
    await client.head()
    client.close()
    await eventually(lambda: router.router.core.table.models[MODEL].queue.count == 0)


async def test_second_request_on_the_connection_after_comments_is_answered(router: Rig) -> None:
    client = await ask(router, x_roundhouse_progress="1")
    status, _ = await client.head()
    pieces = client.chunks()
    await anext(pieces)
    replica = await wake(router, stream)
    assert [piece async for piece in pieces]
    await client.send(post(STREAM))
    assert (status, (await client.answer()).status) == (200, 200)
    await replica.stop()


def _now(router: Rig) -> float:
    return router.router.core.clock.now()
