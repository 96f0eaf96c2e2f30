"""An engine at the price of two events a request, for runs of hours.

`replicas.simulation.SimulatedCore` plans every step. Here the same steps are taken as a flow: while a prompt is read,
steps of a full chunk follow each other and decode one token of everybody else; otherwise everybody decodes at the pace
of so many together. `test_engine.py` compares the two.
"""

from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush

from replicas.simulation import PREFILL_CHUNK_TOKENS
from replicas.types import EngineLoad, SimulationSettings
from tests.simulation.clock import VirtualClock


class EngineRequest:
    """A request inside an engine, and who is told of its first token and of its end."""

    __slots__ = ("ended", "first_token", "output_tokens", "prompt_tokens", "unread")

    def __init__(
        self, prompt_tokens: int, output_tokens: int, first_token: Callable[[], None], ended: Callable[[], None]
    ) -> None:
        self.prompt_tokens = prompt_tokens
        self.output_tokens = output_tokens
        self.unread = float(prompt_tokens)
        self.first_token = first_token
        self.ended = ended


class FlowEngine:
    """See the module. It takes whatever it is sent: the router keeps within its limits."""

    def __init__(self, settings: SimulationSettings, clock: VirtualClock) -> None:
        self._settings = settings
        self._clock = clock
        self._reading: deque[EngineRequest] = deque()
        self._decoding: list[tuple[float, int, EngineRequest]] = []
        self._steps = 0.0
        self._at = 0.0
        self._count = 0
        self._version = 0
        self._held_tokens = 0.0
        self._prompt_total = 0
        self._made_total = 0.0

    @property
    def running(self) -> int:
        """Requests inside."""
        return len(self._reading) + len(self._decoding)

    def submit(self, request: EngineRequest) -> None:
        """Begins with it at once, or when the prompts before it are read."""
        self._advance()
        self._reading.append(request)
        self._prompt_total += request.prompt_tokens
        self._held_tokens += request.prompt_tokens + request.output_tokens / 2
        self._schedule()

    def load(self) -> EngineLoad:
        """As an engine reports it."""
        self._advance()
        return EngineLoad(
            running=self.running,
            kv_usage=min(1.0, self._held_tokens / self._settings.kv_capacity_tokens),
            prompt_tokens_total=self._prompt_total,
            generation_tokens_total=int(self._made_total),
        )

    def _decode_s(self) -> float:
        settings, decoding = self._settings, len(self._decoding)
        return settings.inter_token_s + settings.inter_token_per_running_s * (decoding - 1) if decoding else 0.0

    def _step_s(self) -> float:
        reading_s = PREFILL_CHUNK_TOKENS / self._settings.prefill_tokens_per_s if self._reading else 0.0
        return reading_s + self._decode_s()

    def _advance(self) -> None:
        now = self._clock.now()
        if now > self._at and self.running:
            steps = (now - self._at) / self._step_s()
            self._steps += steps
            self._made_total += steps * len(self._decoding)
            if self._reading:
                self._reading[0].unread -= steps * PREFILL_CHUNK_TOKENS
        self._at = now

    def _schedule(self) -> None:
        self._version += 1
        version = self._version
        steps = [self._decoding[0][0] - self._steps] if self._decoding else []
        if self._reading:
            steps.append(self._reading[0].unread / PREFILL_CHUNK_TOKENS)
        if steps:
            self._clock.later(max(0.0, min(steps)) * self._step_s(), lambda: self._happen(version))

    def _happen(self, version: int) -> None:
        if version != self._version:
            return
        self._advance()
        told: list[Callable[[], None]] = []
        if self._reading and self._reading[0].unread <= 1e-6:
            told.append(self._read(self._reading.popleft()))
        while self._decoding and self._decoding[0][0] <= self._steps + 1e-9:
            told.append(self._end(heappop(self._decoding)[2]))
        self._schedule()
        for tell in told:
            tell()

    def _read(self, request: EngineRequest) -> Callable[[], None]:
        self._made_total += 1
        self._count += 1
        heappush(self._decoding, (self._steps + request.output_tokens - 1, self._count, request))
        return request.first_token

    def _end(self, request: EngineRequest) -> Callable[[], None]:
        self._held_tokens -= request.prompt_tokens + request.output_tokens / 2
        return request.ended
