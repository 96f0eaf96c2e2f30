"""Change notification inside the orchestrator, and the server-sent events made of it.

Level-triggered: a notification carries nothing; listeners look at the state again and send what is new.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

from pydantic import BaseModel, TypeAdapter

SETTLE_S = 0.1
"""Changes that follow each other within this time are told once."""
KEEP_ALIVE_S = 15.0

Snapshot = Mapping[str, list[BaseModel]]


class Changes:
    """Wakes every listener; one that was busy sees one wake for many changes."""

    def __init__(self) -> None:
        self._listeners: set[asyncio.Event] = set()

    def notify(self) -> None:
        for event in self._listeners:
            event.set()

    async def __call__(self) -> AsyncIterator[None]:
        """Yields at once, then after changes, and at least every `KEEP_ALIVE_S`."""
        event = asyncio.Event()
        self._listeners.add(event)
        try:
            while True:
                yield
                try:
                    await asyncio.wait_for(event.wait(), KEEP_ALIVE_S)
                    await asyncio.sleep(SETTLE_S)
                except TimeoutError:
                    pass
                event.clear()
        finally:
            self._listeners.discard(event)


class Paced:
    """Calls `call` at most every `every_s`, and once more after the last wish."""

    def __init__(self, call: Callable[[], None], every_s: float) -> None:
        self._call = call
        self._every_s = every_s
        self._timer: asyncio.TimerHandle | None = None

    def __call__(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._every_s, self._fire)

    def _fire(self) -> None:
        self._timer = None
        self._call()


async def event_stream(changes: Changes, snapshot: Callable[[], Awaitable[Snapshot | None]]) -> AsyncIterator[bytes]:
    """Server-sent events: one event per list that differs from what this listener was sent last.

    Ends when `snapshot` returns None: the listener may not listen any more.
    """
    encode = TypeAdapter(list[BaseModel]).dump_json
    sent: dict[str, bytes] = {}
    async for _ in changes():
        quiet = True
        lists = await snapshot()
        if lists is None:
            return
        for name, views in lists.items():
            data = encode(views, serialize_as_any=True)
            if sent.get(name) != data:
                sent[name] = data
                quiet = False
                yield b"event: " + name.encode() + b"\ndata: " + data + b"\n\n"
        if quiet:
            yield b": still here\n\n"
