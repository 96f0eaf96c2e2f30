"""A fake engine of slow streams: `python -m infra.bench.slow_engine PORT --period-s S`.

A POST that asks for a stream gets a chunk each period until the client leaves. Each chunk carries its number and the
moment at which it was written, by the clock that all processes of a machine share (CLOCK_MONOTONIC). Streams are spread
over the period in slices; one timer serves them all. Everything else is answered at once.
"""

import argparse
import asyncio
from time import monotonic_ns

import httptools
import uvloop

from infra.bench.engine_answers import STREAM_HEAD, chunk, first_chunk, is_stream, json_answer, text_event, wants_ids

SLICES = 25
_OTHERS = json_answer({"object": "list", "data": [{"id": "bench", "object": "model", "created": 1}], "choices": []})
_STAMP = "%06d:%020d"
_MEASURED = _STAMP % (0, 0)


def _template(*, ids: bool) -> bytes:
    return chunk(text_event(_MEASURED, ids=ids).encode()).replace(_MEASURED.encode(), _STAMP.encode())


_WITHOUT_IDS, _WITH_IDS = _template(ids=False), _template(ids=True)


class Engine(asyncio.Protocol):
    """One connection."""

    slices: tuple[set["Engine"], ...] = tuple(set() for _ in range(SLICES))
    opened = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.parser = httptools.HttpRequestParser(self)
        self.slice: set[Engine] | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        if self.slice is not None:
            self.slice.discard(self)

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_message_begin(self) -> None:
        self.body = b""

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        if not is_stream(self.body):
            self.transport.write(_OTHERS)
            return
        ids = wants_ids(self.body)
        self.number, self.template = 0, _WITH_IDS if ids else _WITHOUT_IDS
        self.transport.write(STREAM_HEAD + first_chunk(self.body, ids=ids))
        self.slice = Engine.slices[Engine.opened % SLICES]
        self.slice.add(self)
        Engine.opened += 1

    def send_chunk(self) -> None:
        self.transport.write(self.template % (self.number, monotonic_ns()))
        self.number += 1


async def serve(port: int, period_s: float) -> None:
    loop = asyncio.get_running_loop()
    await loop.create_server(Engine, "127.0.0.1", port, backlog=4096)
    started, tick = loop.time(), 0
    while True:
        for stream in tuple(Engine.slices[tick % SLICES]):
            stream.send_chunk()
        tick += 1
        # Of the start, not of the last tick: what comes late does not make the next one late.
        await asyncio.sleep(max(0.0, started + tick * period_s / SLICES - loop.time()))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--period-s", type=float, default=0.05)
    options = parser.parse_args()
    uvloop.run(serve(options.port, options.period_s))
