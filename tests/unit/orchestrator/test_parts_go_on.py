"""The parts of the orchestrator that run for ever outlive what they did not expect."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, cast

import pytest

from orchestrator.recording import Recording
from orchestrator.watching import Watch


class Broken:
    """A store of which every method fails in a way that nobody foresaw."""

    def __getattr__(self, name: str) -> Any:
        raise KeyError(name)


class Told(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.event = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self.event.set()


def recording() -> Coroutine[Any, Any, None]:
    return Recording(cast(Any, Broken())).run()


def watch() -> Coroutine[Any, Any, None]:
    broken = cast(Any, Broken())
    return Watch(broken, broken, broken, broken, broken).run()


@pytest.mark.parametrize(("run", "logger"), [(recording, "roundhouse.recording"), (watch, "roundhouse.watching")])
async def test_part_that_meets_what_it_did_not_expect_says_so_and_goes_on(
    run: Callable[[], Coroutine[Any, Any, None]], logger: str
) -> None:
    told = Told()
    logging.getLogger(logger).addHandler(told)
    part, said = asyncio.create_task(run()), asyncio.create_task(told.event.wait())
    try:
        ended, _ = await asyncio.wait({part, said}, timeout=10, return_when=asyncio.FIRST_COMPLETED)
        assert ended == {said}
    finally:
        logging.getLogger(logger).removeHandler(told)
        part.cancel()
        said.cancel()
        await asyncio.gather(part, said, return_exceptions=True)
