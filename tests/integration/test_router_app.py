"""What is not hot: models, the orchestrator, the UI, the process."""

import asyncio
import gzip
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from router.types import ModelStatus
from tests.router_harness import (
    KEY,
    STREAM_HEAD,
    FakeReplica,
    RawClient,
    Received,
    StoreWriter,
    chunk,
    event,
    eventually,
    get,
    post,
    rig,
    unary_bytes,
)

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def ui_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "ui"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<title>Roundhouse</title>")
    (folder / "assets" / "app-1a2b.js").write_text("1")
    (tmp_path / "secret.txt").write_text("secret")
    return folder


@asynccontextmanager
async def orchestrated(url: str, behaviour: Any) -> AsyncIterator[Any]:
    orchestrator = FakeReplica("orchestrator", behaviour)
    await orchestrator.start()
    try:
        async with rig(url, orchestrator_url=f"http://127.0.0.1:{orchestrator.port}") as router:
            yield router, orchestrator
    finally:
        await orchestrator.stop()


async def test_models_are_listed_with_their_state(valkey_url: str) -> None:
    async with rig(valkey_url, FakeReplica("r1")) as router:
        await router.store.endpoint(router.replicas["r1"].endpoint(max_model_len=2048))
        await router.store.model("org/cold", ModelStatus.ASLEEP, detail="asleep", simulated=True, description="d")
        table = router.router.core.table
        await eventually(lambda: "org/cold" in table.models and table.models["tiny"].replicas[0].max_model_len == 2048)
        listed = (await router.ask(get("/v1/models", key=KEY))).json
        assert listed["object"] == "list"
        cold, tiny = listed["data"]
        assert tiny == {
            "id": "tiny", "object": "model", "created": 1700000000, "owned_by": "roundhouse", "root": "tiny",
            "parent": None, "max_model_len": 2048, "context_length": 2048, "status": "ready", "detail": "",
        }  # fmt: skip
        assert (cold["status"], cold["simulated"], cold["description"]) == ("asleep", True, "d")
        assert (await router.ask(get("/v1/models/org/cold", key=KEY))).json == cold
        assert (await router.ask(get("/v1/models/none", key=KEY))).error["code"] == "model_not_found"


async def test_ready_model_shows_as_starting_without_a_ready_replica(valkey_url: str) -> None:
    async with rig(valkey_url) as router:
        (model,) = (await router.ask(get("/v1/models", key=KEY))).json["data"]
        assert model["status"] == "starting"


async def test_api_passes_both_ways_unbuffered(valkey_url: str) -> None:
    go_on = asyncio.Event()

    async def events(request: Received) -> None:
        await request.send(STREAM_HEAD + chunk(event("one")))
        await go_on.wait()
        await request.send(chunk(event("two")) + b"0\r\n\r\n")

    async with orchestrated(valkey_url, events) as (router, orchestrator):
        client = await router.client()
        headers = {"cookie": "roundhouse_session=x", "x-roundhouse-csrf": "y", "te": "trailers", "host": "box:8000"}
        await client.send(get("/api/v1/events?since=%2F5", headers=headers))
        status, _ = await client.head()
        chunks = client.chunks()
        assert (status, await anext(chunks)) == (200, event("one"))
        go_on.set()
        assert [piece async for piece in chunks] == [event("two")]
        (request,) = orchestrator.requests
        assert request.target == "/api/v1/events?since=%2F5"
        assert request.header("cookie") == "roundhouse_session=x"
        assert request.header("x-roundhouse-csrf") == "y"
        assert request.header("host") == "box:8000"
        assert request.header("te") is None
        client.close()


async def test_api_passes_bodies_and_answers_as_they_are(valkey_url: str) -> None:
    async def created(request: Received) -> None:
        extra = "set-cookie: roundhouse_session=s; HttpOnly\r\nset-cookie: b=2\r\n"
        await request.send(unary_bytes(request.body, status="201 Created", extra=extra))

    async with orchestrated(valkey_url, created) as (router, orchestrator):
        client = await router.client()
        body = os.urandom(900_000)
        await client.send(post(body, path="/api/v1/uploads", key=None))
        raw_head = await client.reader.readuntil(b"\r\n")
        while (line := await client.reader.readuntil(b"\r\n")) != b"\r\n":
            raw_head += line
        assert raw_head.startswith(b"HTTP/1.1 201")
        assert raw_head.count(b"set-cookie: ") == 2
        assert await client.reader.readexactly(len(body)) == body
        assert orchestrator.requests[0].header("content-length") == "900000"
        client.close()


@pytest.mark.parametrize("chunked", [False, True])
async def test_api_body_over_the_limit_is_refused_before_the_orchestrator_has_read_it(
    valkey_url: str, chunked: bool
) -> None:
    async def read_all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(read_all, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, rig(valkey_url, orchestrator_url=f"http://127.0.0.1:{port}") as router:
        client = await router.client()
        if chunked:
            head = b"POST /api/v1/session HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n"
            await client.send(head + b"".join(chunk(b"x" * 65536) for _ in range(20)))
        else:
            head = b"POST /api/v1/session HTTP/1.1\r\nhost: localhost\r\ncontent-length: 50000000000\r\n\r\n"
            await client.send(head)
        assert (await client.reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 413")
        client.close()


async def test_api_reader_that_leaves_ends_the_orchestrators_stream(valkey_url: str) -> None:
    async def events(request: Received) -> None:
        await request.send(STREAM_HEAD + chunk(event("one")))
        await request.gone.wait()

    async with orchestrated(valkey_url, events) as (router, orchestrator):
        client = await router.client()
        await client.send(get("/api/v1/events"))
        await client.head()
        client.close()
        await asyncio.wait_for(orchestrator.requests[0].gone.wait(), 2)


@pytest.mark.parametrize("url", [None, "http://127.0.0.1:1"])
async def test_api_says_so_when_the_orchestrator_is_down(valkey_url: str, url: str | None) -> None:
    async with rig(valkey_url, orchestrator_url=url) as router:
        answer = await router.ask(get("/api/v1/models"))
        assert (answer.status, answer.error["code"]) == (503, "orchestrator_unreachable")
        assert "retry-after" in answer.headers


async def test_ui_pages_and_assets_are_served_with_their_headers(valkey_url: str, ui_dir: Path) -> None:
    async with rig(valkey_url, ui_dir=ui_dir) as router:
        for path in ("/", "/admin/models", "/index.html"):
            page = await router.ask(get(path))
            assert (page.status, page.body) == (200, b"<title>Roundhouse</title>")
            assert page.headers["cache-control"] == "no-cache"
            assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
            assert page.headers["x-content-type-options"] == "nosniff"
            assert page.headers["referrer-policy"] == "no-referrer"
        asset = await router.ask(get("/assets/app-1a2b.js"))
        assert "immutable" in asset.headers["cache-control"]
        for path in ("/assets/none.js", "/..%2fsecret.txt", "/%2e%2e/secret.txt", "/../secret.txt"):
            answer = await router.ask(get(path))
            assert (answer.status, b"secret" in answer.body) == (404, False)


async def test_missing_ui_says_what_to_run_until_it_is_there(valkey_url: str, tmp_path: Path) -> None:
    async with rig(valkey_url, ui_dir=tmp_path / "dist") as router:
        assert b"infra/up" in (await router.ask(get("/"))).body
        (tmp_path / "dist").mkdir()
        (tmp_path / "dist" / "index.html").write_text("built")
        assert (await router.ask(get("/"))).body == b"built"


async def test_ready_follows_the_first_snapshot(valkey_url: str) -> None:
    async with rig("redis://127.0.0.1:1/0", loaded=False) as router:
        ops = await RawClient.connect(router.ops_port)
        await ops.send(get("/ready"))
        assert (await ops.answer()).status == 503
        ops.close()
    async with rig(valkey_url) as router:
        ops = await RawClient.connect(router.ops_port)
        await ops.send(get("/ready"))
        assert (await ops.answer()).status == 200
        await ops.send(get("/v1/models"))
        assert (await ops.answer()).status == 404
        ops.close()


async def test_stopping_router_lets_answers_end_and_accepts_nothing_more(valkey_url: str) -> None:
    async def slowly(request: Received) -> None:
        await request.send(STREAM_HEAD + chunk(event("one")))
        await go_on.wait()
        await request.send(chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")

    go_on = asyncio.Event()
    async with rig(valkey_url, FakeReplica("r1", slowly)) as router:
        idle, busy = await router.client(), await router.client()
        await busy.send(post({"model": "tiny", "stream": True}))
        await busy.head()
        router.router.stop()
        assert await idle.at_end()
        with pytest.raises(OSError, match=r"refused|Connect"):
            await router.client()
        go_on.set()
        assert b"[DONE]" in b"".join([piece async for piece in busy.chunks()])
        assert await busy.at_end()


def _start(url: str, **environment: str) -> subprocess.Popen[str]:
    settings = {f"ROUNDHOUSE_ROUTER_{name}": value for name, value in environment.items()}
    return subprocess.Popen(
        [sys.executable, "-m", "router.main"],
        cwd=ROOT,
        env=os.environ | {"ROUNDHOUSE_ROUTER_STORE_URL": url} | settings,
        stderr=subprocess.PIPE,
        text=True,
    )


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


async def _reachable(port: int) -> RawClient:
    async with asyncio.timeout(30):
        while True:
            try:
                return await RawClient.connect(port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.02)


async def test_process_serves_and_ends_on_sigterm_though_a_page_listens(valkey_url: str) -> None:
    async def events(request: Received) -> None:
        await request.send(STREAM_HEAD + chunk(event("one")))
        await request.gone.wait()

    replica, orchestrator = FakeReplica("r1"), FakeReplica("orchestrator", events)
    await replica.start()
    await orchestrator.start()
    store = StoreWriter(valkey_url)
    await store.model()
    await store.key()
    await store.endpoint(replica.endpoint())
    port, ops = _free_port(), _free_port()
    api = f"http://127.0.0.1:{orchestrator.port}"
    process = _start(valkey_url, PORT=str(port), OPS_PORT=str(ops), ORCHESTRATOR_URL=api, DRAIN_S="20")
    try:
        client = await _reachable(port)
        await eventually_ready(ops)
        await client.send(post())
        assert (await client.answer()).status == 200
        await client.send(get("/api/v1/events"))
        await client.head()
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 10) == 0
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()
    finally:
        process.kill()
        process.wait()
        await store.client.aclose()
        await replica.stop()
        await orchestrator.stop()


async def eventually_ready(ops_port: int) -> None:
    client = await _reachable(ops_port)
    async with asyncio.timeout(10):
        while True:
            await client.send(get("/ready"))
            if (await client.answer()).status == 200:
                client.close()
                return


async def test_taken_port_is_told_in_one_sentence(valkey_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        process = _start(valkey_url, PORT=port, OPS_PORT="0")
        _, told = await asyncio.to_thread(process.communicate, None, 30)
    assert process.returncode == 2
    assert told.count("\n") == 1
    assert port in told


async def test_settings_that_cannot_work_are_told_in_one_sentence(valkey_url: str) -> None:
    process = _start(valkey_url, HOST="0.0.0.0", NO_AUTH="true")
    _, told = await asyncio.to_thread(process.communicate, None, 30)
    assert (process.returncode, told.count("\n")) == (2, 1)
    assert "loopback" in told


async def test_ui_asset_with_a_compressed_form_is_sent_compressed_to_those_who_take_it(
    valkey_url: str, ui_dir: Path
) -> None:
    (ui_dir / "assets" / "app-1a2b.js.gz").write_bytes(gzip.compress(b"1"))
    async with rig(valkey_url, ui_dir=ui_dir) as router:
        packed = await router.ask(get("/assets/app-1a2b.js", headers={"accept-encoding": "br, gzip"}))
        plain = await router.ask(get("/assets/app-1a2b.js"))
    assert (packed.headers["content-encoding"], gzip.decompress(packed.body)) == ("gzip", b"1")
    assert "javascript" in packed.headers["content-type"]
    assert "immutable" in packed.headers["cache-control"]
    assert "content-encoding" not in plain.headers
    assert plain.body == b"1"
