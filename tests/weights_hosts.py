"""Hosts of a cluster as real processes, each with an address of its own on loopback and a folder for its weights."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from redis.asyncio import Redis

from orchestrator.library.adopt import hash_folder
from replicas.host_types import FetchLine, HostRecord
from replicas.store import fetch_host, open_store
from replicas.weights.client import follow_fetch
from replicas.weights.contents import Contents
from replicas.weights.manifest import digest

WAIT_S = 30


def publish(folder: Path, files: Mapping[str, bytes]) -> str:
    """Make a revision of `files` in the contents at `folder`."""
    staging = folder.with_name(f"{folder.name}.staging")
    for name, data in files.items():
        (staging / name).parent.mkdir(parents=True, exist_ok=True)
        (staging / name).write_bytes(data)
    manifest = hash_folder(staging, lambda _: None)
    Contents(folder).publish(staging, manifest)
    for name in files:
        (staging / name).unlink()
    return digest(manifest)


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class Host:
    """One host's process, and its record in the store."""

    def __init__(
        self, address: str, folder: Path, store_url: str, store: Redis, environment: Mapping[str, str]
    ) -> None:
        self.address = address
        self.folder = folder
        self._store = store
        self._environment = {
            **os.environ,
            "ROUNDHOUSE_WEIGHTS_STORE_URL": store_url,
            "ROUNDHOUSE_WEIGHTS_ADDRESS": address,
            "ROUNDHOUSE_WEIGHTS_FOLDER": str(folder),
            "ROUNDHOUSE_WEIGHTS_PATIENCE_S": "2",
            **environment,
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._log = folder.with_name(f"{folder.name}.log")

    async def start(self) -> HostRecord:
        """Returns once it has told the store of itself."""
        before = await fetch_host(self._store, self.address)
        self.spawn()
        return await self.told(lambda record: before is None or record.token != before.token)

    def spawn(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "replicas.weights.main"], env=self._environment, stdout=log, stderr=log
            )

    async def told(self, condition: Callable[[HostRecord], bool]) -> HostRecord:
        """Its record once `condition` holds of it."""
        async with asyncio.timeout(WAIT_S):
            while True:
                record = await fetch_host(self._store, self.address)
                if record is not None and condition(record):
                    return record
                assert self._process is None or self._process.poll() is None, self._log.read_text()
                await asyncio.sleep(0.01)

    async def record(self) -> HostRecord:
        return await self.told(lambda _: True)

    async def fetch(self, revision: str) -> list[FetchLine]:
        """All lines of a fetch."""
        return [line async for line in follow_fetch(await self.record(), revision)]

    async def received(self, count: int) -> int:
        """How much it holds of unfinished files, once that is at least `count` bytes."""
        async with asyncio.timeout(WAIT_S):
            while True:
                sizes = [path.stat().st_size for path in (self.folder / "fetching").iterdir()]
                if sum(sizes) >= count:
                    return sum(sizes)
                await asyncio.sleep(0)

    def revision(self, revision: str) -> Path:
        return Contents(self.folder).folder(revision)

    def move(self, address: str) -> None:
        """Have it start at another address."""
        self.address = self._environment["ROUNDHOUSE_WEIGHTS_ADDRESS"] = address

    async def logged(self, words: str) -> None:
        """Returns once its log has the words."""
        async with asyncio.timeout(WAIT_S):
            while True:
                if self._log.exists() and words in self._log.read_text():
                    return
                await asyncio.sleep(0.02)

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """As a power cut of the process alone: nothing is tidied up."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> int:
        """Asked politely; its exit status."""
        assert self._process is not None
        self._process.terminate()
        status, self._process = self._process.wait(timeout=WAIT_S), None
        return status


class Hosts:
    """Makes hosts; addresses count up from 127.0.0.1, which is the library's."""

    def __init__(self, root: Path, store_url: str, store: Redis) -> None:
        self._root = root
        self._store_url = store_url
        self.store = store
        self.made: list[Host] = []

    def beside(self, other: Host) -> Host:
        """A second cache on the same machine."""
        host = self.cache()
        host.move(other.address)
        return host

    def library(self) -> Host:
        return self._make({"ROUNDHOUSE_WEIGHTS_IS_LIBRARY": "true"})

    def cache(self, **settings: str) -> Host:
        """`settings`: further variables by their names without the prefix."""
        return self._make({f"ROUNDHOUSE_WEIGHTS_{name.upper()}": value for name, value in settings.items()})

    def _make(self, environment: Mapping[str, str]) -> Host:
        number = len(self.made) + 1
        host = Host(f"127.0.0.{number}", self._root / f"host{number}", self._store_url, self.store, environment)
        self.made.append(host)
        return host


@asynccontextmanager
async def hosts(root: Path, store_url: str) -> AsyncIterator[Hosts]:
    """Kills what is left of them at the end."""
    store = open_store(store_url)
    made = Hosts(root, store_url, store)
    try:
        yield made
    finally:
        for host in made.made:
            host.kill()
        await store.aclose()


async def get(record: HostRecord, path: str, **headers: str) -> httpx.Response:
    """What a host answers to one who knows its token, unless `headers` say otherwise."""
    headers = {"authorization": f"Bearer {record.token}"} | headers
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.get(f"http://{record.address}:{record.port}{path}", headers=headers)
