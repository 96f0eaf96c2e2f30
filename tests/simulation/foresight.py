"""What an engine will do with the requests it has, if no more come."""

from collections import deque
from collections.abc import Mapping, Sequence
from heapq import heapify, heappop, heappush

from msgspec import Struct

from replicas.simulation import PREFILL_CHUNK_TOKENS
from replicas.types import SimulationSettings
from tests.simulation.engine_sim import QueuedWork


class Times(Struct, frozen=True):
    """When a request will have its first and its last token; the first is None where it has it already."""

    first_at: float | None
    ended_at: float


class Foresight:
    """Plays the engine's schedule on, by the rules of `replicas.simulation`, with room in the cache counted in tokens.

    Preemption is not foreseen.
    """

    def __init__(
        self, settings: SimulationSettings, work: Sequence[QueuedWork], *, at: float, free_tokens: int
    ) -> None:
        self._settings = settings
        self._at = at
        self._free_tokens = free_tokens
        self._step = 0
        self._work = work
        self._reading = deque([index, each.prefill_tokens] for index, each in enumerate(work) if self._reads(each))
        self._waiting = deque(index for index, each in enumerate(work) if each.waiting)
        self._active = len(work) - len(self._waiting)
        self._decoding = [
            (each.output_tokens, index)
            for index, each in enumerate(work)
            if not each.waiting and not each.prefill_tokens
        ]
        heapify(self._decoding)
        self._first: dict[int, float] = {}
        self.times: dict[str, Times] = {}

    @staticmethod
    def _reads(work: QueuedWork) -> bool:
        return not work.waiting and work.prefill_tokens > 0

    def play(self) -> Mapping[str, Times]:
        """To the end of the last request."""
        while self._active or self._waiting:
            self._admit()
            if self._reading:
                self._mixed_step()
            else:
                self._decode_until_one_ends()
        return self.times

    def _admit(self) -> None:
        while self._waiting and self._active < self._settings.max_running:
            work = self._work[self._waiting[0]]
            if self._active and work.prefill_tokens > self._free_tokens:
                return
            self._free_tokens -= work.prefill_tokens
            self._active += 1
            self._reading.append([self._waiting.popleft(), work.prefill_tokens])

    def _mixed_step(self) -> None:
        budget = PREFILL_CHUNK_TOKENS
        read: list[int] = []
        while self._reading and budget:
            entry = self._reading[0]
            tokens = min(entry[1], budget)
            budget -= tokens
            entry[1] -= tokens
            if not entry[1]:
                read.append(entry[0])
                self._reading.popleft()
        duration = (PREFILL_CHUNK_TOKENS - budget) / self._settings.prefill_tokens_per_s
        self._pass(1, duration + (self._decode_s() if self._decoding else 0.0))
        for index in read:
            self._first[index] = self._at
            rest = self._work[index].output_tokens - 1
            if rest:
                heappush(self._decoding, (self._step + rest, index))
            else:
                self._end(index)

    def _decode_until_one_ends(self) -> None:
        steps = self._decoding[0][0] - self._step
        self._pass(steps, steps * self._decode_s())

    def _decode_s(self) -> float:
        settings = self._settings
        return settings.inter_token_s + settings.inter_token_per_running_s * (len(self._decoding) - 1)

    def _pass(self, steps: int, duration_s: float) -> None:
        self._step += steps
        self._at += duration_s
        self._free_tokens -= steps * len(self._decoding)
        while self._decoding and self._decoding[0][0] <= self._step:
            self._end(heappop(self._decoding)[1])

    def _end(self, index: int) -> None:
        work = self._work[index]
        self._active -= 1
        self._free_tokens += work.size_tokens
        self.times[work.id] = Times(self._first.get(index), self._at)
