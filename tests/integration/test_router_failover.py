"""A replica that fails, before and after its first byte; a client that leaves."""

import asyncio
import socket
from contextlib import ExitStack

import pytest

from router.errors import replica_lost_event
from tests.router_harness import (
    MODEL,
    STREAM_HEAD,
    FakeReplica,
    RawClient,
    Received,
    chunk,
    event,
    eventually,
    post,
    rig,
    unary_bytes,
)


async def hang(request: Received) -> None:
    await request.gone.wait()


async def close_at_once(request: Received) -> None:
    request.writer.close()


async def reset_at_once(request: Received) -> None:
    request.reset()


async def half_a_head(request: Received) -> None:
    await request.send(b"HTTP/1.1 200 OK\r\ncontent-ty")
    request.writer.close()


async def nonsense(request: Received) -> None:
    await request.send(b"SSH-2.0-OpenSSH_9.6\r\n")


async def two_lengths(request: Received) -> None:
    await request.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok")


async def draining(request: Received) -> None:
    await request.send(unary_bytes(status="503 Service Unavailable", extra="connection: close\r\n"))


async def wrong_token(request: Received) -> None:
    await request.send(unary_bytes(status="401 Unauthorized"))


DEATHS = [close_at_once, reset_at_once, half_a_head]
FAILURES = [close_at_once, reset_at_once, half_a_head, nonsense, two_lengths, draining, wrong_token]


@pytest.mark.parametrize("failure", FAILURES)
async def test_next_replica_answers_when_one_fails_before_its_answer(valkey_url: str, failure) -> None:  # type: ignore[no-untyped-def]
    async with rig(valkey_url, FakeReplica("bad", failure), FakeReplica("good")) as router:
        # The good one looks busy, so that the bad one is asked first.
        router.busy("good", 5)
        answer = await router.ask(post())
        assert (answer.status, answer.headers["x-roundhouse-replica"]) == (200, "good")
        assert len(router.replicas["bad"].requests) == 1
        assert router.replicas["good"].requests[0].body == router.replicas["bad"].requests[0].body
        assert router.in_flight() == 5


@pytest.mark.parametrize("failure", FAILURES)
async def test_everyone_is_asked_again_for_a_while_when_all_fail(valkey_url: str, failure) -> None:  # type: ignore[no-untyped-def]
    async with rig(valkey_url, FakeReplica("a", failure), FakeReplica("b", failure)) as router:
        answer = await router.ask(post())
        assert (answer.status, answer.error["code"]) in [(503, "no_replica_reachable"), (422, "request_quarantined")]
        # A request that two engines did not survive goes to no third; other failures are tried again.
        assert (answer.status == 422) == (failure in DEATHS)
        assert [len(replica.requests) for replica in router.replicas.values()] == [1 if failure in DEATHS else 2] * 2
        assert router.in_flight() == 0


async def test_refused_replica_is_passed_over_for_a_while(valkey_url: str) -> None:
    async with rig(valkey_url, FakeReplica("a"), FakeReplica("b"), circuit_open_s=60) as router:
        await router.replicas["a"].stop()
        assert [(await router.ask(post())).status for _ in range(10)] == [200] * 10
        assert router.retries().get("refused", 0) <= 1
        await router.replicas["b"].stop()
        assert (await router.ask(post())).status == 503


async def test_idle_connection_that_closes_as_we_write_is_retried(valkey_url: str) -> None:
    async def answer_then_vanish(request: Received) -> None:
        if len(replica.requests) % 2:
            await request.send(unary_bytes())
        else:
            # A kept connection: gone without a byte, as if it had timed out just then.
            request.reset()

    replica = FakeReplica("r1", answer_then_vanish)
    async with rig(valkey_url, replica) as router:
        client = await router.client()
        for _ in range(4):
            await client.send(post())
            assert (await client.answer()).status == 200
        assert router.retries() == {"stale": 3}
        client.close()


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
async def test_stream_that_loses_its_replica_ends_with_a_typed_error(valkey_url: str, path: str) -> None:
    async def die(request: Received) -> None:
        await request.send(STREAM_HEAD + chunk(event("one")) + chunk(b'data: {"choices": [{"del'))
        await release.wait()
        request.reset()

    release = asyncio.Event()
    async with rig(valkey_url, FakeReplica("r1", die), FakeReplica("r2", die)) as router:
        client = await router.client()
        await client.send(post({"model": "tiny", "stream": True}, path=path))
        await client.head()
        chunks = client.chunks()
        assert await anext(chunks) == event("one")
        release.set()
        rest = b"".join([piece async for piece in chunks])
        # No half event before it, no [DONE] after it, and the connection goes on.
        assert rest == replica_lost_event(anthropic=path == "/v1/messages")
        assert router.in_flight() == 0
        await client.send(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
        assert (await client.answer()).status == 200
        client.close()


async def _all(client: RawClient) -> list[bytes]:
    return [piece async for piece in client.chunks()]


@pytest.mark.parametrize("framing", [b"content-length: 100", b"transfer-encoding: chunked"])
async def test_unary_answer_that_breaks_off_never_looks_complete(valkey_url: str, framing: bytes) -> None:
    async def die(request: Received) -> None:
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n" + framing + b"\r\n\r\n"
        await request.send(head + (b'{"half":' if b"length" in framing else chunk(b'{"half":')))
        await release.wait()
        request.writer.close()

    release = asyncio.Event()
    async with rig(valkey_url, FakeReplica("r1", die)) as router:
        client = await router.client()
        await client.send(post())
        await client.head()
        release.set()
        whole = client.reader.readexactly(100) if b"length" in framing else _all(client)
        with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
            await whole
        await eventually(lambda: router.in_flight() == 0)


@pytest.mark.parametrize("half_close", [False, True])
@pytest.mark.parametrize("streaming", [False, True])
async def test_leaving_client_frees_the_replica_at_once(valkey_url: str, half_close: bool, streaming: bool) -> None:
    async def engine(request: Received) -> None:
        if streaming:
            await request.send(STREAM_HEAD + chunk(event("one")))
        await request.gone.wait()

    async with rig(valkey_url, FakeReplica("r1", engine)) as router:
        client = await router.client()
        await client.send(post({"model": "tiny", "stream": streaming}))
        request = await router.replicas["r1"].arrived.get()
        if streaming:
            await client.head()
        assert router.in_flight() == 1
        if half_close:
            client.writer.write_eof()
        else:
            client.close()
        async with asyncio.timeout(1):
            await request.gone.wait()
        await eventually(lambda: router.in_flight() == 0)
        assert router.codes() == {499: 1}
        assert router.router.core.telemetry.meter("tiny").in_flight == 0


async def test_client_that_leaves_while_we_connect_leaves_nothing_behind(valkey_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as deaf, ExitStack() as others:
        # With its backlog full, the kernel leaves further connections without an answer.
        for _ in range(3):
            other = others.enter_context(socket.socket())
            other.setblocking(False)
            other.connect_ex(deaf.getsockname())
        async with rig(valkey_url) as router:
            await router.store.endpoint(FakeReplica("r1").endpoint(port=deaf.getsockname()[1]))
            await eventually(lambda: router.router.core.table.models[MODEL].ready_replicas == 1)
            tasks = len(asyncio.all_tasks())
            client = await router.client()
            await client.send(post())
            await eventually(lambda: router.in_flight() == 1)
            assert len(asyncio.all_tasks()) > tasks
            client.close()
            await eventually(lambda: router.in_flight() == 0 and len(asyncio.all_tasks()) <= tasks)


async def test_answer_before_the_whole_request_was_read_does_not_spoil_the_pool(valkey_url: str) -> None:
    async def extra_bytes(request: Received) -> None:
        await request.send(unary_bytes() + b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged")

    async with rig(valkey_url, FakeReplica("r1", extra_bytes)) as router:
        client = await router.client()
        for _ in range(3):
            await client.send(post())
            assert (await client.answer()).json == {"ok": True}
        assert router.replicas["r1"].connections == 3
        client.close()


async def test_load_goes_where_the_least_is_in_flight(valkey_url: str) -> None:
    async with rig(valkey_url, FakeReplica("a", hang), FakeReplica("b", hang)) as router:
        clients = [await router.client() for _ in range(6)]
        for number, client in enumerate(clients, 1):
            await client.send(post())
            await eventually(lambda number=number: router.in_flight() == number)  # type: ignore[misc]
        assert [view.in_flight for view in router.router.core.table.models["tiny"].replicas] == [3, 3]
        for client in clients:
            client.close()
        await eventually(lambda: router.in_flight() == 0)
