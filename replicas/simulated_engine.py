"""An engine that makes tokens up, at the pace of a real one. For tests, for benchmarks of everything around an engine,
and for trying Roundhouse out; never a default, and every answer says that it is simulated.

Pace, cache and queue are `replicas.simulation`, set by `ReplicaSpec.simulation`; answers are `replicas.simulated_text`.

Faults, for tests, in `engine_args["faults"]` (all optional):

    fail_to_start: str            the sentence of the `EngineStartError`
    fail_permanently: bool        its `permanent`
    die_after_tokens: int         after so many tokens in all the engine is dead, and requests in it fail
    hang_after_tokens: int        after so many tokens in all it makes no more, and says nothing
    error_every: int              every n-th request is answered with 500
    refuse_swap: str              the sentence of the `SwapRefusedError` of other weights
    fail_to_swap: str             the sentence of their `SwapFailedError`
    fail_to_wake: str             the sentence of the `EngineUnhealthyError` of being woken
"""

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from starlette.types import ASGIApp

from replicas.doing import Doing
from replicas.engine import Progress
from replicas.errors import EngineStartError, EngineUnhealthyError, SwapFailedError, SwapRefusedError
from replicas.simulated_text import block_hashes, make_answer, tokenize
from replicas.simulation import SimulatedCore, SimulatedRequest, TokenMade
from replicas.types import EngineCapacity, EngineLoad, ReplicaSpec, SimulationSettings


class Faults(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """See the module's docstring."""

    fail_to_start: str | None = None
    fail_permanently: bool = False
    die_after_tokens: int | None = None
    hang_after_tokens: int | None = None
    error_every: int | None = None
    refuse_swap: str | None = None
    fail_to_swap: str | None = None
    fail_to_wake: str | None = None


class Job(Struct, frozen=True, kw_only=True):
    """A request, once its HTTP form is read."""

    prompt: tuple[int, ...]
    question: str
    """The part of the prompt that the answer quotes."""
    max_tokens: int
    stop: tuple[str, ...] = ()
    ignore_eos: bool = False
    said: int = 0
    """Tokens of the answer that the prompt ends with."""


class Piece(Struct, frozen=True, kw_only=True):
    """One token of an answer."""

    text: str
    cached_prompt_tokens: int
    finish_reason: str | None = None
    """Set on the last: `stop` or `length`."""
    stop: str | None = None


class SimulatedEngine:
    """The `Engine` without a model."""

    def __init__(self) -> None:
        self._core = SimulatedCore(SimulationSettings())
        self._block_tokens = SimulationSettings().block_tokens
        self._faults = Faults()
        self._swap_s = 0.0
        self._wake_s = 0.0
        self._app: ASGIApp | None = None
        self._queues: dict[str, asyncio.Queue[TokenMade | None]] = {}
        self._work = asyncio.Event()
        self._loop_task: asyncio.Task[None] | None = None
        self._requests = 0
        self._capacity = EngineCapacity()
        self._dead = False

    @property
    def app(self) -> ASGIApp:
        if self._app is None:
            raise RuntimeError("start() has not finished")
        return self._app

    @property
    def capacity(self) -> EngineCapacity:
        return self._capacity

    @property
    def dead(self) -> bool:
        return self._dead

    async def start(self, spec: ReplicaSpec, progress: Progress) -> None:
        from replicas.simulated_app import build_app

        self._faults = _read_faults(spec.engine_args)
        progress(Doing.SIMULATING_START)
        await asyncio.sleep(spec.simulation.start_s)
        if self._faults.fail_to_start is not None:
            raise EngineStartError(self._faults.fail_to_start, permanent=self._faults.fail_permanently)
        self._core = SimulatedCore(spec.simulation)
        self._swap_s = spec.simulation.swap_s
        self._wake_s = spec.simulation.wake_s
        self._block_tokens = spec.simulation.block_tokens
        capacity = self._core.capacity_tokens
        context = min(spec.max_model_len or capacity, capacity)
        self._capacity = EngineCapacity(
            max_model_len=context,
            max_running=spec.simulation.max_running,
            kv_tokens=capacity,
            takes_token_ids=True,
            sleep_bytes=spec.simulation.weights_bytes if spec.sleep_mode else None,
        )
        self._app = build_app(self, spec.model, context)
        self._loop_task = asyncio.create_task(self._run())

    def load(self) -> EngineLoad:
        return self._core.load()

    async def prepare_swap(self, folder: Path) -> None:
        if self._faults.refuse_swap is not None:
            raise SwapRefusedError(self._faults.refuse_swap)

    async def swap(self, folder: Path, revision: str) -> float:
        """Other weights change nothing in what is made up; it takes as long as was set."""
        await asyncio.sleep(self._swap_s)
        if self._faults.fail_to_swap is not None:
            raise SwapFailedError(self._faults.fail_to_swap)
        self._core.cache.clear()
        return self._swap_s

    async def sleep(self) -> None:
        self._cut_everything()
        self._core.cache.clear()

    async def wake(self) -> None:
        await asyncio.sleep(self._wake_s)
        if self._faults.fail_to_wake is not None:
            raise EngineUnhealthyError(self._faults.fail_to_wake)

    async def generate_one(self) -> None:
        job = Job(prompt=tuple(tokenize("canary")), question="canary", max_tokens=1)
        async for _ in self.generate(job):
            pass

    async def stop(self) -> None:
        task, self._loop_task = self._loop_task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
        self._fail_everything()

    def next_request_fails(self) -> bool:
        """Count a request, and say whether the fault `error_every` hits it."""
        self._requests += 1
        every = self._faults.error_every
        return every is not None and self._requests % every == 0

    async def generate(self, job: Job) -> AsyncIterator[Piece]:
        """The answer's tokens as they are made. Closing it early takes the request out of the engine.

        Raises `EngineUnhealthyError` when the engine is or becomes dead, `ValueError` if the job cannot fit.
        """
        if self._dead or self._loop_task is None:
            raise EngineUnhealthyError("The simulated engine is dead.")
        answer = make_answer(job.question, job.max_tokens, job.stop, job.ignore_eos, job.said)
        request = SimulatedRequest(
            id=uuid.uuid4().hex,
            prompt_tokens=len(job.prompt),
            output_tokens=len(answer.texts),
            block_hashes=block_hashes(job.prompt + answer.tokens, self._block_tokens),
        )
        self._core.submit(request)
        queue = self._queues[request.id] = asyncio.Queue()
        self._work.set()
        try:
            for index, text in enumerate(answer.texts):
                made = await queue.get()
                if made is None:
                    raise EngineUnhealthyError("The simulated engine died or fell asleep.")
                last = index == len(answer.texts) - 1
                yield Piece(
                    text=text,
                    cached_prompt_tokens=made.cached_prompt_tokens,
                    finish_reason=answer.finish_reason if last else None,
                    stop=answer.stop if last else None,
                )
        finally:
            self._queues.pop(request.id, None)
            self._core.cancel(request.id)

    async def _run(self) -> None:
        """Step for step, at the pace of the plan; the lateness of one sleep is taken off the next."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while not self._dead:
            step = self._core.begin_step()
            if step is None:
                self._work.clear()
                await self._work.wait()
                due = loop.time()
                continue
            due = max(due + step.duration_s, loop.time())
            await asyncio.sleep(due - loop.time())
            for made in self._core.end_step():
                if made.request_id in self._queues:
                    self._queues[made.request_id].put_nowait(made)
            await self._suffer_faults()

    async def _suffer_faults(self) -> None:
        made = self._core.load().generation_tokens_total
        if self._faults.hang_after_tokens is not None and made >= self._faults.hang_after_tokens:
            await asyncio.get_running_loop().create_future()
        if self._faults.die_after_tokens is not None and made >= self._faults.die_after_tokens:
            self._fail_everything()

    def _fail_everything(self) -> None:
        self._dead = True
        self._cut_everything()

    def _cut_everything(self) -> None:
        for queue in self._queues.values():
            queue.put_nowait(None)


def _read_faults(engine_args: dict[str, Any]) -> Faults:
    try:
        return msgspec.convert(engine_args.get("faults", {}), Faults)
    except msgspec.ValidationError as error:
        raise EngineStartError(
            f"engine_args['faults'] of the simulated engine is wrong: {error}.", permanent=True
        ) from error
