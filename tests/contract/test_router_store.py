"""The router's side of a real Valkey."""

import asyncio

import pytest

from router.errors import StoreAwayError
from router.store import RouterStore
from router.types import RouterReport
from tests.conftest import ValkeyProcess

MOST_STEPS = 100
REPORT = RouterReport(router_id="r1", at=1.0, models={})


async def test_a_cancelled_report_ends_whatever_it_was_doing(valkey_url: str) -> None:
    store = RouterStore(valkey_url)

    async def report_for_ever() -> None:
        while True:
            await store.publish(REPORT)

    try:
        # Cancelled at its first step, at its second and so on: a write that ends at that moment must not hide it.
        for steps in range(MOST_STEPS):
            reporting = asyncio.create_task(report_for_ever())
            for _ in range(steps):
                await asyncio.sleep(0)
            reporting.cancel()
            _, going_on = await asyncio.wait([reporting], timeout=5)
            assert not going_on, f"went on after it was cancelled at step {steps}"
    finally:
        await store.close()


async def test_a_store_that_does_not_answer_is_away(own_valkey: ValkeyProcess) -> None:
    store = RouterStore(own_valkey.url, answers_within_s=0.2)
    try:
        await store.publish(REPORT)
        own_valkey.freeze()
        with pytest.raises(StoreAwayError, match="no answer in time"):
            await store.publish(REPORT)
    finally:
        await store.close()
