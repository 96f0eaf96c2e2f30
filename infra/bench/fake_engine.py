"""A fake engine that costs next to nothing: what is measured against it is what stands in front of it.

`python -m infra.bench.fake_engine PORT`: POST answers 200 with a short chat completion, or with 64 SSE chunks if the
body asks for a stream; GET answers 200, and a list of one model at `/v1/models`. One process, one core, no framework.
"""

import asyncio
import sys

import httptools
import uvloop

from infra.bench.engine_answers import (
    LAST_CHUNK,
    STREAM_HEAD,
    chunk,
    first_chunk,
    is_stream,
    json_answer,
    prompt_tokens,
    text_event,
    unary_template,
    wants_ids,
)

CHUNKS = 64
_UNARY = unary_template()
_ANSWER_TOKENS = 5
_HEALTHY = json_answer({"status": "ok"})
_MODELS = json_answer({"object": "list", "data": [{"id": "bench", "object": "model", "created": 1}]})


def _chunks(*, ids: bool) -> list[bytes]:
    """All but the first, which depends on the request."""
    words = [chunk(text_event(f" word{number % 10}", ids=ids).encode()) for number in range(CHUNKS - 3)]
    return [*words, chunk(text_event(".", ids=ids, last=True).encode()), LAST_CHUNK]


_WITHOUT_IDS, _WITH_IDS = _chunks(ids=False), _chunks(ids=True)


class Engine(asyncio.Protocol):
    """One connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.parser = httptools.HttpRequestParser(self)
        self.loop = asyncio.get_running_loop()

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self.url, self.body = url, b""

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        body = self.body
        if not body:
            self.transport.write(_MODELS if self.url.startswith(b"/v1/models") else _HEALTHY)
        elif is_stream(body):
            ids = wants_ids(body)
            self.transport.write(STREAM_HEAD)
            self.transport.write(first_chunk(body, ids=ids))
            self.loop.call_soon(self._send, _WITH_IDS if ids else _WITHOUT_IDS, 0)
        else:
            tokens = prompt_tokens(body)
            self.transport.write(_UNARY % (tokens, tokens + _ANSWER_TOKENS))

    def _send(self, chunks: list[bytes], index: int) -> None:
        # Each event in a turn of the loop of its own, as tokens come: a write per event, nothing merged.
        self.transport.write(chunks[index])
        if index + 1 < len(chunks) and not self.transport.is_closing():
            self.loop.call_soon(self._send, chunks, index + 1)


async def main(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Engine, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
