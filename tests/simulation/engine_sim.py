"""A simulated engine in virtual time.

`JumpingCore` is `SimulatedCore` with one addition: a run of steps that only decode and in which no request ends is
taken in one go. The state after it is the state after so many single steps (`test_engine_sim.py`), at a twentieth of
the work.
"""

from collections import deque
from collections.abc import Callable
from math import ceil

from msgspec import Struct

from replicas.simulation import PREFILL_CHUNK_TOKENS, SimulatedCore, SimulatedRequest, StepPlan, TokenMade
from replicas.types import SimulationSettings
from tests.simulation.clock import VirtualClock

Observer = Callable[[TokenMade], None]
"""Told of the first and the last token of every request."""


class JumpingCore(SimulatedCore):
    """A core that can take many steps at once."""

    settings: SimulationSettings

    def __init__(self, settings: SimulationSettings) -> None:
        super().__init__(settings)
        self.settings = settings

    def _admit(self) -> None:
        """As vLLM does: who waits is looked at only while the step has tokens left to read, and so finds in the cache
        what those before it have read meanwhile."""
        while self._waiting and len(self._running) < self._settings.max_running:
            unread = sum(each.known - each.computed for each in self._running.values() if not each.decoding)
            before = len(self._running)
            if unread >= PREFILL_CHUNK_TOKENS:
                return
            self._admit_one()
            if len(self._running) == before:
                return

    def _admit_one(self) -> None:
        waiting, self._waiting = self._waiting, deque([self._waiting[0]])
        super()._admit()
        if not self._waiting:
            waiting.popleft()
        self._waiting = waiting

    def steps_alike(self, plan: StepPlan) -> int:
        """How many steps exactly like `plan`, which has just begun, follow each other; 1 at least.

        A request ends in the last of them at the earliest, the cache has room for all of them, and nobody who waits
        could come in between.
        """
        if plan.prefilling or (self._waiting and len(self._running) < self._settings.max_running):
            return 1
        steps = min(running.request.output_tokens - running.made for running in self._running.values())
        while steps > 1 and self._blocks_missing(steps) > self.cache.free:
            steps //= 2
        return steps

    def end_steps(self, steps: int) -> tuple[TokenMade, ...]:
        """Ends the planned step and `steps` - 1 more like it. Of the tokens, only first and last ones are told."""
        if steps == 1:
            return tuple(token for token in self.end_step() if token.last or not token.index)
        self._plan = None
        ended: list[TokenMade] = []
        self._made_total += len(self._running) * (steps - 1)
        for running in list(self._running.values()):
            running.made += steps - 1
            running.computed += steps
            for _ in range(self._blocks_for(running.computed) - len(running.blocks)):
                running.blocks.append(self.cache.extend())  # type: ignore[arg-type]  # `steps_alike` saw to it
            if running.hashed < len(running.request.block_hashes):
                self._remember_full_blocks(running)
            if running.made + 1 == running.request.output_tokens:
                ended.append(self._make_token(running))
            else:
                running.made += 1
                self._made_total += 1
        return tuple(ended)

    def _blocks_missing(self, steps: int) -> int:
        return sum(
            self._blocks_for(running.known + steps - 1) - len(running.blocks) for running in self._running.values()
        )


class QueuedWork(Struct):
    """What is left to do of one request, at the next boundary between two steps. For those who may know all."""

    id: str
    prefill_tokens: int
    """Yet to be read; 0 for one that decodes."""
    output_tokens: int
    """Yet to be made."""
    size_tokens: int
    """Prompt and answer: what the cache gets back at its end."""
    waiting: bool = False


class EngineProcess:
    """A core that runs by a virtual clock, and tells of first and last tokens."""

    def __init__(self, settings: SimulationSettings, clock: VirtualClock) -> None:
        self.core = JumpingCore(settings)
        self.settings = settings
        self._clock = clock
        self._observers: dict[str, Observer] = {}
        self._plan: StepPlan | None = None
        self._began = 0.0
        self._steps = 0
        self._version = 0
        self._starting = False

    def submit(self, request: SimulatedRequest, observer: Observer) -> None:
        """As `SimulatedCore.submit`. The request is looked at when the step under way ends."""
        self._observers[request.id] = observer
        self.core.submit(request)
        if self._plan is None:
            if not self._starting:
                # At the end of this moment, so that requests that come together are taken together.
                self._starting = True
                self._clock.later(0.0, self._start)
        elif self._steps > 1:
            self._steps = min(self._steps, self._steps_until(self._clock.now()))
            self._schedule()

    def until_boundary_s(self) -> float:
        """Seconds until the step under way ends; 0 for an idle engine."""
        if self._plan is None:
            return 0.0
        now = self._clock.now()
        return max(0.0, self._began + self._steps_until(now) * self._plan.duration_s - now)

    def remaining(self) -> list[QueuedWork]:
        """Everything there is to do, in the order in which the engine will do it, as of the next boundary."""
        plan = self._plan
        steps = 0 if plan is None else self._steps_until(self._clock.now())
        decoding = set(plan.decoding) if plan is not None else ()
        reading = dict(plan.prefilling) if plan is not None else {}
        left: list[QueuedWork] = []
        for running in self.core._running.values():
            request = running.request
            made = running.made + (steps if request.id in decoding else 0)
            missing = running.known - running.computed - reading.get(request.id, 0)
            prefill = 0 if request.id in decoding else missing
            if request.id in reading and not missing:
                made += 1
            room = request.output_tokens - made
            if room:
                left.append(QueuedWork(request.id, prefill, room, request.prompt_tokens + request.output_tokens))
        for waiting in self.core._waiting:
            request, made = waiting.request, waiting.made
            uncached = max(1, request.prompt_tokens + made - self.cached_tokens(request))
            size = request.prompt_tokens + request.output_tokens
            left.append(QueuedWork(request.id, uncached, request.output_tokens - made, size, waiting=True))
        return left

    def cached_tokens(self, request: SimulatedRequest) -> int:
        """Of the prompt, how much would not have to be read if it were admitted now."""
        size = self.settings.block_tokens
        return self.core.cache.match(request.block_hashes[: (request.prompt_tokens - 1) // size]) * size

    def _steps_until(self, now: float) -> int:
        assert self._plan is not None
        duration = self._plan.duration_s
        return min(self._steps, max(1, ceil((now - self._began) / duration - 1e-9)))

    def _start(self) -> None:
        self._starting = False
        self._began = self._clock.now()
        self._plan = self.core.begin_step()
        if self._plan is not None:
            self._steps = self.core.steps_alike(self._plan)
            self._schedule()

    def _schedule(self) -> None:
        assert self._plan is not None
        self._version += 1
        version = self._version
        self._clock.at(self._began + self._steps * self._plan.duration_s, lambda: self._end(version))

    def _end(self, version: int) -> None:
        if version != self._version:
            return
        made = self.core.end_steps(self._steps)
        self._plan = None
        for token in made:
            observer = self._observers.pop(token.request_id) if token.last else self._observers[token.request_id]
            observer(token)
        if not self._starting:
            self._start()
