"""What the router refuses, and how; a connection is either answered in order or closed, never confused."""

import asyncio
import json

import pytest

from router.credentials import csrf_token
from router.types import CredentialKind, ModelStatus, RoutingSettings
from tests.router_harness import KEY, FakeReplica, Received, chunk, digest, eventually, get, post, rig, unary_bytes

CHUNKED = f"POST /v1/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\ntransfer-encoding: chunked\r\n"


async def test_keys_are_asked_for_everywhere_under_v1(valkey_url: str) -> None:
    async with rig(valkey_url, FakeReplica("r1")) as router:
        for request in (post(key=None), get("/v1/models"), get("/v1/models/tiny")):
            answer = await router.ask(request)
            assert (answer.status, answer.error["code"]) == (401, "missing_api_key")
            assert answer.headers["www-authenticate"] == "Bearer"
        for request in (post(key="wrong"), post(key=digest(KEY)), get("/v1/models", key="wrong")):
            assert (await router.ask(request)).error["code"] == "invalid_api_key"
        assert (await router.ask(post(key=None, headers={"x-api-key": KEY}))).status == 200
        assert (await router.ask(get("/health"))).status == 200
        assert len(router.replicas["r1"].requests) == 1


async def test_accepted_header_proves_only_itself(valkey_url: str) -> None:
    async with rig(valkey_url, FakeReplica("r1")) as router:
        other = {"authorization": "Basic eA=="}
        assert (await router.ask(post(key=None, headers=other | {"x-api-key": KEY}))).status == 200
        assert (await router.ask(post(key=None, headers=other))).status == 401
        assert [(await router.ask(post())).status for _ in range(2)] == [200, 200]
        await router.store.revoke(KEY)
        await eventually(lambda: digest(KEY) not in (router.router.core.table.credentials or {}))
        assert (await router.ask(post())).status == 401


async def test_session_cookie_needs_its_csrf_header(valkey_url: str) -> None:
    async with rig(valkey_url, FakeReplica("r1")) as router:
        await router.store.key("session-token", CredentialKind.SESSION)
        await eventually(lambda: digest("session-token") in (router.router.core.table.credentials or {}))
        cookie = {"cookie": "a=b; roundhouse_session=session-token"}
        good = cookie | {"x-roundhouse-csrf": csrf_token("session-token")}
        origin = f"http://127.0.0.1:{router.port}"
        host = {"host": f"127.0.0.1:{router.port}"}
        assert (await router.ask(get("/v1/models", headers=cookie))).status == 200
        assert (await router.ask(post(key=None, headers=cookie))).error["code"] == "csrf"
        assert (await router.ask(post(key=None, headers=good))).status == 200
        assert (await router.ask(post(key=None, headers=good | host | {"origin": origin}))).status == 200
        assert (await router.ask(post(key=None, headers=good | host | {"origin": "http://evil"}))).status == 403


async def test_no_auth_serves_this_machine_only(valkey_url: str) -> None:
    async with rig(valkey_url, FakeReplica("r1"), no_auth=True) as router:
        assert (await router.ask(post(key=None))).status == 200
        for rebound in ({"host": "evil.example"}, {"origin": "http://evil.example"}):
            assert (await router.ask(post(key=None, headers=rebound))).error["code"] == "foreign_host"
            assert (await router.ask(get("/v1/models", headers=rebound))).status == 403


async def test_nobody_comes_in_before_the_table_is_read(valkey_url: str) -> None:
    for no_auth in (False, True):
        async with rig("redis://127.0.0.1:1/0", loaded=False, no_auth=no_auth) as router:
            for request in (post(), get("/v1/models", key=KEY)):
                answer = await router.ask(request)
                assert (answer.status, answer.error["code"]) == (503, "router_starting")
                assert "retry-after" in answer.headers
            assert (await router.ask(get("/health"))).status == 200


@pytest.mark.parametrize(
    ("body", "code"),
    [(b"", "invalid_json"), (b"{", "invalid_json"), (b"[]", "invalid_json"), (b'{"model": 1}', "invalid_model")],
)
async def test_bad_body_is_refused_and_the_connection_kept(valkey_url: str, body: bytes, code: str) -> None:
    async with rig(valkey_url, FakeReplica("r1")) as router:
        client = await router.client()
        await client.send(post(body) + post())
        first, second = await client.answer(), await client.answer()
        assert (first.status, first.error["code"], second.status) == (400, code, 200)
        client.close()


async def test_unknown_model_is_404_and_no_metric_label(valkey_url: str) -> None:
    async with rig(valkey_url, FakeReplica("r1")) as router:
        answer = await router.ask(post({"model": "never-heard-of"}))
        assert (answer.status, answer.error["code"]) == (404, "model_not_found")
        assert "/v1/models" in answer.error["message"]
        ops = await type(await router.client()).connect(router.ops_port)
        await ops.send(get("/metrics"))
        metrics = (await ops.answer()).body.decode()
        assert "never-heard-of" not in metrics
        assert 'roundhouse_router_requests_total{class="normal",code="404",model="unknown"} 1.0' in metrics
        assert 'roundhouse_router_replicas_ready{model="tiny"} 1.0' in metrics
        assert "roundhouse_router_store_connected 1.0" in metrics
        ops.close()


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (ModelStatus.READY, "model_starting"),
        (ModelStatus.ASLEEP, "model_asleep"),
        (ModelStatus.SWAPPING, "model_swapping"),
        (ModelStatus.FAILED, "model_failed"),
    ],
)
async def test_model_without_a_replica_says_when_to_come_back(valkey_url: str, status: ModelStatus, code: str) -> None:
    async with rig(valkey_url) as router:
        routing = RoutingSettings(cold_start_timeout_s=0.1)
        await router.store.model("cold", status, detail="reading weights", retry_after_s=42, routing=routing)
        await eventually(lambda: "cold" in router.router.core.table.models)
        answer = await router.ask(post({"model": "cold"}))
        assert (answer.status, answer.error["code"], answer.headers["retry-after"]) == (503, code, "42")
        assert "reading weights" in answer.error["message"]


async def test_wrong_method_and_unknown_paths_are_told_apart(valkey_url: str) -> None:
    async with rig(valkey_url, FakeReplica("r1")) as router:
        wrong = await router.ask(get("/v1/chat/completions", key=KEY))
        assert (wrong.status, wrong.headers["allow"]) == (405, "POST")
        for path in ("/v1/load_lora_adapter", "/v1/chat%2fcompletions/x", "/v1/audio/speech"):
            answer = await router.ask(post(path=path))
            assert (answer.status, answer.error["code"]) == (404, "path_not_found")
        assert (await router.ask(post(path="/collective_rpc"))).status == 405
        assert router.replicas["r1"].requests == []


async def test_announced_large_body_is_refused_before_it_comes(valkey_url: str) -> None:
    async with rig(valkey_url, FakeReplica("r1"), max_body_bytes=1000) as router:
        client = await router.client()
        await client.send(post(b"x" * 1001)[:300])
        answer = await client.answer()
        assert (answer.status, answer.headers["connection"]) == (413, "close")
        assert await client.at_end()


async def test_growing_large_body_is_refused_while_it_comes(valkey_url: str) -> None:
    async with rig(valkey_url, FakeReplica("r1"), max_body_bytes=1000) as router:
        client = await router.client()
        await client.send(CHUNKED.encode() + b"\r\n" + chunk(b"x" * 600) + chunk(b"x" * 600))
        assert (await client.answer()).status == 413
        assert await client.at_end()
        assert (await router.ask(post(b'{"model": "tiny", "t": "' + b"x" * 960 + b'"}'))).status == 200


async def test_expecting_client_is_refused_without_sending_its_body(valkey_url: str) -> None:
    async with rig(valkey_url, FakeReplica("r1")) as router:
        client = await router.client()
        head, _, _ = post(key="wrong", headers={"expect": "100-continue"}).partition(b"\r\n\r\n")
        await client.send(head + b"\r\n\r\n")
        answer = await client.answer()
        assert (answer.status, answer.headers["connection"]) == (401, "close")


@pytest.mark.parametrize(
    "head",
    [
        "".join(f"x-{n}: 1\r\n" for n in range(200)),
        f"x-long: {'x' * 100_000}\r\n",
        # Without an end: what is held must stay small.
        f"x-endless: {'x' * 400_000}",
    ],
)
@pytest.mark.parametrize("path", ["/v1/completions", "/health"])
async def test_large_headers_are_refused(valkey_url: str, head: str, path: str) -> None:
    async with rig(valkey_url, FakeReplica("r1")) as router:
        client = await router.client()
        end = "" if "endless" in head else "\r\n"
        await client.send(f"POST {path} HTTP/1.1\r\nhost: x\r\n{head}{end}".encode())
        assert (await client.answer()).status == 431
        assert await client.at_end()


async def test_endless_trailer_is_refused(valkey_url: str) -> None:
    async with rig(valkey_url, FakeReplica("r1")) as router:
        client = await router.client()
        await client.send(CHUNKED.encode() + b"\r\n" + chunk(b"{}") + b"0\r\nx: " + b"x" * 600_000)
        assert (await client.answer()).status == 431


async def test_slow_headers_time_out(valkey_url: str) -> None:
    async with rig(valkey_url, FakeReplica("r1"), header_timeout_s=0.2) as router:
        client = await router.client()
        await client.send(b"POST /v1/completions HTTP/1.1\r\nhost: x\r\n")
        assert (await client.answer()).status == 408
        assert await client.at_end()


async def test_silent_connection_is_closed(valkey_url: str) -> None:
    async with rig(valkey_url, FakeReplica("r1"), header_timeout_s=0.2, keep_alive_s=0.2) as router:
        silent = await router.client()
        used = await router.client()
        await used.send(post())
        assert (await used.answer()).status == 200
        assert await silent.at_end()
        assert await used.at_end()


async def test_slow_body_times_out_and_a_steady_one_does_not(valkey_url: str) -> None:
    async with rig(valkey_url, FakeReplica("r1"), body_timeout_s=0.3, min_body_bytes_per_s=1000) as router:
        slow = await router.client()
        await slow.send(post()[:-3])
        steady = await router.client()
        await steady.send(CHUNKED.encode() + b"\r\n" + chunk(b'{"model": "tiny", "t": "'))
        drip = asyncio.create_task(_drip(steady))
        assert (await slow.answer()).status == 408
        assert await slow.at_end()
        await drip
        assert (await steady.answer()).status == 200
        steady.close()


async def _drip(client) -> None:  # type: ignore[no-untyped-def]
    # Longer than the timeout, at twice the rate asked for: time is what this test is about.
    for _ in range(25):
        await client.send(chunk(b"x" * 100))
        await asyncio.sleep(0.03)
    await client.send(chunk(b'"}') + b"0\r\n\r\n")


@pytest.mark.parametrize(
    "attack",
    [
        b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /x HTTP/1.1\r\n\r\n",
        b"content-length: 2\r\ncontent-length: 3\r\n\r\n{} ",
        b"content-length: +2\r\n\r\n{}",
        b"content-length: 0x2\r\n\r\n{}",
        b"content-length: -1\r\n\r\n{}",
        b"transfer-encoding: chunked, identity\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        b"transfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
        b"transfer-encoding: chunked\r\n\r\n2\r\n{}XX0\r\n\r\n",
        b"transfer-encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n",
        b"transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n{}\r\n0\r\n\r\n",
        b"content-length : 2\r\n\r\n{}",
        b"x\x00y: 1\r\n\r\n",
        b"x: a\rb\r\n\r\n",
        b" folded: 1\r\n\r\n",
    ],
)
async def test_ambiguous_request_is_refused_and_the_connection_closed(valkey_url: str, attack: bytes) -> None:
    async with rig(valkey_url, FakeReplica("r1")) as router:
        client = await router.client()
        head = f"POST /v1/completions HTTP/1.1\r\nauthorization: Bearer {KEY}\r\nhost: x\r\n".encode()
        await client.send(head + attack)
        answer = await client.answer()
        assert answer.status in (400, 411)
        assert await client.at_end()
        assert router.replicas["r1"].requests == []


async def test_nonsense_behind_a_running_request_waits_for_its_answer(valkey_url: str) -> None:
    async def slowly(request: Received) -> None:
        await go_on.wait()
        await request.send(unary_bytes())

    go_on = asyncio.Event()
    async with rig(valkey_url, FakeReplica("r1", slowly)) as router:
        client = await router.client()
        await client.send(post() + b"\x16\x03\x01 nonsense\r\n\r\n")
        await router.replicas["r1"].arrived.get()
        go_on.set()
        first, second = await client.answer(), await client.answer()
        assert (first.status, second.status, second.error["code"]) == (200, 400, "malformed_http")
        assert await client.at_end()


async def test_nothing_after_connection_close_is_read(valkey_url: str) -> None:
    async with rig(valkey_url, FakeReplica("r1")) as router:
        client = await router.client()
        await client.send(post(headers={"connection": "close"}) + post() + get("/health"))
        assert (await client.answer()).headers["connection"] == "close"
        assert await client.at_end()
        assert len(router.replicas["r1"].requests) == 1


async def test_connect_is_refused(valkey_url: str) -> None:
    async with rig(valkey_url, FakeReplica("r1")) as router:
        client = await router.client()
        await client.send(b"CONNECT 127.0.0.1:22 HTTP/1.1\r\nhost: x\r\n\r\n")
        assert (await client.answer()).status == 400
        assert await client.at_end()


async def test_absolute_form_of_a_target_is_understood(valkey_url: str) -> None:
    async with rig(valkey_url, FakeReplica("r1")) as router:
        request = post().replace(b"POST /v1", b"POST http://elsewhere/v1")
        assert (await router.ask(request)).status == 200
        assert router.replicas["r1"].requests[0].target == "/v1/chat/completions"


async def test_replica_learns_nothing_of_a_client_without_a_key(valkey_url: str) -> None:
    async with rig(valkey_url, FakeReplica("r1")) as router:
        client = await router.client()
        await client.send(post(key="wrong") + post(json.loads('{"model": "tiny", "n": 2}')))
        assert [(await client.answer()).status for _ in range(2)] == [401, 200]
        assert len(router.replicas["r1"].requests) == 1
        client.close()
