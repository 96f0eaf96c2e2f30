"""The hot path carries requests and answers as they are."""

import asyncio
import json
from typing import Any

import pytest
from anthropic import AsyncAnthropic
from openai import APIError, AsyncOpenAI

from replicas.types import ROUTER_ID_HEADER
from router.request_head import ROUTES
from tests.router_harness import (
    KEY,
    STREAM_HEAD,
    FakeReplica,
    Received,
    chunk,
    event,
    eventually,
    post,
    rig,
    unary_bytes,
)

LAST = chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"


async def stream_ok(request: Received) -> None:
    await request.send(STREAM_HEAD)
    for word in ("The ", "capital ", "is ", "Paris."):
        await request.send(chunk(event(word)))
    await request.send(LAST)


async def test_unary_request_and_answer_pass_with_our_headers(valkey_url: str) -> None:
    async with rig(valkey_url, FakeReplica("r1")) as router:
        answer = await router.ask(post({"model": "tiny", "messages": []}, headers={"x-request-id": "abc-1"}))
        assert (answer.status, answer.json) == (200, {"ok": True})
        assert answer.headers["x-request-id"] == "abc-1"
        assert answer.headers["x-roundhouse-replica"] == "r1"
        assert answer.headers["x-roundhouse-revision"] == "sha256:abc"
        assert answer.headers["x-roundhouse-queue-ms"] == "0"
        (request,) = router.replicas["r1"].requests
        assert request.target == "/v1/chat/completions"
        assert request.body == b'{"model": "tiny", "messages": []}'
        assert request.header("authorization") == "Bearer token-of-r1"
        assert request.header("x-request-id") == "abc-1"
        assert router.in_flight() == 0
        assert router.codes() == {200: 1}


async def test_credentials_and_internal_headers_are_not_passed_on(valkey_url: str) -> None:
    async with rig(valkey_url, FakeReplica("r1")) as router:
        forged = {
            "x-api-key": "other", "cookie": "a=b", "x-roundhouse-replica": "forged", "te": "trailers",
            "connection": "keep-alive, x-private", "x-private": "1", "user-agent": "test",
            "x-request-id": "not sane!",
        }  # fmt: skip
        answer = await router.ask(post(headers=forged))
        (request,) = router.replicas["r1"].requests
        names = {name for name, _ in request.headers}
        assert not names & {"x-api-key", "cookie", "te", "x-private", "connection"}
        assert [name for name in names if name.startswith("x-roundhouse")] == [ROUTER_ID_HEADER]
        assert request.header(ROUTER_ID_HEADER) == router.router.id
        assert request.header("user-agent") == "test"
        assert KEY not in str(request.headers)
        assert answer.headers["x-request-id"] == request.header("x-request-id") != "not sane!"


async def test_answer_loses_hop_by_hop_and_forged_headers(valkey_url: str) -> None:
    async def forge(request: Received) -> None:
        extra = "x-roundhouse-replica: forged\r\nkeep-alive: timeout=5\r\nset-cookie: a=b\r\nx-engine: yes\r\n"
        await request.send(unary_bytes(extra=extra))

    async with rig(valkey_url, FakeReplica("r1", forge)) as router:
        headers = (await router.ask(post())).headers
        assert headers["x-roundhouse-replica"] == "r1"
        assert headers["x-engine"] == "yes"
        assert not {"keep-alive", "set-cookie"} & set(headers)


@pytest.mark.parametrize("path", [path.decode() for path in ROUTES])
async def test_every_inference_path_is_carried(valkey_url: str, path: str) -> None:
    async with rig(valkey_url, FakeReplica("r1")) as router:
        assert (await router.ask(post(path=f"{path}?beta=true"))).status == 200
        assert router.replicas["r1"].requests[0].target == f"{path}?beta=true"


async def test_stream_passes_event_by_event(valkey_url: str) -> None:
    go_on = asyncio.Event()

    async def slowly(request: Received) -> None:
        await request.send(STREAM_HEAD + chunk(event("one")))
        await go_on.wait()
        await request.send(chunk(event("two")) + LAST)

    async with rig(valkey_url, FakeReplica("r1", slowly)) as router:
        client = await router.client()
        await client.send(post({"model": "tiny", "stream": True}))
        _, headers = await client.head()
        assert headers["content-type"].startswith("text/event-stream")
        chunks = client.chunks()
        assert await anext(chunks) == event("one")
        assert router.in_flight() == 1
        go_on.set()
        assert b"".join([piece async for piece in chunks]) == event("two") + b"data: [DONE]\n\n"
        assert router.in_flight() == 0
        client.close()


async def test_connections_are_kept_on_both_sides(valkey_url: str) -> None:
    async with rig(valkey_url, FakeReplica("r1")) as router:
        client = await router.client()
        for _ in range(5):
            await client.send(post())
            assert (await client.answer()).status == 200
        assert router.replicas["r1"].connections == 1
        client.close()


async def test_pipelined_requests_are_answered_in_order_with_asgi_between(valkey_url: str) -> None:
    async def echo(request: Received) -> None:
        await request.send(unary_bytes(request.body))

    async with rig(valkey_url, FakeReplica("r1", echo)) as router:
        client = await router.client()
        numbered = [post({"model": "tiny", "n": number}) for number in range(3)]
        listing = b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n"
        refused = post({"model": "none"})
        await client.send(numbered[0] + listing + numbered[1] + refused + listing + numbered[2])
        answers = [await client.answer() for _ in range(6)]
        assert [answer.status for answer in answers] == [200, 200, 200, 404, 200, 200]
        assert [answer.json.get("n", answer.json.get("status")) for answer in answers if answer.status == 200] == [
            0, "ok", 1, "ok", 2,
        ]  # fmt: skip
        client.close()


async def test_many_pipelined_refusals_are_all_answered(valkey_url: str) -> None:
    async with rig(valkey_url, FakeReplica("r1")) as router:
        client = await router.client()
        sending = asyncio.create_task(client.send(post() + post(b"", key="wrong") * 2000))
        statuses = [(await client.answer()).status for _ in range(2001)]
        assert statuses == [200] + [401] * 2000
        await sending
        client.close()


async def test_go_ahead_is_given_to_a_client_that_waits_for_it(valkey_url: str) -> None:
    async with rig(valkey_url, FakeReplica("r1")) as router:
        client = await router.client()
        head, _, body = post(headers={"expect": "100-continue"}).partition(b"\r\n\r\n")
        await client.send(head + b"\r\n\r\n")
        assert (await client.answer()).status == 100
        await client.send(body)
        assert (await client.answer()).status == 200
        assert router.replicas["r1"].requests[0].header("expect") is None
        client.close()


async def test_chunked_request_arrives_whole(valkey_url: str) -> None:
    async with rig(valkey_url, FakeReplica("r1")) as router:
        client = await router.client()
        head = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n"
        head += f"authorization: Bearer {KEY}\r\n\r\n"
        pieces = [b'{"model"', b': "ti', b'ny"}']
        trailer = b"0\r\nx-roundhouse-forged: 1\r\n\r\n"
        await client.send(head.encode() + b"".join(map(chunk, pieces)) + trailer)
        assert (await client.answer()).status == 200
        (request,) = router.replicas["r1"].requests
        assert request.body == b'{"model": "tiny"}'
        assert request.header("transfer-encoding") is None
        assert request.header("x-roundhouse-forged") is None
        client.close()


async def test_large_body_arrives_whole(valkey_url: str) -> None:
    async with rig(valkey_url, FakeReplica("r1")) as router:
        body = json.dumps({"model": "tiny", "text": "x" * 3_000_000}).encode()
        assert (await router.ask(post(body))).status == 200
        assert router.replicas["r1"].requests[0].body == body


async def test_informational_answers_of_a_replica_are_skipped(valkey_url: str) -> None:
    async def hints(request: Received) -> None:
        await request.send(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + unary_bytes())

    async with rig(valkey_url, FakeReplica("r1", hints)) as router:
        assert (await router.ask(post())).status == 200


async def test_answer_framed_by_its_end_becomes_chunked(valkey_url: str) -> None:
    async def until_close(request: Received) -> None:
        await request.send(b"HTTP/1.0 200 OK\r\ncontent-type: text/plain\r\n\r\nall of it")
        request.writer.close()

    async with rig(valkey_url, FakeReplica("r1", until_close)) as router:
        answer = await router.ask(post())
        assert (answer.headers["transfer-encoding"], answer.body) == ("chunked", b"all of it")


async def test_error_answer_of_a_replica_is_the_clients(valkey_url: str) -> None:
    async def complain(request: Received) -> None:
        await request.send(unary_bytes(b'{"error":{"message":"too long"}}', status="400 Bad Request"))

    async with rig(valkey_url, FakeReplica("r1", complain)) as router:
        answer = await router.ask(post())
        assert (answer.status, answer.error["message"]) == (400, "too long")


async def test_http_1_0_client_gets_an_answer_that_ends_with_the_connection(valkey_url: str) -> None:
    async with rig(valkey_url, FakeReplica("r1", stream_ok)) as router:
        client = await router.client()
        await client.send(post().replace(b"HTTP/1.1", b"HTTP/1.0"))
        _, headers = await client.head()
        assert "transfer-encoding" not in headers
        assert (await client.reader.read()).endswith(b"data: [DONE]\n\n")


async def test_offered_upgrade_is_ignored_and_the_body_kept(valkey_url: str) -> None:
    async with rig(valkey_url, FakeReplica("r1")) as router:
        client = await router.client()
        offer = {"connection": "Upgrade, HTTP2-Settings", "upgrade": "h2c", "http2-settings": "AAMAAABkAARA"}
        for _ in range(2):
            await client.send(post({"model": "tiny", "java": True}, headers=offer))
            assert (await client.answer()).status == 200
        assert json.loads(router.replicas["r1"].requests[1].body) == {"model": "tiny", "java": True}
        client.close()


async def test_slow_reader_holds_the_replica_back(valkey_url: str) -> None:
    sent_bytes = 0
    blob = b"data: " + b"x" * 65_000 + b"\n\n"

    async def flood(request: Received) -> None:
        nonlocal sent_bytes
        await request.send(STREAM_HEAD)
        for _ in range(1000):
            await request.send(chunk(blob))
            sent_bytes += len(blob)
        await request.send(LAST)

    async with rig(valkey_url, FakeReplica("r1", flood)) as router:
        client = await router.client(receive_buffer_bytes=8192)
        await client.send(post({"model": "tiny", "stream": True}))
        (protocol,) = router.router.core.connections
        await eventually(lambda: protocol.flow.write_paused)  # type: ignore[attr-defined]
        assert protocol.transport.get_write_buffer_size() < 1_000_000  # type: ignore[attr-defined]
        assert sent_bytes < 30_000_000
        body = (await client.answer()).body
        assert len(body) == 1000 * len(blob) + len(b"data: [DONE]\n\n")
        client.close()


async def test_openai_sdk_reads_both_kinds_of_answer(valkey_url: str) -> None:
    answer = {
        "id": "1", "object": "chat.completion", "created": 1, "model": "tiny",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Paris."}}],
    }  # fmt: skip

    async def engine(request: Received) -> None:
        if json.loads(request.body).get("stream"):
            await stream_ok(request)
        else:
            await request.send(unary_bytes(json.dumps(answer).encode()))

    async with (
        rig(valkey_url, FakeReplica("r1", engine)) as router,
        AsyncOpenAI(api_key=KEY, base_url=f"http://127.0.0.1:{router.port}/v1") as sdk,
    ):
        messages: list[Any] = [{"role": "user", "content": "Capital of France?"}]
        unary = await sdk.chat.completions.create(model="tiny", messages=messages)
        assert unary.choices[0].message.content == "Paris."
        stream = await sdk.chat.completions.create(model="tiny", messages=messages, stream=True)
        text = "".join([part.choices[0].delta.content or "" async for part in stream])
        assert text == "The capital is Paris."


async def test_openai_sdk_raises_on_a_stream_that_lost_its_replica(valkey_url: str) -> None:
    async def die(request: Received) -> None:
        await request.send(STREAM_HEAD + chunk(event("half an")))
        request.reset()

    async with (
        rig(valkey_url, FakeReplica("r1", die)) as router,
        AsyncOpenAI(api_key=KEY, base_url=f"http://127.0.0.1:{router.port}/v1") as sdk,
    ):
        stream = await sdk.chat.completions.create(
            model="tiny", messages=[{"role": "user", "content": "x"}], stream=True
        )
        with pytest.raises(APIError, match="replica"):
            [part async for part in stream]


async def test_anthropic_sdk_comes_in_with_its_own_header(valkey_url: str) -> None:
    message = {
        "id": "1", "type": "message", "role": "assistant", "model": "tiny", "stop_reason": "end_turn",
        "content": [{"type": "text", "text": "Paris."}], "usage": {"input_tokens": 1, "output_tokens": 1},
    }  # fmt: skip

    async def engine(request: Received) -> None:
        await request.send(unary_bytes(json.dumps(message).encode()))

    async with (
        rig(valkey_url, FakeReplica("r1", engine)) as router,
        AsyncAnthropic(api_key=KEY, base_url=f"http://127.0.0.1:{router.port}") as sdk,
    ):
        answer = await sdk.messages.create(model="tiny", max_tokens=5, messages=[{"role": "user", "content": "x"}])
        assert answer.content[0].text == "Paris."  # type: ignore[union-attr]
