"""What the router's tests put around it: replicas on real sockets, a client of raw bytes, the store's writer."""

import asyncio
import contextlib
import hashlib
import json
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import redis.asyncio as redis

from replicas.types import CHANGES_CHANNEL, ENDPOINT_IDS_KEY, Endpoint, EngineKind, ReplicaState, endpoint_key
from router.main import Router, running
from router.replica_view import derive
from router.settings import RouterSettings
from router.types import (
    ALIASES_KEY,
    CATALOG_KEY,
    CREDENTIALS_KEY,
    Alias,
    AliasTarget,
    CatalogEntry,
    Credential,
    CredentialKind,
    ModelStatus,
    Role,
)

KEY = "rh-test-key"
MODEL = "tiny"
PATIENCE_S = 10.0


async def eventually(condition: Callable[[], bool]) -> None:
    """Returns as soon as `condition` holds; fails after `PATIENCE_S`."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110  # the condition is another task's plain data
            await asyncio.sleep(0.002)


@dataclass
class Received:
    """A request as a replica got it."""

    target: str
    headers: list[tuple[str, str]]
    body: bytes
    writer: asyncio.StreamWriter
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the router cuts the connection."""

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def reset(self) -> None:
        """Ends the connection with a reset."""
        linger = struct.pack("ii", 1, 0)
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()


Behaviour = Callable[[Received], Awaitable[None]]


def unary_bytes(body: bytes = b'{"ok":true}', *, status: str = "200 OK", extra: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n{extra}\r\n"
    return head.encode() + body


STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(text: str) -> bytes:
    return b"data: " + json.dumps({"choices": [{"index": 0, "delta": {"content": text}}]}).encode() + b"\n\n"


async def answer_ok(request: Received) -> None:
    await request.send(unary_bytes())


class FakeReplica:
    """A replica on a real socket that does what `behaviour` says, and records."""

    def __init__(self, replica_id: str, behaviour: Behaviour = answer_ok, *, model: str = MODEL) -> None:
        self.replica_id = replica_id
        self.model = model
        self.behaviour = behaviour
        self.requests: list[Received] = []
        self.arrived: asyncio.Queue[Received] = asyncio.Queue()
        self.connections = 0
        self.port = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def die(self) -> None:
        """Ends as a killed process does: nothing listens any more, every connection is reset."""
        if self._server is not None:
            self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()

    def endpoint(self, **changes: Any) -> Endpoint:
        fields: dict[str, Any] = {
            "replica_id": self.replica_id,
            "deployment": self.model,
            "model": self.model,
            "revision": "sha256:abc",
            "engine": EngineKind.SIMULATED,
            "state": ReplicaState.READY,
            "host": "127.0.0.1",
            "port": self.port,
            "token": f"token-of-{self.replica_id}",
            "started_at": 1.0,
            "state_since": 1.0,
        }
        return Endpoint(**(fields | changes))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        try:
            while True:
                await self._one(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._tasks.discard(task)
            self._writers.discard(writer)
            writer.transport.abort()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.rstrip("\r\n").split("\r\n")
        headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
        length = next((int(value) for name, value in headers if name == "content-length"), 0)
        body = await reader.readexactly(length)
        request = Received(first.split(" ")[1], headers, body, writer)
        self.requests.append(request)
        self.arrived.put_nowait(request)
        acting = asyncio.ensure_future(self.behaviour(request))
        watching = asyncio.ensure_future(self._watch(reader, request))
        try:
            await acting
        finally:
            for task in (acting, watching):
                task.cancel()
            await asyncio.gather(acting, watching, return_exceptions=True)

    async def _watch(self, reader: asyncio.StreamReader, request: Received) -> None:
        # Looks without taking: what is there belongs to the next request.
        try:
            while not reader.at_eof() and reader.exception() is None:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        finally:
            if reader.at_eof() or reader.exception() is not None:
                request.gone.set()


@dataclass
class Answer:
    """An answer as the client got it."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> Any:
        return self.json["error"]


class RawClient:
    """A client that says exactly what the test says."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, port: int, *, receive_buffer_bytes: int | None = None) -> "RawClient":
        sock = socket.socket()
        if receive_buffer_bytes is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        return cls(*await asyncio.open_connection(sock=sock, limit=1024))

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self) -> Answer:
        """The next answer. Raises `IncompleteReadError` if the connection ends inside it."""
        async with asyncio.timeout(PATIENCE_S):
            status, headers = await self.head()
            if headers.get("transfer-encoding") == "chunked":
                body = b"".join([piece async for piece in self.chunks()])
            elif "content-length" in headers:
                body = await self.reader.readexactly(int(headers["content-length"]))
            else:
                body = b"" if status in (100, 204) else await self.reader.read()
            return Answer(status, headers, body)

    async def head(self) -> tuple[int, dict[str, str]]:
        async with asyncio.timeout(PATIENCE_S):
            first = await self.reader.readuntil(b"\r\n")
            headers: dict[str, str] = {}
            while (line := await self.reader.readuntil(b"\r\n")) != b"\r\n":
                name, _, value = line.decode("latin-1").rstrip("\r\n").partition(": ")
                assert name not in headers, f"{name} twice"
                headers[name] = value
            return int(first.split(b" ")[1]), headers

    async def chunks(self) -> AsyncIterator[bytes]:
        while True:
            size = int(await self.reader.readuntil(b"\r\n"), 16)
            data = await self.reader.readexactly(size + 2)
            assert data.endswith(b"\r\n")
            if not size:
                return
            yield data[:-2]

    async def at_end(self) -> bool:
        """True once the router has closed; False if it sends something instead."""
        async with asyncio.timeout(PATIENCE_S):
            try:
                return await self.reader.read(1) == b""
            except ConnectionResetError:
                return True

    def close(self) -> None:
        self.writer.transport.abort()


def post(
    body: Any = None,
    *,
    path: str = "/v1/chat/completions",
    key: str | None = KEY,
    headers: dict[str, str] | None = None,
) -> bytes:
    """A POST request with content-length framing."""
    data = body if isinstance(body, bytes) else json.dumps({"model": MODEL} if body is None else body).encode()
    lines = {"host": "localhost", "content-type": "application/json", "content-length": str(len(data))}
    if key is not None:
        lines["authorization"] = f"Bearer {key}"
    lines |= headers or {}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"POST {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + data


def get(path: str, *, key: str | None = None, headers: dict[str, str] | None = None) -> bytes:
    lines = {"host": "localhost"} | ({} if key is None else {"authorization": f"Bearer {key}"}) | (headers or {})
    return f"GET {path} HTTP/1.1\r\n{''.join(f'{n}: {v}{chr(13)}{chr(10)}' for n, v in lines.items())}\r\n".encode()


def digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


class StoreWriter:
    """Writes what the orchestrator and the replicas write."""

    def __init__(self, url: str) -> None:
        self.client = redis.Redis.from_url(url)

    async def model(self, name: str = MODEL, status: ModelStatus = ModelStatus.READY, **fields: Any) -> None:
        given: dict[str, Any] = {"name": name, "created": 1700000000, "status": status}
        entry = CatalogEntry(**(given | fields))
        await self.client.hset(CATALOG_KEY, name, msgspec.json.encode(entry))
        await self.announce("catalog")

    async def key(
        self, secret: str = KEY, kind: CredentialKind = CredentialKind.KEY, expires_at: float | None = None
    ) -> None:
        credential = Credential(id="k1", name="test", role=Role.USER, kind=kind, created_at=1.0, expires_at=expires_at)
        await self.client.hset(CREDENTIALS_KEY, digest(secret), msgspec.json.encode(credential))
        await self.announce("credentials")

    async def alias(self, name: str, **weights: float) -> None:
        targets = tuple(AliasTarget(model, weight) for model, weight in weights.items())
        record = Alias(name=name, targets=targets, created_at=1700000000.0, updated_at=1700000000.0)
        await self.client.hset(ALIASES_KEY, name, msgspec.json.encode(record))
        await self.announce("catalog")

    async def revoke(self, secret: str) -> None:
        await self.client.hdel(CREDENTIALS_KEY, digest(secret))
        await self.announce("credentials")

    async def endpoint(self, endpoint: Endpoint, *, lease_ms: int = 60_000) -> None:
        await self.client.set(endpoint_key(endpoint.replica_id), msgspec.json.encode(endpoint), px=lease_ms)
        await self.client.sadd(ENDPOINT_IDS_KEY, endpoint.replica_id)
        await self.announce("endpoints")

    async def withdraw(self, replica_id: str) -> None:
        await self.client.delete(endpoint_key(replica_id))
        await self.announce("endpoints")

    async def announce(self, what: str) -> None:
        await self.client.publish(CHANGES_CHANNEL, what)


@dataclass
class Rig:
    """A router in this loop, its replicas and its store."""

    router: Router
    port: int
    ops_port: int
    store: StoreWriter
    replicas: dict[str, FakeReplica]

    async def client(self, *, receive_buffer_bytes: int | None = None) -> RawClient:
        return await RawClient.connect(self.port, receive_buffer_bytes=receive_buffer_bytes)

    async def ask(self, request: bytes) -> Answer:
        """One request on a connection of its own."""
        client = await self.client()
        await client.send(request)
        answer = await client.answer()
        client.close()
        return answer

    def in_flight(self, model: str = MODEL) -> int:
        """Reservations that the router holds with the replicas of a model."""
        return sum(view.in_flight for view in self.router.core.table.models[model].replicas)

    def codes(self, model: str = MODEL) -> dict[int, int]:
        return self.router.core.telemetry.meter(model).codes

    def retries(self, model: str = MODEL) -> dict[str, int]:
        """Attempts that failed before the client had an answer, by reason."""
        return self.router.core.telemetry.meter(model).retries

    def busy(self, replica_id: str, in_flight: int, model: str = MODEL) -> None:
        """Makes a replica look as if it had so many requests inside."""
        (view,) = (view for view in self.router.core.table.models[model].replicas if view.replica_id == replica_id)
        view.in_flight = in_flight
        derive(view, 0.0)


@contextlib.asynccontextmanager
async def rig(url: str, *replicas: FakeReplica, loaded: bool = True, **settings: Any) -> AsyncIterator[Rig]:
    """A router with a model, a key and these replicas."""
    store = StoreWriter(url)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(store.client.aclose)
        for replica in replicas:
            await replica.start()
            stack.push_async_callback(replica.stop)
        if loaded:
            await store.model()
            await store.key()
            for replica in replicas:
                await store.endpoint(replica.endpoint())
        defaults: dict[str, Any] = {"port": 0, "ops_port": 0, "store_url": url, "drain_s": 5}
        defaults |= {"refresh_s": 0.5, "retry_for_s": 0.2}
        router, port, ops_port = await stack.enter_async_context(running(RouterSettings(**(defaults | settings))))
        if loaded:
            await asyncio.wait_for(router.core.table.loaded.wait(), PATIENCE_S)
        await eventually(lambda: router.started)
        yield Rig(router, port, ops_port, store, {replica.replica_id: replica for replica in replicas})
