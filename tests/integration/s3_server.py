"""S3-compatible storage on loopback, and a way to it on which connections can be cut or held."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import boto3
from moto import settings
from moto.server import ThreadedMotoServer

BUCKET = "models"
_REQUEST = re.compile(rb"GET /[^/]+/([^ ?]+) HTTP/1\.1\r\n.*?\r\n\r\n", re.DOTALL)
_RANGE = re.compile(rb"\r\nrange: *bytes=(\d+)-", re.IGNORECASE)


@dataclass
class Storage:
    url: str

    def put(self, key: str, content: bytes) -> None:
        self._client().put_object(Bucket=BUCKET, Key=key, Body=content)

    def empty(self) -> None:
        for each in self._client().list_objects_v2(Bucket=BUCKET).get("Contents", ()):
            self._client().delete_object(Bucket=BUCKET, Key=each["Key"])

    def _client(self) -> Any:
        return boto3.client(
            "s3", endpoint_url=self.url, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b"
        )


@contextmanager
def running_storage() -> Iterator[Storage]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        storage = Storage(f"http://{host}:{port}")
        storage._client().create_bucket(Bucket=BUCKET)
        yield storage
    finally:
        server.stop()


@contextmanager
def asking_for_rights() -> Iterator[None]:
    """Storage in this process checks credentials, and knows none."""
    before, settings.INITIAL_NO_AUTH_ACTION_COUNT = settings.INITIAL_NO_AUTH_ACTION_COUNT, 0
    try:
        yield
    finally:
        settings.INITIAL_NO_AUTH_ACTION_COUNT = before


@dataclass
class Way:
    """Passes connections on. The first transfer of `key` stops after `stop_after` bytes: cut, or held until it ends."""

    key: str
    stop_after: int
    held: bool
    url: str = ""
    asked: list[tuple[str, int]] = field(default_factory=list)
    """Key and first byte of every object that was asked for."""
    stopped: asyncio.Event = field(default_factory=asyncio.Event)

    async def pass_on(self, near: asyncio.StreamReader, reply: asyncio.StreamWriter, port: int) -> None:
        far, send = await asyncio.open_connection("127.0.0.1", port)
        keys: list[str] = []  # of this connection, in order
        asking = asyncio.create_task(self._ask(near, send, keys))
        with suppress(ConnectionError, asyncio.CancelledError):
            await self._answer(far, reply, keys)
        asking.cancel()
        for writer in (reply, send):
            writer.close()

    async def _ask(self, near: asyncio.StreamReader, send: asyncio.StreamWriter, keys: list[str]) -> None:
        while piece := await near.read(2**16):
            for request in _REQUEST.finditer(piece):
                first = _RANGE.search(request[0])
                keys.append(request[1].decode())
                self.asked.append((keys[-1], int(first[1]) if first else 0))
            send.write(piece)
        send.close()

    async def _answer(self, far: asyncio.StreamReader, reply: asyncio.StreamWriter, keys: list[str]) -> None:
        passed = 0
        while piece := await far.read(2**16):
            mine = keys[-1:] == [self.key] and not self.stopped.is_set()
            passed = passed + len(piece) if mine else 0
            reply.write(piece)
            await reply.drain()
            if mine and passed >= self.stop_after:
                self.stopped.set()
                if self.held:
                    await asyncio.Event().wait()
                return


@asynccontextmanager
async def way_to(storage: Storage, key: str, stop_after: int, *, held: bool = False) -> AsyncIterator[Way]:
    way = Way(key, stop_after, held)
    port = int(storage.url.rpartition(":")[2])
    tasks: set[asyncio.Task[None]] = set()

    async def on_connection(near: asyncio.StreamReader, reply: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        await way.pass_on(near, reply, port)

    server = await asyncio.start_server(on_connection, "127.0.0.1", 0)
    way.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield way
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
