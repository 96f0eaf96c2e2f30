"""Loads from recorded traffic. `traces/README.md` says whose.

A seed picks a window of consecutive requests and jitters their times; the times are then stretched so that the window
has the wanted mean rate.

Mooncake: prompts average 12,000 tokens and reach 126,000, more than a 24 GB card's KV cache holds beside a model's
weights. So a block of 512 tokens becomes one of `512 / SHRINK` = 64, and prompts are shrunk alike; the KV caches of
the fleet are those of such cards (65,536 and 131,072 tokens, as many blocks as 0.5 and 1 million of the trace's
tokens). Reuse is the trace's: the text of a block is made from its hash id. Where a later request goes on from a
request (it has all full blocks of its prompt and is longer by at least its answer), the answer is the text that the
later prompt has in its place, so that the answer's blocks are found again too. Answers are either shrunk like
prompts, which keeps the trace's proportions, or left as long as they were, as they would be on such a card; then only
their shrunk beginning appears in the next turn. Times in the trace are rounded to 3 s and are spread evenly over
these.

Azure: lengths and times only; every prompt is another's stranger.
"""

import csv
import gzip
import json
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from random import Random

from tests.simulation.loads import BYTES_PER_TOKEN, Arrival, Generator, arrival, text

FOLDER = Path(__file__).parent / "traces"
SHRINK = 8
_TRACE_BLOCK = 512
_BLOCK = _TRACE_BLOCK // SHRINK
_TIMES_ROUNDED_TO_S = 3.0
_SHARED_BY_ALL = 1
"""Leading blocks that say nothing of a conversation: every prompt of the trace begins with the same one."""


class Recorded:
    """One request of a trace."""

    __slots__ = ("at", "blocks", "goes_on_as", "output_tokens", "prompt_tokens")

    def __init__(self, at: float, prompt_tokens: int, output_tokens: int, blocks: tuple[int, ...] = ()) -> None:
        self.at = at
        self.prompt_tokens = prompt_tokens
        self.output_tokens = output_tokens
        self.blocks = blocks
        self.goes_on_as: tuple[int, ...] = ()
        """Blocks of the request that continues this one."""


@cache
def azure() -> Sequence[Recorded]:
    """The whole Azure trace."""
    with gzip.open(FOLDER / "azure_llm_2023_conv.csv.gz", "rt") as file:
        rows = list(csv.DictReader(file))
    times = [datetime.fromisoformat(row["TIMESTAMP"][:26]) for row in rows]  # naive: only differences count
    return [
        Recorded((at - times[0]).total_seconds(), int(row["ContextTokens"]), max(1, int(row["GeneratedTokens"])))
        for at, row in zip(times, rows, strict=True)
    ]


@cache
def mooncake() -> Sequence[Recorded]:
    """The whole Mooncake trace, each request with what continues it."""
    with gzip.open(FOLDER / "mooncake_conversation.jsonl.gz", "rt") as file:
        rows = [json.loads(line) for line in file]
    recorded = [
        Recorded(row["timestamp"] / 1000, row["input_length"], row["output_length"], tuple(row["hash_ids"]))
        for row in rows
    ]
    _find_continuations(recorded)
    return recorded


def _find_continuations(recorded: Sequence[Recorded]) -> None:
    open_ends: dict[tuple[int, int], Recorded] = {}
    for request in recorded:
        for full in range(len(request.blocks) - 1, _SHARED_BY_ALL, -1):
            before = open_ends.get((full, request.blocks[full - 1]))
            if before is None:
                continue
            if request.prompt_tokens >= before.prompt_tokens + before.output_tokens:
                before.goes_on_as = request.blocks
                del open_ends[full, request.blocks[full - 1]]
            break
        full = request.prompt_tokens // _TRACE_BLOCK
        if full > _SHARED_BY_ALL:
            open_ends[full, request.blocks[full - 1]] = request


def _window(trace: Sequence[Recorded], rate: float, rng: Random, count: int) -> list[tuple[float, Recorded]]:
    """`count` consecutive requests, times from 0 at `rate` requests a second on average."""
    first = rng.randrange(len(trace) - count + 1)
    window = trace[first : first + count]
    jittered = sorted(
        ((each.at + rng.random() * _TIMES_ROUNDED_TO_S, each) for each in window), key=lambda pair: pair[0]
    )
    start, span = jittered[0][0], jittered[-1][0] - jittered[0][0]
    return [((at - start) * count / (rate * span), each) for at, each in jittered]


def azure_load() -> Generator:
    """A generator of windows of the Azure trace."""

    def generate(rate: float, seed: int, count: int) -> Sequence[Arrival]:
        rng = Random(f"azure {seed}")
        return [
            arrival(at, text(f"azure {seed} {index}", each.prompt_tokens), b"", output_tokens=each.output_tokens)
            for index, (at, each) in enumerate(_window(azure(), rate, rng, count))
        ]

    return generate


def mooncake_load(*, shrink_answers: bool) -> Generator:
    """A generator of windows of the Mooncake trace. See the module for `shrink_answers`."""

    def generate(rate: float, seed: int, count: int) -> Sequence[Arrival]:
        rng = Random(f"mooncake {seed}")
        return [
            _mooncake_arrival(at, each, index, shrink_answers=shrink_answers)
            for index, (at, each) in enumerate(_window(mooncake(), rate, rng, count))
        ]

    return generate


def _mooncake_arrival(at: float, each: Recorded, index: int, *, shrink_answers: bool) -> Arrival:
    prompt_bytes = max(1, round(each.prompt_tokens / SHRINK)) * BYTES_PER_TOKEN
    shrunk_bytes = max(1, round(each.output_tokens / SHRINK)) * BYTES_PER_TOKEN
    # With what goes on from it, a prompt's last block is the beginning of the same block of the longer prompt.
    whole = _text_of(each.goes_on_as or each.blocks, prompt_bytes + shrunk_bytes)
    answer = whole[prompt_bytes:].ljust(shrunk_bytes, b"-")
    tokens = len(answer) // BYTES_PER_TOKEN
    if not shrink_answers:
        tokens = max(1, each.output_tokens)
        answer += text(f"answer {each.blocks[-1]} {index}", tokens)[len(answer) :]
    return arrival(at, whole[:prompt_bytes], answer, output_tokens=tokens, session=str(each.blocks[:2]))


def _text_of(blocks: Sequence[int], size_bytes: int) -> bytes:
    count = -(-size_bytes // (_BLOCK * BYTES_PER_TOKEN))
    return b"".join(text(f"block {block}", _BLOCK) for block in blocks[:count])[:size_bytes]
