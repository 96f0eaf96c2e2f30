"""Output tokens a second of a real engine at concurrency 16: straight to its replicas, and through the router.

Both ways get the same requests: streams of a fixed number of tokens (`ignore_eos`), in waves of as many as may run at
once, so that all of a wave end together and little is lost to its tail. No prompt comes twice, so that neither way
finds the other's prompts in the prefix cache. Straight, the requests go to the replicas in turn. Rounds alternate and
begin with the other way each time; the ratio is the median of the rounds' ratios.
"""

import asyncio
import json
import os
from argparse import Namespace
from dataclasses import dataclass, field
from random import Random
from time import monotonic, time_ns
from typing import Any
from urllib.parse import urlsplit

import httptools
import uvloop

from infra.bench.command import bench_parser, length_of, run_bench, write_json
from infra.bench.house import House, Target, find_house
from infra.bench.http_client import post_head
from infra.bench.processes import CoreClock, CoreUse
from infra.bench.report import Floor, middle, percent, print_floors, print_table, ratio_of_rounds

FLOOR_RATIO = 0.98
_ANSWER_WITHIN_S = 600.0
_WORDS = (
    "the",
    "a",
    "of",
    "to",
    "in",
    "is",
    "that",
    "it",
    "was",
    "for",
    "on",
    "are",
    "with",
    "as",
    "his",
    "they",
    "at",
)
_PROMPT_WORDS = 60


@dataclass(frozen=True)
class Size:
    """How much is asked."""

    rounds: int
    waves: int
    """In each round, each way."""
    tokens: int
    """Of each answer."""


SIZES = {"quick": Size(2, 1, 48), "usual": Size(3, 2, 64), "full": Size(7, 3, 128)}


@dataclass
class Way:
    """One of the two, and what was measured."""

    name: str
    targets: tuple[Target, ...]
    tokens_per_s: list[float] = field(default_factory=list)
    first_token_s: list[float] = field(default_factory=list)
    cores: list[CoreUse] = field(default_factory=list)
    failed: int = 0
    reasons: set[str] = field(default_factory=set)

    def as_json(self) -> dict[str, Any]:
        """Every round's figures."""
        return {
            "way": self.name,
            "tokens_per_s": self.tokens_per_s,
            "median_first_token_s": middle(self.first_token_s),
            "failed": self.failed,
            "reasons": sorted(self.reasons),
            "cores": [vars(use) for use in self.cores],
        }


class _Answer:
    """A streamed answer while it is read; httptools calls its methods."""

    def __init__(self) -> None:
        self.body = bytearray()
        self.first_token_at: float | None = None
        self.complete = False

    def on_body(self, data: bytes) -> None:
        self.body += data
        if self.first_token_at is None and self.body.count(b"\n\n") > 1:
            # The first event only names the role.
            self.first_token_at = monotonic()

    def on_message_complete(self) -> None:
        self.complete = True

    def completion_tokens(self) -> int:
        """What the usage at the stream's end says; 0 without one."""
        for event in reversed(self.body.split(b"\n\n")):
            if event.startswith(b"data: {"):
                usage = json.loads(event[6:]).get("usage")
                if usage:
                    return int(usage["completion_tokens"])
        return 0


def _body(model: str, tokens: int, rng: Random) -> bytes:
    prompt = " ".join([f"{rng.getrandbits(48):x}", *rng.choices(_WORDS, k=_PROMPT_WORDS)])
    request = {
        "model": model,
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": tokens,
        "ignore_eos": True,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    return json.dumps(request, separators=(",", ":")).encode()


async def _ask(way: Way, target: Target, body: bytes) -> int:
    """One request on a connection of its own; the tokens of its answer."""
    parts = urlsplit(target.url)
    answer = _Answer()
    parser = httptools.HttpResponseParser(answer)
    started = monotonic()
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        writer.write(post_head(target.url, target.key, body) + body)
        async with asyncio.timeout(_ANSWER_WITHIN_S):
            while not answer.complete and (data := await reader.read(65536)):
                parser.feed_data(data)
    finally:
        writer.close()
    tokens = answer.completion_tokens() if answer.complete and parser.get_status_code() == 200 else 0
    if not tokens:
        raise ConnectionError(bytes(answer.body[-300:]).decode(errors="replace") or "The answer broke off.")
    if answer.first_token_at is not None:
        way.first_token_s.append(answer.first_token_at - started)
    return tokens


async def _measure(way: Way, house: House, size: Size, concurrency: int, rng: Random) -> None:
    bodies = [_body(house.model, size.tokens, rng) for _ in range(concurrency * size.waves)]
    clock, started, tokens = CoreClock(), monotonic(), 0
    for wave in range(size.waves):
        mine = bodies[wave * concurrency : (wave + 1) * concurrency]
        asked = [_ask(way, way.targets[index % len(way.targets)], body) for index, body in enumerate(mine)]
        for outcome in await asyncio.gather(*asked, return_exceptions=True):
            if isinstance(outcome, int):
                tokens += outcome
            elif isinstance(outcome, OSError | TimeoutError | httptools.HttpParserError):
                way.failed += 1
                way.reasons.add(str(outcome))
            else:
                raise outcome
    way.tokens_per_s.append(tokens / (monotonic() - started))
    way.cores.append(clock.read())


async def _run(house: House, size: Size, concurrency: int) -> list[Way]:
    ways = [Way("straight to the replicas", house.replicas), Way("through the router", (house.router,))]
    rng = Random(time_ns())
    for way in ways:
        await _measure(way, house, Size(1, 1, 8), concurrency, rng)
        way.tokens_per_s.clear()
        way.first_token_s.clear()
        way.cores.clear()
    for turn in range(size.rounds):
        for way in ways if turn % 2 == 0 else reversed(ways):
            await _measure(way, house, size, concurrency, rng)
    return ways


def main() -> None:
    """Measures, prints, writes the JSON."""
    options = _parse()
    size = SIZES[length_of(options)]
    house = find_house(options.model)
    straight, through = ways = uvloop.run(_run(house, size, options.concurrency))
    rows = []
    for way in ways:
        stolen = middle(use.machine_stolen for use in way.cores)
        figures = f"{middle(way.tokens_per_s):.1f}", f"{middle(way.first_token_s) * 1e3:.0f}", percent(stolen)
        rows.append((way.name, *figures, f"{way.failed} FAILED, worthless" if way.failed else ""))
    count = len(house.replicas)
    print_table(
        f"{house.model} ({house.engine}, {count} replica{'s' if count > 1 else ''}), {options.concurrency} at once, "
        f"{size.tokens} tokens each: {size.rounds} rounds of {size.waves} waves, medians",
        ("", "tokens/s", "first token ms", "stolen", ""),
        rows,
    )
    for reason in sorted(straight.reasons | through.reasons):
        print(f"  failed: {reason}")
    ratio = ratio_of_rounds(through.tokens_per_s, straight.tokens_per_s)
    void = bool(straight.failed or through.failed)
    floor = Floor("Tokens a second through the router ÷ straight", FLOOR_RATIO, ratio, void=void)
    print_floors([floor])
    report = {"model": house.model, "engine": house.engine, "replicas": count, "cores": os.cpu_count()}
    report |= {"concurrency": options.concurrency, "size": vars(size)}
    write_json(options.json, report | {"ways": [way.as_json() for way in ways], "floors": [floor.as_json()]})


def _parse() -> Namespace:
    parser = bench_parser("serving", __doc__)
    parser.add_argument("--model", help="which model to ask, if more than one is ready")
    parser.add_argument("--concurrency", type=int, default=16, metavar="N", help="requests at once (default 16)")
    return parser.parse_args()


if __name__ == "__main__":
    run_bench(main)
