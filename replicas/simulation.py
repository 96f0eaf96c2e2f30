"""The simulated engine's scheduler: continuous batching over a KV cache, in steps, without a clock. PURE.

    while (step := core.begin_step()) is not None:
        wait step.duration_s        # asyncio.sleep in the engine, an addition in a simulator
        for output in core.end_step(): ...

A step decodes one token for every request whose prompt is read, and reads up to `PREFILL_CHUNK_TOKENS` tokens of
prompts, oldest first. It lasts

    inter_token_s + inter_token_per_running_s * (decoding - 1)   if anything decodes
  + prefill tokens / prefill_tokens_per_s

The step that reads the last token of a prompt also makes its first token. When the cache is full the youngest
request gives its blocks back and starts anew later (its tokens so far are read again as a prompt, not made again).
"""

from collections import deque

from msgspec import Struct

from replicas.simulated_cache import KvCache
from replicas.types import EngineLoad, SimulationSettings

PREFILL_CHUNK_TOKENS = 2048


class SimulatedRequest(Struct, frozen=True, kw_only=True):
    """A request whose answer's length is known beforehand."""

    id: str
    prompt_tokens: int
    output_tokens: int
    """At least 1."""
    block_hashes: tuple[int, ...] = ()
    """Of the full blocks of the prompt *and* the answer behind it; fewer are allowed, and then less is reused."""


class StepPlan(Struct, frozen=True, kw_only=True):
    """A step under way."""

    duration_s: float
    decoding: tuple[str, ...]
    prefilling: tuple[tuple[str, int], ...]
    """Requests with the number of tokens read of each."""


class TokenMade(Struct, frozen=True, kw_only=True):
    """Token number `index` (from 0) of a request; `last` is its end."""

    request_id: str
    index: int
    last: bool
    cached_prompt_tokens: int


class _Waiting(Struct, frozen=True, kw_only=True):
    request: SimulatedRequest
    made: int = 0
    cached: int | None = None
    """None until the request has run for the first time."""


class _Running(Struct, kw_only=True):
    request: SimulatedRequest
    blocks: list[int]
    computed: int
    """Tokens whose KV is in the cache."""
    made: int
    cached: int
    hashed: int

    @property
    def known(self) -> int:
        """Tokens there are to compute: the prompt and what was made of the answer."""
        return self.request.prompt_tokens + self.made

    @property
    def decoding(self) -> bool:
        return self.made > 0 and self.computed == self.known - 1


class SimulatedCore:
    """The state of one simulated engine."""

    def __init__(self, settings: SimulationSettings) -> None:
        self._settings = settings
        self.cache = KvCache(max(1, settings.kv_capacity_tokens // settings.block_tokens))
        self._waiting: deque[_Waiting] = deque()
        self._running: dict[str, _Running] = {}
        self._plan: StepPlan | None = None
        self._prompt_total = 0
        self._made_total = 0

    @property
    def capacity_tokens(self) -> int:
        """Tokens of prompt and answer that one request may have at most."""
        return self.cache.capacity * self._settings.block_tokens

    def load(self) -> EngineLoad:
        return EngineLoad(
            running=len(self._running),
            waiting=len(self._waiting),
            kv_usage=self.cache.held / self.cache.capacity,
            prompt_tokens_total=self._prompt_total,
            generation_tokens_total=self._made_total,
        )

    def submit(self, request: SimulatedRequest) -> None:
        """Queue `request`. Raises `ValueError` if it could never fit, or is not well formed."""
        if request.prompt_tokens < 1 or request.output_tokens < 1:
            raise ValueError("A request has at least one prompt token and one output token.")
        if request.prompt_tokens + request.output_tokens > self.capacity_tokens:
            raise ValueError(f"A request may have at most {self.capacity_tokens} tokens in all.")
        self._waiting.append(_Waiting(request=request))

    def cancel(self, request_id: str) -> None:
        """Forget a request, whatever it is doing; unknown ids are no error."""
        self._waiting = deque(entry for entry in self._waiting if entry.request.id != request_id)
        gone = self._running.pop(request_id, None)
        if gone is not None:
            self.cache.release(gone.blocks)

    def begin_step(self) -> StepPlan | None:
        """Plan the next step; None if there is nothing to do. Every plan must be ended by `end_step`."""
        self._admit()
        self._make_room()
        decoding = tuple(running.request.id for running in self._running.values() if running.decoding)
        prefilling = self._choose_prefill()
        if not decoding and not prefilling:
            return None
        self._plan = StepPlan(
            duration_s=self._duration_s(len(decoding), sum(tokens for _, tokens in prefilling)),
            decoding=decoding,
            prefilling=prefilling,
        )
        return self._plan

    def end_step(self) -> tuple[TokenMade, ...]:
        """Finish the planned step. Requests cancelled meanwhile make nothing."""
        plan, self._plan = self._plan, None
        if plan is None:
            return ()
        steps = [(request_id, 1) for request_id in plan.decoding] + list(plan.prefilling)
        made: list[TokenMade] = []
        for request_id, tokens in steps:
            running = self._running.get(request_id)
            if running is None:
                continue
            running.computed += tokens
            self._remember_full_blocks(running)
            if running.computed == running.known:
                made.append(self._make_token(running))
        return tuple(made)

    def _duration_s(self, decoding: int, prefill_tokens: int) -> float:
        settings = self._settings
        duration = prefill_tokens / settings.prefill_tokens_per_s
        if decoding:
            duration += settings.inter_token_s + settings.inter_token_per_running_s * (decoding - 1)
        return duration

    def _blocks_for(self, tokens: int) -> int:
        return -(-tokens // self._settings.block_tokens)

    def _admit(self) -> None:
        """Take waiting requests in order, as long as there is room for what each must read."""
        while self._waiting and len(self._running) < self._settings.max_running:
            waiting = self._waiting[0]
            request, known = waiting.request, waiting.request.prompt_tokens + waiting.made
            # The last token must be computed for there to be a next one, so its block is never reused.
            reusable = request.block_hashes[: (known - 1) // self._settings.block_tokens]
            acquired = self.cache.acquire(reusable, self._blocks_for(known))
            if acquired is None:
                return
            self._waiting.popleft()
            blocks, reused = acquired
            computed = reused * self._settings.block_tokens
            if waiting.cached is None:
                self._prompt_total += request.prompt_tokens
            self._running[request.id] = _Running(
                request=request,
                blocks=blocks,
                computed=computed,
                made=waiting.made,
                cached=computed if waiting.cached is None else waiting.cached,
                hashed=reused,
            )

    def _make_room(self) -> None:
        """Give every decoding request a block for its next token; the youngest requests yield when none is left."""
        for running in list(self._running.values()):
            while (
                running.request.id in self._running
                and running.decoding
                and self._blocks_for(running.known) > len(running.blocks)
            ):
                block = self.cache.extend()
                if block is not None:
                    running.blocks.append(block)
                else:
                    self._preempt_youngest()

    def _preempt_youngest(self) -> None:
        _, youngest = self._running.popitem()
        self.cache.release(youngest.blocks)
        again = _Waiting(request=youngest.request, made=youngest.made, cached=youngest.cached)
        self._waiting.appendleft(again)

    def _choose_prefill(self) -> tuple[tuple[str, int], ...]:
        budget = PREFILL_CHUNK_TOKENS
        chosen: list[tuple[str, int]] = []
        for running in self._running.values():
            missing = 0 if running.decoding else running.known - running.computed
            tokens = min(missing, budget)
            if tokens > 0:
                chosen.append((running.request.id, tokens))
                budget -= tokens
        return tuple(chosen)

    def _remember_full_blocks(self, running: _Running) -> None:
        full = min(running.computed // self._settings.block_tokens, len(running.request.block_hashes))
        for index in range(running.hashed, full):
            self.cache.remember(running.blocks[index], running.request.block_hashes[index])
        running.hashed = max(running.hashed, full)

    def _make_token(self, running: _Running) -> TokenMade:
        running.made += 1
        self._made_total += 1
        last = running.made == running.request.output_tokens
        if last:
            del self._running[running.request.id]
            self.cache.release(running.blocks)
        return TokenMade(
            request_id=running.request.id,
            index=running.made - 1,
            last=last,
            cached_prompt_tokens=running.cached,
        )
