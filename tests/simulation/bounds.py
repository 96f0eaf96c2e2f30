"""What a load allows at most: reuse that any router could reach, and the rate that its fleet could carry. PURE.

Both are properties of load and fleet; no policy has a part in them.
"""

from collections import OrderedDict
from statistics import fmean

from msgspec import Struct

from replicas.types import SimulationSettings
from tests.simulation.loads import Arrival, Load


class ReuseBounds(Struct, frozen=True):
    """Cached prompt tokens ÷ prompt tokens of the measured requests, where every request is computed as it comes."""

    infinite: float
    """With a cache that holds everything."""
    pooled: float
    """With all replicas' caches as one, least recently used first: nothing is held twice, nothing is held by requests
    that run. No router reaches it; no router can be blamed for what it misses."""


class _Lru:
    def __init__(self, capacity: float) -> None:
        self._capacity = capacity
        self._held = 0
        self._blocks: OrderedDict[tuple[str, int], int] = OrderedDict()
        """Hash -> 1; name of a request -> how many blocks only it has."""

    def serve(self, arrival: Arrival, block_tokens: int) -> int:
        """Computes a request; prompt tokens that were there."""
        blocks, hashes = self._blocks, arrival.block_hashes
        usable = min((arrival.prompt_tokens - 1) // block_tokens, len(hashes))
        found = 0
        while found < usable and ("hash", hashes[found]) in blocks:
            found += 1
        lone = (arrival.prompt_tokens + arrival.output_tokens) // block_tokens - len(hashes)
        self._use(("lone", id(arrival)), lone)
        for digest in reversed(hashes):
            self._use(("hash", digest), 1)
        while self._held > self._capacity:
            self._held -= blocks.popitem(last=False)[1]
        return found * block_tokens

    def _use(self, name: tuple[str, int], count: int) -> None:
        if name in self._blocks:
            self._blocks.move_to_end(name)
        else:
            self._blocks[name] = count
            self._held += count


def reuse_bounds(load: Load) -> ReuseBounds:
    """Of `load` on its fleet."""
    block_tokens = load.fleet[0].block_tokens
    pool = _Lru(sum(settings.kv_capacity_tokens // settings.block_tokens for settings in load.fleet))
    endless = _Lru(float("inf"))
    total = infinite = pooled = 0
    for arrival in load.arrivals:
        found, found_pooled = endless.serve(arrival, block_tokens), pool.serve(arrival, block_tokens)
        if arrival.at >= load.measured_from_s:
            total += arrival.prompt_tokens
            infinite += found
            pooled += found_pooled
    return ReuseBounds(infinite / total, pooled / total)


def capacity_rate(load: Load, hit_rate: float) -> float:
    """Requests per second that the fleet carries if everything is spread evenly and `hit_rate` of prompts is cached.

    A replica with B requests decoding gives each of them a token every step, and reads prompts in between. In balance
    it ends 1 / (p + o · s(B) / B) requests a second: p seconds to read a prompt's uncached tokens, o tokens of answer,
    s(B) seconds for a step of B requests. Tokens of a request are then B · p / o + s(B) apart, so the B taken is the
    largest at which these are within the target, and for which there is room in the cache.
    """
    arrivals = load.arrivals
    prompt = fmean(each.prompt_tokens for each in arrivals)
    output = fmean(each.output_tokens for each in arrivals)
    return sum(_replica_rate(settings, prompt, output, hit_rate, load.target_itl_s) for settings in load.fleet)


def _replica_rate(
    settings: SimulationSettings, prompt: float, output: float, hit_rate: float, target_itl_s: float
) -> float:
    read_s = prompt * (1 - hit_rate) / settings.prefill_tokens_per_s
    best = 0.0
    for running in range(1, settings.max_running + 1):
        if running > 1 and running * (prompt * (1 - hit_rate) + output) > settings.kv_capacity_tokens:
            break
        step_s = settings.inter_token_s + settings.inter_token_per_running_s * (running - 1)
        if running > 1 and running * read_s / output + step_s > target_itl_s:
            break
        best = max(best, 1 / (read_s + output * step_s / running))
    return best
