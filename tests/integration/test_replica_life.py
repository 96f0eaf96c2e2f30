"""A whole replica without Ray: real store, real sockets, the simulated engine."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import httpx
import msgspec
import pytest
from redis.asyncio import Redis

from replicas import replica as replica_module
from replicas.errors import EngineStartError, EngineUnhealthyError, SpecMissingError
from replicas.replica import Place, ReplicaLife
from replicas.store import open_store
from replicas.types import (
    CHANGES_CHANNEL,
    ENDPOINT_IDS_KEY,
    Endpoint,
    EngineKind,
    ReplicaFailure,
    ReplicaSpec,
    ReplicaState,
    SimulationSettings,
    endpoint_key,
    failure_key,
    spec_key,
)

FAST = SimulationSettings(prefill_tokens_per_s=1e6, inter_token_s=0.0005)
SLOW = SimulationSettings(inter_token_s=30.0)
CHAT = {"model": "tiny", "messages": [{"role": "user", "content": "Hello?"}]}
Start = Callable[..., Awaitable[ReplicaLife]]


@pytest.fixture
async def store(valkey_url: str) -> AsyncIterator[Redis]:
    client = open_store(valkey_url)
    yield client
    await client.aclose()


@pytest.fixture
async def prepare(valkey_url: str, store: Redis) -> AsyncIterator[Start]:
    """Writes a spec, and makes a replica that has not started."""
    async with AsyncExitStack() as stack:

        async def _prepare(**fields: Any) -> ReplicaLife:
            given: dict[str, Any] = {"deployment": "tiny", "model": "tiny", "revision": "r", "simulation": FAST}
            spec = ReplicaSpec(**({"engine": EngineKind.SIMULATED} | given | fields))
            await store.set(spec_key("tiny"), msgspec.json.encode(spec))
            life = ReplicaLife("tiny", valkey_url, Place(address="127.0.0.1", node_id="n"))
            stack.push_async_callback(life.stop)
            return life

        yield _prepare


async def _endpoints(store: Redis) -> list[Endpoint]:
    ids = sorted(await store.smembers(ENDPOINT_IDS_KEY))
    records = [await store.get(endpoint_key(each.decode())) for each in ids if isinstance(each, bytes)]
    return [msgspec.json.decode(record, type=Endpoint) for record in records if record]


async def _eventually(store: Redis, condition: Callable[[list[Endpoint]], bool]) -> list[Endpoint]:
    """The endpoints once `condition` holds of them; looks again at each announced change, as routers do."""
    async with asyncio.timeout(10), store.pubsub() as changes:
        await changes.subscribe(CHANGES_CHANNEL)
        while not condition(endpoints := await _endpoints(store)):
            await changes.get_message(timeout=0.5)
    return endpoints


def _ready(endpoints: list[Endpoint]) -> bool:
    return [endpoint.state for endpoint in endpoints] == [ReplicaState.READY]


async def _failure(store: Redis) -> ReplicaFailure | None:
    record = await store.get(failure_key("tiny"))
    return None if record is None else msgspec.json.decode(record, type=ReplicaFailure)


def _url(endpoint: Endpoint) -> str:
    return f"http://{endpoint.host}:{endpoint.port}/v1/chat/completions"


def _headers(endpoint: Endpoint) -> dict[str, str]:
    return {"authorization": f"Bearer {endpoint.token}"}


async def test_a_ready_replica_is_published_and_answers(prepare: Start, store: Redis) -> None:
    life = await prepare()
    await life.start()
    (endpoint,) = await _eventually(store, _ready)
    assert endpoint.replica_id.startswith("tiny-")
    assert endpoint.max_model_len == FAST.kv_capacity_tokens
    assert (endpoint.model, endpoint.revision, endpoint.node_id, endpoint.detail) == ("tiny", "r", "n", "")
    async with httpx.AsyncClient(verify=False) as client:
        assert (await client.post(_url(endpoint), json=CHAT)).status_code == 401
        answer = await client.post(_url(endpoint), json=CHAT, headers=_headers(endpoint))
    assert answer.json()["choices"][0]["message"]["content"].startswith("[simulated]")
    life.check_health()
    assert await _failure(store) is None


async def test_stopping_lets_requests_finish_then_withdraws(prepare: Start, store: Redis) -> None:
    life = await prepare()
    await life.start()
    (endpoint,) = await _eventually(store, _ready)
    async with (
        httpx.AsyncClient(verify=False) as client,
        client.stream("POST", _url(endpoint), json=CHAT | {"stream": True}, headers=_headers(endpoint)) as stream,
    ):
        stopping = asyncio.create_task(life.stop())
        await _eventually(store, lambda found: [e.state for e in found] == [ReplicaState.DRAINING])
        lines = [line async for line in stream.aiter_lines() if line]
    await stopping
    assert lines[-1] == "data: [DONE]"
    assert await _endpoints(store) == []


async def test_a_request_that_never_ends_is_cut_at_the_deadline(prepare: Start, store: Redis) -> None:
    life = await prepare(simulation=SLOW, drain_deadline_s=0.05)
    start = asyncio.create_task(life.start())
    # Its warm-up generates one token, which takes no decoding step.
    await start
    (endpoint,) = await _eventually(store, _ready)
    async with httpx.AsyncClient(verify=False) as client:
        request = asyncio.create_task(client.post(_url(endpoint), json=CHAT, headers=_headers(endpoint)))
        await _eventually(store, lambda found: bool(found) and found[0].in_flight == 1)
        await life.stop()
        with pytest.raises(httpx.HTTPError):
            (await request).raise_for_status()
    assert await _endpoints(store) == []


async def test_a_start_that_fails_is_recorded_and_leaves_nothing(prepare: Start, store: Redis) -> None:
    life = await prepare(engine_args={"faults": {"fail_to_start": "No such weights.", "fail_permanently": True}})
    with pytest.raises(EngineStartError, match="No such weights"):
        await life.start()
    failure = await _failure(store)
    assert failure is not None
    assert (failure.reason, failure.permanent, failure.revision) == ("No such weights.", True, "r")
    assert await _endpoints(store) == []
    assert await store.smembers(ENDPOINT_IDS_KEY) == set()


async def test_a_deployment_that_nobody_wants(valkey_url: str, store: Redis) -> None:
    with pytest.raises(SpecMissingError):
        await ReplicaLife("tiny", valkey_url, Place(address="127.0.0.1")).start()
    assert await _endpoints(store) == []


async def test_being_told_to_stop_while_starting_is_no_failure(prepare: Start, store: Redis) -> None:
    life = await prepare(simulation=SimulationSettings(start_s=3600))
    starting = asyncio.create_task(life.start())
    (endpoint,) = await _eventually(store, lambda found: bool(found) and found[0].detail.startswith("Simulating"))
    assert endpoint.state is ReplicaState.STARTING
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert await _endpoints(store) == []
    assert await _failure(store) is None


async def test_a_dead_engine_is_withdrawn_at_once(
    prepare: Start, store: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replica_module, "_WATCH_S", 0.01)
    life = await prepare(engine_args={"faults": {"die_after_tokens": 5}})
    await life.start()
    (endpoint,) = await _eventually(store, _ready)
    async with httpx.AsyncClient(verify=False) as client:
        await client.post(_url(endpoint), json=CHAT, headers=_headers(endpoint))
    async with asyncio.timeout(5):
        await life.condemned.wait()
    assert await _endpoints(store) == []
    with pytest.raises(EngineUnhealthyError, match="died"):
        life.check_health()
    failure = await _failure(store)
    assert failure is not None
    assert not failure.permanent


async def test_a_hung_engine_is_found_by_its_canary(
    prepare: Start, store: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replica_module, "_WATCH_S", 0.01)
    life = await prepare(
        canary_interval_s=0.02, canary_timeout_s=0.05, engine_args={"faults": {"hang_after_tokens": 1}}
    )
    await life.start()
    async with asyncio.timeout(5):
        await life.condemned.wait()
    with pytest.raises(EngineUnhealthyError, match="generated nothing"):
        life.check_health()
    assert await _endpoints(store) == []


async def test_canaries_keep_an_idle_engine_healthy(
    prepare: Start, store: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replica_module, "_WATCH_S", 0.005)
    life = await prepare(canary_interval_s=0.01, canary_timeout_s=5)
    await life.start()
    await _eventually(store, lambda found: bool(found) and found[0].load.generation_tokens_total >= 3)
    life.check_health()
