"""How tasks that run for ever are ended."""

import asyncio
from typing import Any

_AGAIN_AFTER_S = 1.0


async def end(*tasks: asyncio.Task[Any]) -> None:
    """Cancel `tasks` and return when they have ended. What they raise stays with them.

    Not cancelled once: redis-py writes within `asyncio.wait_for`, which before Python 3.12 drops a cancellation that
    comes as the write ends, and a loop around it would go on.
    """
    while going_on := [task for task in tasks if not task.done()]:
        for task in going_on:
            task.cancel()
        await asyncio.wait(going_on, timeout=_AGAIN_AFTER_S)
