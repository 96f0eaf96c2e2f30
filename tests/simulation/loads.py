"""What a load is: requests with the times at which they come, whatever becomes of those before them.

Texts are made of endless pseudo-random streams, one for each name: two prompts share exactly as much of their
beginning as they are said to. A token is `BYTES_PER_TOKEN` bytes. The engine's blocks are hashes over the same text,
of the prompt and of the answer behind it, so what an engine can reuse and what a router can know of it follow from
one thing.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from hashlib import shake_128
from itertools import chain, takewhile

from msgspec import Struct
from msgspec.structs import replace

from replicas.types import SimulationSettings
from router.prompt_text import answered

BYTES_PER_TOKEN = 4


class Arrival(Struct, frozen=True, kw_only=True):
    """One request. Its answer is the same whoever gives it."""

    at: float
    """Seconds from the beginning of the load: when it is sent, and where its latency is counted from."""
    prompt: bytes
    answer: bytes
    """Text of the answer, as far as the next prompt of the same conversation has it."""
    output_tokens: int
    opening: bytes = b""
    """How the messages of a conversation begin, whose next prompt has the answer as a message of its own; in others it
    follows the text of this one."""
    session: bytes = b""
    """Same for all requests of a conversation."""
    streamed: bool = True
    block_hashes: tuple[int, ...] = ()
    """Of the engine's full blocks, prompt and answer."""

    @property
    def prompt_tokens(self) -> int:
        return -(-len(self.prompt) // BYTES_PER_TOKEN)


class Load(Struct, frozen=True, kw_only=True):
    """What a run is made of."""

    name: str
    arrivals: Sequence[Arrival]
    fleet: Sequence[SimulationSettings]
    joins: Sequence[float] = ()
    """Of the last replicas of the fleet, when they become ready (seconds); the others are from the beginning."""
    target_ttft_s: float = 2.0
    target_itl_s: float = 0.1
    measured_from_s: float = 0.0
    """Requests that come earlier warm the caches and do not count."""

    @property
    def measured_s(self) -> float:
        """Seconds over which rates are taken."""
        return self.arrivals[-1].at - self.measured_from_s


Generator = Callable[[float, int, int], Sequence[Arrival]]
"""(requests per second, seed, requests) -> arrivals in order of time."""


def text(name: str, tokens: int) -> bytes:
    """The first `tokens` tokens of the stream called `name`, in ASCII."""
    return shake_128(name.encode()).hexdigest(tokens * BYTES_PER_TOKEN // 2).encode()


def block_hashes(prompt: bytes, behind: bytes, output_tokens: int, block_tokens: int) -> tuple[int, ...]:
    """Of the full blocks of a prompt and the answer `behind` it; each hash stands for everything before it as well."""
    size = block_tokens * BYTES_PER_TOKEN
    prompt_tokens = -(-len(prompt) // BYTES_PER_TOKEN)
    whole = (prompt + behind)[: (prompt_tokens + output_tokens) * BYTES_PER_TOKEN]
    hashes: list[int] = []
    before = 0
    for at in range(0, len(whole) - size + 1, size):
        before = hash((before, whole[at : at + size]))
        hashes.append(before)
    return tuple(hashes)


def arrival(
    at: float,
    prompt: bytes,
    answer: bytes,
    *,
    output_tokens: int = 0,
    opening: bytes = b"",
    session: str = "",
    streamed: bool = True,
    block_tokens: int = 16,
) -> Arrival:
    """An arrival with its blocks. `output_tokens`: 0 takes those of `answer`."""
    tokens = output_tokens or max(1, len(answer) // BYTES_PER_TOKEN)
    behind = answered(opening, answer.decode())
    return Arrival(
        at=at,
        prompt=prompt,
        answer=answer,
        output_tokens=tokens,
        session=session.encode(),
        opening=opening,
        streamed=streamed,
        block_hashes=block_hashes(prompt, behind, tokens, block_tokens),
    )


def without_lone_blocks(arrivals: Sequence[Arrival]) -> Sequence[Arrival]:
    """The same load, where blocks that only one request has are not named: nobody could find them again."""
    counts = Counter(chain.from_iterable(each.block_hashes for each in arrivals))
    return [
        replace(each, block_hashes=tuple(takewhile(lambda digest: counts[digest] > 1, each.block_hashes)))
        for each in arrivals
    ]
