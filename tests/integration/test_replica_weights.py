"""How a replica comes to its weights: a real host process and store; the engine only notes what it was given."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import msgspec
import pytest

from replicas.doing import Doing
from replicas.engine import Progress
from replicas.replica import Place, ReplicaLife
from replicas.simulated_engine import SimulatedEngine
from replicas.store import fetch_hosts
from replicas.types import (
    ENDPOINT_IDS_KEY,
    SWAP_PATH,
    Endpoint,
    EngineKind,
    ReplicaFailure,
    ReplicaSpec,
    ReplicaState,
    SimulationSettings,
    SwapOrder,
    endpoint_key,
    failure_key,
    spec_key,
)
from replicas.weights.contents import Contents
from replicas.weights.errors import FetchError
from tests.weights_hosts import Host, Hosts, files_of, hosts, publish

FILES = {"config.json": b"{}", "model.safetensors": b"w" * 2**20}
NEXT = FILES | {"model.safetensors": b"n" * 2**20}
LARGE = {"model.safetensors": bytes(range(256)) * 2**19}
FAST = SimulationSettings(prefill_tokens_per_s=1e6, inter_token_s=0.0005)
ELSEWHERE = "/nowhere/on/this/host"


class NotingEngine(SimulatedEngine):
    """Notes where its weights were."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path()
        self.files: dict[str, bytes] = {}

    async def start(self, spec: ReplicaSpec, progress: Progress) -> None:
        self.folder = Path(spec.weights_path)
        self.files = files_of(self.folder)
        await super().start(spec, progress)


@pytest.fixture
async def cluster(tmp_path: Path, valkey_url: str) -> AsyncIterator[Hosts]:
    async with hosts(tmp_path, valkey_url) as made:
        yield made


class Replicas:
    """Makes replicas on the host 127.0.0.2."""

    def __init__(self, cluster: Hosts, store_url: str, stack: AsyncExitStack) -> None:
        self._cluster, self._store_url, self._stack = cluster, store_url, stack

    async def make(self, revision: str, weights_path: str) -> tuple[ReplicaLife, NotingEngine]:
        spec = ReplicaSpec(
            deployment="tiny", model="tiny", engine=EngineKind.SIMULATED, revision=revision,
            weights_path=weights_path, simulation=FAST,
        )  # fmt: skip
        await self._cluster.store.set(spec_key("tiny"), msgspec.json.encode(spec))
        engine = NotingEngine()
        life = ReplicaLife("tiny", self._store_url, Place(address="127.0.0.2"), lambda _: engine)
        self._stack.push_async_callback(life.stop)
        return life, engine


@pytest.fixture
async def replicas(cluster: Hosts, valkey_url: str) -> AsyncIterator[Replicas]:
    async with AsyncExitStack() as stack:
        yield Replicas(cluster, valkey_url, stack)


async def two_hosts(cluster: Hosts, *revisions: dict[str, bytes]) -> tuple[Host, Host, list[str]]:
    library, cache = cluster.library(), cluster.cache(patience_s="0.5")
    names = [publish(library.folder, files) for files in revisions]
    await asyncio.gather(library.start(), cache.start())
    return library, cache, names


async def endpoint_of(cluster: Hosts, condition: Callable[[Endpoint], bool]) -> Endpoint:
    """The one replica's endpoint, once `condition` holds of it."""
    async with asyncio.timeout(20):
        while True:
            for replica_id in await cluster.store.smembers(ENDPOINT_IDS_KEY):
                assert isinstance(replica_id, bytes)
                record = await cluster.store.get(endpoint_key(replica_id.decode()))
                if record is not None and condition(endpoint := msgspec.json.decode(record, type=Endpoint)):
                    return endpoint
            await asyncio.sleep(0.02)


async def test_start_fetches_weights_that_the_host_lacks_and_holds_them(cluster: Hosts, replicas: Replicas) -> None:
    _, cache, (revision,) = await two_hosts(cluster, FILES)
    life, engine = await replicas.make(revision, f"{ELSEWHERE}/{revision[7:]}")
    await life.start()
    assert engine.folder == cache.revision(revision)
    assert engine.files == FILES
    contents = Contents(cache.folder)
    assert contents.in_use(revision)
    assert contents.gc([], dry_run=False).revisions == ()
    await life.stop()
    assert not contents.in_use(revision)


async def test_start_says_how_far_the_weights_are(cluster: Hosts, replicas: Replicas) -> None:
    library, cache, (revision,) = await two_hosts(cluster, LARGE)
    life, engine = await replicas.make(revision, ELSEWHERE)
    starting = asyncio.create_task(life.start())
    await cache.received(2**20)
    library.signal(signal.SIGSTOP)
    endpoint = await endpoint_of(cluster, lambda each: "GiB (127.0.0.1)" in each.detail)
    assert endpoint.detail.startswith(f"{Doing.FETCHING_WEIGHTS}: 0.")
    library.signal(signal.SIGCONT)
    await starting
    assert engine.files == LARGE


async def test_a_swap_fetches_its_weights_and_holds_only_them_afterwards(cluster: Hosts, replicas: Replicas) -> None:
    _, cache, (before, after) = await two_hosts(cluster, FILES, NEXT)
    life, _ = await replicas.make(before, ELSEWHERE)
    await life.start()
    ready = await endpoint_of(cluster, lambda each: each.state is ReplicaState.READY)
    order = SwapOrder(swap_id="s", revision=after, weights_path=ELSEWHERE)
    async with httpx.AsyncClient(
        base_url=f"http://{ready.host}:{ready.port}", headers={"authorization": f"Bearer {ready.token}"}
    ) as client:
        (await client.post(SWAP_PATH, content=msgspec.json.encode(order))).raise_for_status()
    await endpoint_of(cluster, lambda each: each.revision == after and each.state is ReplicaState.READY)
    contents = Contents(cache.folder)
    assert files_of(contents.folder(after)) == NEXT
    assert (contents.in_use(before), contents.in_use(after)) == (False, True)


async def test_start_uses_a_folder_that_is_here_as_it_is(cluster: Hosts, replicas: Replicas) -> None:
    library, cache, (revision,) = await two_hosts(cluster, FILES)
    shared = library.revision(revision)
    life, engine = await replicas.make(revision, str(shared))
    await life.start()
    assert engine.folder == shared
    assert Contents(library.folder).in_use(revision)
    assert not cache.revision(revision).exists()


async def test_start_uses_a_plain_folder_outside_of_any_library(replicas: Replicas, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.mkdir()
    (plain / "config.json").write_bytes(b"{}")
    life, engine = await replicas.make("sha256:" + "0" * 64, str(plain))
    await life.start()
    assert engine.folder == plain


async def test_start_that_cannot_get_its_weights_fails_with_the_hosts_reason(
    cluster: Hosts, replicas: Replicas
) -> None:
    library, _, (revision,) = await two_hosts(cluster, FILES)
    library.stop()
    life, _ = await replicas.make(revision, ELSEWHERE)
    with pytest.raises(FetchError, match="No host has"):
        await life.start()
    record = await cluster.store.get(failure_key("tiny"))
    assert record is not None
    failure = msgspec.json.decode(record, type=ReplicaFailure)
    assert (failure.revision, failure.permanent) == (revision, False)
    assert "No host has" in failure.reason


async def test_start_waits_for_a_host_process_that_is_just_starting(cluster: Hosts, replicas: Replicas) -> None:
    library, cache = cluster.library(), cluster.cache()
    revision = publish(library.folder, FILES)
    life, engine = await replicas.make(revision, ELSEWHERE)
    starting = asyncio.create_task(life.start())
    assert await fetch_hosts(cluster.store) == []
    await asyncio.gather(library.start(), cache.start())
    await starting
    assert engine.files == FILES
