"""A fake engine that costs next to nothing: what is measured against it is what stands in front of it.

`python fake_engine.py PORT`: POST answers 200 with a short chat completion, or with 64 SSE chunks if the body says
`"stream": true`; GET answers 200. One process, one core, no framework.
"""

import asyncio
import json
import sys

import httptools
import uvloop

CHUNKS = 64


def _unary() -> bytes:
    answer = {
        "id": "chatcmpl-0",
        "object": "chat.completion",
        "created": 1700000000,
        "model": "bench",
        "choices": [
            {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "The capital is Paris."}}
        ],
        "usage": {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17},
    }
    body = json.dumps(answer).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _stream() -> list[bytes]:
    events = [
        {
            "id": "chatcmpl-0",
            "object": "chat.completion.chunk",
            "choices": [{"index": 0, "delta": {"content": "word "}}],
        }
    ] * (CHUNKS - 1)
    chunks = [_chunk(b"data: " + json.dumps(event).encode() + b"\n\n") for event in events]
    return [*chunks, _chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"]


_UNARY = _unary()
_STREAM = _stream()
_STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


class Engine(asyncio.Protocol):
    """One connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.parser = httptools.HttpRequestParser(self)
        self.streaming = False

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_message_begin(self) -> None:
        self.streaming = False

    def on_body(self, body: bytes) -> None:
        self.streaming = self.streaming or b'"stream": true' in body or b'"stream":true' in body

    def on_message_complete(self) -> None:
        if self.streaming:
            self.transport.write(_STREAM_HEAD)
            self._send(0)
        else:
            self.transport.write(_UNARY)

    def _send(self, index: int) -> None:
        # Each event in a turn of the loop of its own, as tokens come: a write per event, nothing merged.
        self.transport.write(_STREAM[index])
        if index + 1 < len(_STREAM) and not self.transport.is_closing():
            asyncio.get_running_loop().call_soon(self._send, index + 1)


async def main(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Engine, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
