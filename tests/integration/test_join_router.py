"""`roundhouse join --router`: a router on a machine that has joined. Ray is a process that only stays."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psutil
import pytest
import redis

from orchestrator.cli import node
from orchestrator.errors import HostError
from orchestrator.host import processes, ray_node
from orchestrator.host.home import Home
from orchestrator.host.join import JoinToken
from orchestrator.host.options import RouterOptions
from orchestrator.host.processes import Child
from orchestrator.host.weights_process import cache_child
from replicas.host_types import HostRecord, host_key
from tests.integration.test_router_fleet import free_ports
from tests.router_harness import FakeReplica, RawClient, StoreWriter, eventually, get, post

STAY = "import time; time.sleep(600)"
LEAVE = "print('No route to the head.')"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path)
    home.prepare()
    before = {each.pid for each in psutil.Process().children(recursive=True)}
    yield home
    left = [each for each in psutil.Process().children(recursive=True) if each.pid not in before]
    assert left == []


def imitate_ray(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    monkeypatch.setattr(ray_node, "join_command", lambda *_args: [sys.executable, "-c", program])
    # The test's own processes are not to be taken for those of this join.
    monkeypatch.setattr(processes, "adopt_orphans", lambda: None)
    monkeypatch.setattr(processes, "descendants", list)


def hosts(store_url: str) -> dict[str, HostRecord]:
    """Those whose lease holds, by address."""
    with redis.Redis.from_url(store_url) as client:
        values = [client.get(key) for key in client.keys(host_key("*"))]
    records = [msgspec.json.decode(value, type=HostRecord) for value in values if value is not None]
    return {record.address: record for record in records}


def weights_of(home: Home, store_url: str) -> Child:
    return cache_child(home, store_url=store_url, address="127.0.0.1", cache_size="1GiB")


async def answered(port: int, request: bytes) -> int:
    async with asyncio.timeout(40):
        while True:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                client = await RawClient.connect(port)
                await client.send(request)
                status = (await client.answer()).status
                client.close()
                if status == 200:
                    return status
            await asyncio.sleep(0.05)


async def test_joined_machine_serves_with_the_clusters_keys_until_it_leaves(
    valkey_url: str, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    imitate_ray(monkeypatch, STAY)
    store, replica = StoreWriter(valkey_url), FakeReplica("r1")
    await replica.start()
    await store.model()
    await store.key()
    await store.endpoint(replica.endpoint())
    port, ops_port = free_ports()
    token = JoinToken("10.0.0.1:6379", "ray-secret", valkey_url)
    wanted = RouterOptions(port=port, ops_port=ops_port)
    joining = asyncio.create_task(node._join(home, token, "127.0.0.1", 1, {}, weights_of(home, valkey_url), wanted))
    await answered(ops_port, get("/ready"))
    assert await answered(port, post()) == 200
    await eventually(lambda: "127.0.0.1" in hosts(valkey_url))
    assert hosts(valkey_url)["127.0.0.1"].limit_bytes == 2**30
    access_log = home.logs / "access.jsonl"
    await eventually(lambda: access_log.exists() and access_log.read_bytes().count(b"\n") == 1)
    # It is started again when it falls.
    (router,) = (each for each in psutil.Process().children() if "router.main" in each.cmdline())
    router.kill()
    await asyncio.to_thread(router.wait)
    assert await answered(port, post()) == 200
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(joining, 40)
    with pytest.raises(ConnectionRefusedError):
        await RawClient.connect(port)
    assert access_log.read_text().count("\n") == 2
    assert hosts(valkey_url) == {}
    await replica.stop()
    await store.client.aclose()


async def test_router_ends_when_the_machine_cannot_join(
    valkey_url: str, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    imitate_ray(monkeypatch, LEAVE)
    port, ops_port = free_ports()
    token = JoinToken("10.0.0.1:6379", "ray-secret", valkey_url)
    with pytest.raises(HostError, match=r"No route to the head\."):
        await node._join(
            home, token, "127.0.0.1", 1, {}, weights_of(home, valkey_url), RouterOptions(port=port, ops_port=ops_port)
        )
