"""A replica that is given other weights while it serves: real store, real sockets, the simulated engine."""

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial

import httpx
import msgspec
import pytest

from replicas.types import (
    END_PATH,
    PREPARE_SWAP_PATH,
    SWAP_PATH,
    Endpoint,
    ReplicaState,
    SimulationSettings,
    SwapOrder,
    SwapPhase,
)
from tests.integration.served_replica import Serve, serving

ORDER = SwapOrder(swap_id="s1", revision="new", weights_path="/")
SLOW = SimulationSettings(prefill_tokens_per_s=1e6, inter_token_s=0.15, swap_s=1.5)
"""A reload takes longer than a canary may."""


@pytest.fixture
async def serve(valkey_url: str) -> AsyncIterator[Serve]:
    async with serving(valkey_url) as start:
        yield partial(start, revision="old", canary_interval_s=0.3, canary_timeout_s=1.0)


def in_phase(phase: SwapPhase) -> Callable[[Endpoint], bool]:
    return lambda endpoint: endpoint.swap is not None and endpoint.swap.phase is phase


async def test_swap_under_load_answers_everybody_with_one_revision_each(serve: Serve) -> None:
    served = await serve(SLOW)
    before = asyncio.create_task(served.ask())
    await served.until(lambda endpoint: endpoint.in_flight == 1)
    await served.order(PREPARE_SWAP_PATH, ORDER)
    prepared = await served.until(in_phase(SwapPhase.PREPARED))
    assert (prepared.state, prepared.revision) == (ReplicaState.READY, "old"), "nothing is cordoned by preparing"
    await served.order(SWAP_PATH, ORDER)
    await served.is_(ReplicaState.CORDONED)
    late = asyncio.create_task(served.ask())
    after = await served.until(in_phase(SwapPhase.DONE))
    assert (after.state, after.revision, after.epoch) == (ReplicaState.READY, "new", 1)
    assert after.swap is not None
    assert after.swap.drained_s is not None
    assert after.swap.reloaded_s is not None
    assert after.swap.reloaded_s >= 1.5
    revisions = [(await answer).headers["x-roundhouse-revision"] for answer in (before, late)]
    assert revisions == ["old", "new"]
    assert [(await answer).status_code for answer in (before, late)] == [200, 200]
    served.life.check_health()  # a paused engine is no sick one


async def test_order_heard_twice_swaps_once(serve: Serve) -> None:
    served = await serve()
    await served.order(SWAP_PATH, ORDER)
    await served.order(SWAP_PATH, ORDER)
    await served.until(in_phase(SwapPhase.DONE))
    await served.order(SWAP_PATH, ORDER)
    assert (await served.ask()).headers["x-roundhouse-revision"] == "new"
    assert (await served.endpoint()).epoch == 1


async def test_refused_weights_touch_nothing_and_failed_ones_are_undone(serve: Serve) -> None:
    served = await serve(engine_args={"faults": {"refuse_swap": "It has other shapes."}})
    await served.order(SWAP_PATH, ORDER)
    refused = await served.until(in_phase(SwapPhase.REFUSED))
    assert refused.swap is not None
    assert (refused.revision, refused.epoch, refused.swap.detail) == ("old", 0, "It has other shapes.")


async def test_weights_that_do_not_prove_themselves_are_undone(serve: Serve) -> None:
    served = await serve(engine_args={"faults": {"fail_to_swap": "It holds something else."}})
    await served.order(SWAP_PATH, ORDER)
    failed = await served.until(in_phase(SwapPhase.FAILED))
    assert (failed.state, failed.revision) == (ReplicaState.READY, "old")
    assert (await served.ask()).headers["x-roundhouse-revision"] == "old"


async def test_request_that_outlasts_the_deadline_does_not_hold_the_swap_up(serve: Serve) -> None:
    served = await serve(SimulationSettings(inter_token_s=60.0))
    stuck = asyncio.create_task(served.ask())
    await served.until(lambda endpoint: endpoint.in_flight == 1)
    await served.order(SWAP_PATH, msgspec.structs.replace(ORDER, deadline_s=0.2))
    done = await served.until(in_phase(SwapPhase.DONE))
    assert done.revision == "new"
    stuck.cancel()


async def test_stop_in_the_middle_of_a_swap_lets_nobody_wait_for_ever(serve: Serve) -> None:
    served = await serve(SimulationSettings(swap_s=600.0))
    await served.order(SWAP_PATH, ORDER)
    await served.is_(ReplicaState.CORDONED)
    sent = asyncio.Event()
    waiting = asyncio.create_task(served.ask(sent))
    await sent.wait()
    await served.life.stop()
    with pytest.raises(httpx.HTTPError):
        (await waiting).raise_for_status()


async def test_replica_told_to_end_drains_and_is_condemned(serve: Serve) -> None:
    served = await serve(SLOW)
    asked = asyncio.create_task(served.ask())
    await served.until(lambda endpoint: endpoint.in_flight == 1)
    await served.order(END_PATH)
    assert (await asked).status_code == 200
    async with asyncio.timeout(10):
        await served.life.condemned.wait()


@pytest.mark.parametrize(("path", "body", "status"), [("/-/none", b"", 404), (SWAP_PATH, b"{}", 422)])
async def test_order_that_is_none_is_refused(serve: Serve, path: str, body: bytes, status: int) -> None:
    served = await serve()
    assert (await served.post(path, body)).status_code == status
    assert (await served.post(path, body, authorization="Bearer wrong")).status_code == 401
