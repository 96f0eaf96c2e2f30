"""How tasks that run for ever are ended."""

import asyncio
import contextlib

import pytest

from replicas import ending


async def deaf(*, times: int) -> None:
    """Goes on after so many cancellations, as Python 3.11's `wait_for` can."""
    for _ in range(times):
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
    await asyncio.Event().wait()


async def failing() -> None:
    raise RuntimeError("broken")


@pytest.mark.parametrize("times", [0, 1, 3])
async def test_a_task_that_drops_cancellations_ends(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    monkeypatch.setattr(ending, "_AGAIN_AFTER_S", 0.01)
    tasks = [asyncio.create_task(deaf(times=times)), asyncio.create_task(deaf(times=0))]
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await ending.end(*tasks)
    assert all(task.cancelled() for task in tasks)


async def test_what_a_task_raised_stays_with_it() -> None:
    broken, going_on = asyncio.create_task(failing()), asyncio.create_task(deaf(times=0))
    await asyncio.wait({broken})
    await ending.end(broken, going_on)
    assert isinstance(broken.exception(), RuntimeError)
    assert going_on.cancelled()


async def test_nothing_to_end_ends_at_once() -> None:
    await ending.end()
