"""Holds many streams of `slow_engine.py` open and measures how late their chunks come.

`python -m infra.bench.stream_client URL --key KEY --bodies FILE --streams N [--seconds S]` opens the streams, a few at
a time, prints `open N` once each has had its first chunk, and waits for a line on stdin. With `--seconds` it then
measures for so long, prints `measured` and one line of JSON: the chunks' delays from being written by the engine to
being read here, what was missing and what broke off. It ends when stdin does.
"""

import argparse
import asyncio
import gc
import json
import re
import sys
from array import array
from contextlib import suppress
from functools import partial
from pathlib import Path
from time import monotonic_ns
from urllib.parse import urlsplit

import uvloop

from infra.bench.prompts import PASS_MARK

OPEN_WITHIN_S = 60.0
_AT_A_TIME = 50
_PAUSE_S = 0.02
_CONTENT = re.compile(rb'"content":\s?"(\d{6}):(\d{20})"')
_LONGEST_CUT = 400
_PASSES = 90_000_000


class Client:
    """What all streams of this process share."""

    def __init__(self, streams: int) -> None:
        self.settled = asyncio.Event()
        """Every stream has had its first chunk, or never will."""
        self._unsettled = streams
        self.delays_ns = array("q")
        self.measuring = False
        self.open = 0
        self.refused = 0
        """Requests that got no connection, or an answer that was not a stream."""
        self.broken = 0
        """Streams that ended by themselves."""
        self.missing = 0
        """Chunks that never came, or came out of turn."""
        self.reasons: set[str] = set()

    def settle_one(self) -> None:
        """Called once for each stream."""
        self._unsettled -= 1
        if not self._unsettled:
            self.settled.set()

    def refuse(self, reason: str) -> None:
        """A stream will never be."""
        self.refused += 1
        self.reasons.add(reason)
        self.settle_one()


class Stream(asyncio.Protocol):
    """One request and its answer."""

    def __init__(self, client: Client, request: bytes) -> None:
        self.client = client
        self.request = request
        self.next = 0
        self.cut = b""
        self.started = self.refused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        now = monotonic_ns()
        client = self.client
        if not self.started and not self._start(data):
            return
        data = self.cut + data
        end = 0
        for found in _CONTENT.finditer(data):
            end = found.end()
            number = int(found[1])
            if number != self.next:
                client.missing += 1
            elif not number:
                client.open += 1
                client.settle_one()
            self.next = number + 1
            if client.measuring:
                client.delays_ns.append(now - int(found[2]))
        # A read may end within an event; what is left of a whole one says nothing.
        self.cut = data[max(end, len(data) - _LONGEST_CUT) :]

    def _start(self, data: bytes) -> bool:
        self.started = True
        if data.startswith(b"HTTP/1.1 200"):
            return True
        self.refused = True
        self.client.refuse(data[:300].decode("latin-1"))
        self.transport.close()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.refused:
            self.client.broken += 1
            if not self.next:
                self.client.settle_one()


async def _open_streams(client: Client, options: argparse.Namespace) -> list[Stream]:
    parts = urlsplit(options.url)
    head = (
        f"POST {parts.path} HTTP/1.1\r\nhost: {parts.netloc}\r\ncontent-type: application/json\r\n"
        f"authorization: Bearer {options.key}\r\ncontent-length: "
    ).encode()
    bodies = options.bodies.read_text().splitlines()
    # Prompts must not come twice, nor in two clients.
    first_pass = monotonic_ns() // 1_000_000 % _PASSES
    loop = asyncio.get_running_loop()
    streams = []
    for index in range(options.streams):
        number, at = divmod(index, len(bodies))
        body = bodies[at].replace(PASS_MARK, f"{first_pass + number:08d}").encode()
        request = head + b"%d\r\n\r\n%b" % (len(body), body)
        try:
            _, stream = await loop.create_connection(partial(Stream, client, request), parts.hostname, parts.port)
        except OSError as exc:
            client.refuse(str(exc))
        else:
            streams.append(stream)
        if index % _AT_A_TIME == 0:
            await asyncio.sleep(_PAUSE_S)
    with suppress(TimeoutError):
        await asyncio.wait_for(client.settled.wait(), OPEN_WITHIN_S)
    return streams


async def _line_from_stdin() -> bool:
    return bool(await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline))


def _percentile_ms(ranked: list[int], share: float) -> float:
    return ranked[min(len(ranked) - 1, int(len(ranked) * share))] / 1e6 if ranked else 0.0


async def main(options: argparse.Namespace) -> None:
    client = Client(options.streams)
    streams = await _open_streams(client, options)
    print(f"open {client.open}", flush=True)
    asked = await _line_from_stdin()
    if asked and options.seconds:
        gc.collect()
        gc.disable()
        broken_before = client.broken
        client.missing = 0
        client.measuring = True
        await asyncio.sleep(options.seconds)
        client.measuring = False
        print("measured", flush=True)
        ranked = sorted(client.delays_ns)
        figures = {f"p{share * 100:g}_ms": _percentile_ms(ranked, share) for share in (0.5, 0.9, 0.99, 0.999, 1.0)}
        figures |= {"chunks": len(ranked), "missing": client.missing, "broken": client.broken - broken_before}
        figures |= {"broken_before": broken_before, "refused": client.refused, "open": client.open}
        print(json.dumps(figures | {"reasons": sorted(client.reasons)[:3]}), flush=True)
    while asked:
        asked = await _line_from_stdin()
    for stream in streams:
        stream.transport.abort()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--key", required=True)
    parser.add_argument("--bodies", type=Path, required=True)
    parser.add_argument("--streams", type=int, required=True)
    parser.add_argument("--seconds", type=float, default=0.0)
    # Ctrl-C reaches the whole group; the bench says it.
    with suppress(KeyboardInterrupt):
        uvloop.run(main(parser.parse_args()))
