"""A replica that sleeps and wakes with requests around it: real store, real sockets, the simulated engine."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import pytest

from replicas import replica as replica_module
from replicas.doing import Doing
from replicas.types import (
    ENDPOINT_IDS_KEY,
    PREPARE_SWAP_PATH,
    SLEEP_PATH,
    WAKE_PATH,
    ReplicaState,
    SimulationSettings,
    SwapOrder,
    SwapPhase,
)
from tests.integration.served_replica import Serve, serving

SLOW = SimulationSettings(prefill_tokens_per_s=1e6, inter_token_s=0.05, weights_bytes=77)
LONG = {"max_tokens": 20, "ignore_eos": True}


@pytest.fixture
async def serve(valkey_url: str) -> AsyncIterator[Serve]:
    given = {"revision": "r", "canary_interval_s": 0.1, "canary_timeout_s": 0.5, "sleep_mode": True}
    async with serving(valkey_url) as start:
        yield partial(start, **given)


async def test_replica_sleeps_once_its_streams_have_ended_and_wakes_with_an_empty_cache(serve: Serve) -> None:
    sleepy = await serve(SLOW)
    async with sleepy.streamed(**LONG) as lines:
        await anext(lines)
        await sleepy.order(SLEEP_PATH)
        await sleepy.order(SLEEP_PATH)
        assert (await sleepy.is_(ReplicaState.DRAINING)).detail == Doing.FALLING_ASLEEP
        assert [line async for line in lines if line][-1] == "data: [DONE]"
    asleep = await sleepy.is_(ReplicaState.ASLEEP)
    assert (asleep.epoch, asleep.sleep_bytes) == (1, 77)
    refused = await sleepy.ask()
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "replica_draining")
    await sleepy.order(WAKE_PATH)
    woken = await sleepy.is_(ReplicaState.READY)
    assert (woken.replica_id, woken.pid, woken.epoch) == (asleep.replica_id, asleep.pid, 1)
    answer = await sleepy.ask()
    assert answer.status_code == 200
    assert not answer.json()["usage"]["prompt_tokens_details"]["cached_tokens"]


async def test_request_that_outlasts_the_deadline_is_cut_before_the_gpu_is_given_up(serve: Serve) -> None:
    sleepy = await serve(SimulationSettings(inter_token_s=30.0), drain_deadline_s=0.05)
    async with sleepy.streamed(**LONG) as lines:
        await anext(lines)
        await sleepy.order(SLEEP_PATH)
        assert "data: [DONE]" not in [line async for line in lines]
    await sleepy.until(lambda endpoint: endpoint.state is ReplicaState.ASLEEP and not endpoint.load.running)


async def test_store_knows_that_a_replica_wakes_before_its_engine_does(serve: Serve) -> None:
    """Whoever is told that the order was heard may not take the GPU for free after that."""
    sleepy = await serve(SimulationSettings(wake_s=3600.0))
    await sleepy.order(SLEEP_PATH)
    await sleepy.is_(ReplicaState.ASLEEP)
    await sleepy.order(WAKE_PATH)
    waking = await sleepy.endpoint()
    assert (waking.state, waking.detail) == (ReplicaState.STARTING, "Waking up")
    async with asyncio.timeout(10):
        await sleepy.life.stop()


async def test_replica_stays_asleep_while_the_store_cannot_be_told(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    sleepy = await serve()
    await sleepy.order(SLEEP_PATH)
    await sleepy.is_(ReplicaState.ASLEEP)

    async def away() -> bool:
        return False

    monkeypatch.setattr(sleepy.life._keeper, "flush", away)
    await sleepy.order(WAKE_PATH)
    monkeypatch.undo()
    assert (await sleepy.is_(ReplicaState.ASLEEP)).epoch == 1
    await sleepy.order(WAKE_PATH)
    await sleepy.is_(ReplicaState.READY)


async def test_sleep_is_no_illness_however_long_it_lasts(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replica_module, "_WATCH_S", 0.005)
    sleepy = await serve(SimulationSettings(wake_s=1.0), canary_interval_s=0.01, canary_timeout_s=0.3)
    await sleepy.order(SLEEP_PATH)
    tokens = (await sleepy.is_(ReplicaState.ASLEEP)).load.generation_tokens_total
    await sleepy.order(WAKE_PATH)  # which takes longer than a canary may
    awake = await sleepy.is_(ReplicaState.READY)
    assert awake.load.generation_tokens_total <= tokens + 1
    sleepy.life.check_health()
    await sleepy.until(lambda endpoint: endpoint.load.generation_tokens_total > tokens + 2)


async def test_engine_that_does_not_wake_ends_its_replica(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replica_module, "_WATCH_S", 0.005)
    sleepy = await serve(engine_args={"faults": {"fail_to_wake": "The weights are gone."}})
    await sleepy.order(SLEEP_PATH)
    await sleepy.is_(ReplicaState.ASLEEP)
    await sleepy.order(WAKE_PATH)
    async with asyncio.timeout(5):
        await sleepy.life.condemned.wait()


@pytest.mark.parametrize("sleep_mode", [True, False])
async def test_orders_at_the_wrong_time_change_nothing(serve: Serve, sleep_mode: bool) -> None:
    sleepy = await serve(sleep_mode=sleep_mode)
    await sleepy.order(WAKE_PATH)
    if not sleep_mode:
        await sleepy.order(SLEEP_PATH)
        assert (await sleepy.endpoint()).sleep_bytes is None
    assert (await sleepy.ask()).status_code == 200
    assert (await sleepy.endpoint()).state is ReplicaState.READY


async def test_replica_that_sleeps_refuses_other_weights_and_ends_when_told(serve: Serve) -> None:
    sleepy = await serve()
    await sleepy.order(SLEEP_PATH)
    await sleepy.is_(ReplicaState.ASLEEP)
    order = SwapOrder(swap_id="s", revision="new", weights_path="/")
    await sleepy.order(PREPARE_SWAP_PATH, order)
    told = await sleepy.until(lambda endpoint: endpoint.swap is not None)
    assert told.swap is not None
    assert (told.swap.phase, "sleeps" in told.swap.detail) == (SwapPhase.REFUSED, True)
    await sleepy.life.stop()
    assert await sleepy.store.smembers(ENDPOINT_IDS_KEY) == set()
