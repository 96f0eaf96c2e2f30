"""Several routers on one public port, as processes on real sockets."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import uvicorn

from replicas.server import ReplicaGate
from tests.router_harness import (
    MODEL,
    FakeReplica,
    RawClient,
    StoreWriter,
    get,
    post,
)

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "token-of-r1"
PATIENCE_S = 40.0
COUNT = 2
IN_FLIGHT = "roundhouse_router_in_flight"


class HeldReplica:
    """A replica as it is, gate and all, whose engine answers when it is told to."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.routers: set[str] = set()
        self.gate = ReplicaGate(self._engine, TOKEN)
        self.port = 0

    async def _engine(self, scope: Any, receive: Any, send: Any) -> None:
        self.routers.add(dict(scope["headers"])[b"x-roundhouse-router"].decode())
        while (await receive()).get("more_body"):
            pass
        await self.go_on.wait()
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b'{"ok":true}'})

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
            server = uvicorn.Server(uvicorn.Config(self.gate, lifespan="off", log_config=None))
            task = asyncio.create_task(server._serve([listener]))
            try:
                yield
            finally:
                server.should_exit = server.force_exit = True
                await task


@dataclass
class Fleet:
    """Routers that run as processes, and their replica."""

    process: "subprocess.Popen[str]"
    port: int
    ops_port: int
    replica: HeldReplica

    def members(self) -> dict[int, psutil.Process]:
        """The routers, by process id."""
        return {each.pid: each for each in psutil.Process(self.process.pid).children()}

    async def ready(self, index: int) -> bool:
        try:
            client = await RawClient.connect(self.ops_port + index)
        except ConnectionRefusedError:
            return False
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await client.send(get("/ready"))
            status = (await client.answer()).status
            client.close()
            return status == 200
        return False

    async def all_ready(self) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not all([await self.ready(index) for index in range(COUNT)]):  # noqa: ASYNC110  # other processes
                await asyncio.sleep(0.05)

    async def ask(self) -> int:
        """One request on a connection of its own."""
        client = await RawClient.connect(self.port)
        await client.send(post())
        status = (await client.answer()).status
        client.close()
        return status

    async def hold(self, at_least: int = 2) -> list[RawClient]:
        """Connections with a request inside the replica, until each router has some."""
        self.replica.go_on.clear()
        clients: list[RawClient] = []
        async with asyncio.timeout(PATIENCE_S):
            while len(self.replica.gate.by_router) < COUNT or len(clients) < at_least:
                clients.append(await RawClient.connect(self.port))
                await clients[-1].send(post())
                while self.replica.gate.in_flight < len(clients):  # noqa: ASYNC110  # the gate has no event for it
                    await asyncio.sleep(0.005)
        return clients

    async def ended(self) -> int:
        return await asyncio.to_thread(self.process.wait, PATIENCE_S)

    def said(self) -> str:
        assert self.process.stderr is not None
        return self.process.stderr.read()


def start(url: str, port: int, ops_port: int, **environment: str) -> "subprocess.Popen[str]":
    settings = {"STORE_URL": url, "PORT": str(port), "OPS_PORT": str(ops_port), "WORKERS": str(COUNT), **environment}
    return subprocess.Popen(
        [sys.executable, "-m", "router.main"],
        cwd=ROOT,
        env=os.environ | {f"ROUNDHOUSE_ROUTER_{name}": value for name, value in settings.items()},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def free_ports() -> tuple[int, int]:
    """A free port, and the first of two that follow each other."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as public, socket.create_server(("127.0.0.1", 0)) as ops:
            port, ops_port = public.getsockname()[1], ops.getsockname()[1]
            with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", ops_port + 1)):
                return port, ops_port


@contextlib.asynccontextmanager
async def fleet(url: str, **environment: str) -> AsyncIterator[Fleet]:
    replica = HeldReplica()
    store = StoreWriter(url)
    async with replica.serving():
        endpoint = FakeReplica("r1").endpoint(port=replica.port, token=TOKEN)
        await store.model()
        await store.key()
        await store.endpoint(endpoint)
        port, ops_port = free_ports()
        process = start(url, port, ops_port, **({"DRAIN_S": "20"} | environment))
        found = Fleet(process, port, ops_port, replica)
        try:
            await found.all_ready()
            yield found
        finally:
            with contextlib.suppress(psutil.NoSuchProcess):
                for member in found.members().values():
                    member.kill()
            process.kill()
            process.wait()
            await store.client.aclose()


async def test_requests_are_spread_and_told_apart(valkey_url: str, tmp_path: Path) -> None:
    async with fleet(valkey_url, ACCESS_LOG=str(tmp_path / "access.jsonl")) as routers:
        clients = await routers.hold(at_least=12)
        by_router = dict(routers.replica.gate.by_router)
        assert len(by_router) == COUNT
        assert sum(by_router.values()) == len(clients) >= 12
        # Each router's own metrics agree with what the replica says of it.
        in_flight = set()
        for index in range(COUNT):
            ops = await RawClient.connect(routers.ops_port + index)
            await ops.send(get("/metrics"))
            text = (await ops.answer()).body.decode()
            ops.close()
            in_flight.add(next(line for line in text.splitlines() if line.startswith(f'{IN_FLIGHT}{{model="{MODEL}"')))
        assert in_flight == {f'{IN_FLIGHT}{{model="{MODEL}"}} {float(count)}' for count in by_router.values()}
        routers.replica.go_on.set()
        assert [(await client.answer()).status for client in clients] == [200] * len(clients)
        for client in clients:
            client.close()
        routers.process.terminate()
        assert await routers.ended() == 0
    written = {path.name: path.read_text().splitlines() for path in tmp_path.iterdir()}  # noqa: ASYNC240
    assert sorted(written) == ["access-0.jsonl", "access-1.jsonl"]
    lines = [line for of_one in written.values() for line in of_one]
    assert [json.loads(line)["code"] for line in lines] == [200] * len(clients)


async def test_killed_router_is_replaced_while_the_other_serves(valkey_url: str) -> None:
    async with fleet(valkey_url) as routers:
        while len(routers.replica.routers) < COUNT:
            assert await routers.ask() == 200
        before, known = set(routers.members()), set(routers.replica.routers)
        os.kill(min(before), signal.SIGKILL)
        while min(before) in routers.members():  # noqa: ASYNC110  # another process's state
            await asyncio.sleep(0.005)
        assert [await routers.ask() for _ in range(20)] == [200] * 20
        await routers.all_ready()
        after = set(routers.members())
        assert len(after) == COUNT
        assert len(after & before) == 1
        async with asyncio.timeout(PATIENCE_S):
            while not routers.replica.routers - known:
                assert await routers.ask() == 200
        routers.process.terminate()
        assert await routers.ended() == 0
        said = routers.said()
        assert f"process {min(before)}" in said
        assert "Traceback" not in said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_told_to_stop_all_finish_what_they_carry(valkey_url: str, number: signal.Signals) -> None:
    async with fleet(valkey_url) as routers:
        clients = await routers.hold()
        members = routers.members()
        # As a terminal does it: the whole group of the parent gets the signal.
        os.killpg(routers.process.pid, number)
        async with asyncio.timeout(PATIENCE_S):
            while True:
                with contextlib.suppress(ConnectionResetError):
                    try:
                        (await RawClient.connect(routers.port)).close()
                    except ConnectionRefusedError:
                        break
                await asyncio.sleep(0.01)
        assert routers.process.poll() is None
        routers.replica.go_on.set()
        assert [(await client.answer()).status for client in clients] == [200] * len(clients)
        assert await routers.ended() == 0
        assert not any(member.is_running() for member in members.values())
        assert "Traceback" not in routers.said()


async def test_told_twice_they_stop_at_once(valkey_url: str) -> None:
    async with fleet(valkey_url) as routers:
        clients = await routers.hold()
        routers.process.terminate()
        async with asyncio.timeout(PATIENCE_S):
            # The first one must have been heard, or both are one.
            while await routers.ready(0):
                await asyncio.sleep(0.01)
                routers.process.terminate()
            # Again and again, up to the very end: however often they are told, they end well.
            while routers.process.poll() is None:
                routers.process.terminate()
                await asyncio.sleep(0.001)
        assert routers.process.returncode == 0
        for client in clients:
            assert await client.at_end()
            client.close()


async def test_routers_end_with_their_parent(valkey_url: str) -> None:
    async with fleet(valkey_url) as routers:
        members = list(routers.members().values())
        routers.process.kill()
        _, alive = await asyncio.to_thread(psutil.wait_procs, members, PATIENCE_S)
        assert alive == []


async def test_port_of_another_fleet_is_taken(valkey_url: str) -> None:
    async with fleet(valkey_url) as routers:
        process = start(valkey_url, routers.port, free_ports()[1])
        _, told = await asyncio.to_thread(process.communicate, None, PATIENCE_S)
        assert (process.returncode, told.count("\n")) == (2, 1)
        assert str(routers.port) in told
        # The second ops port is taken, so none of them starts.
        port, _ = free_ports()
        process = start(valkey_url, port, routers.ops_port - 1)
        _, told = await asyncio.to_thread(process.communicate, None, PATIENCE_S)
        assert (process.returncode, told.count("\n")) == (2, 1)
        assert "ops port" in told
