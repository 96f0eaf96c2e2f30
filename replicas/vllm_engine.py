"""vLLM in this process: its own engine client and its own HTTP surface, built as `vllm serve` builds them.

The only file that imports vLLM, and only inside functions: importing it takes seconds and reads the environment that
`start` sets first.
"""

import math
import multiprocessing
import os
import sys
import uuid
from argparse import ArgumentError, Namespace
from pathlib import Path
from typing import Any, NoReturn

from starlette.types import ASGIApp

from replicas.doing import Doing
from replicas.engine import Progress
from replicas.errors import EngineStartError, EngineUnhealthyError
from replicas.log_tail import LogTail
from replicas.parent_death import die_with_parent
from replicas.stats import StepReport, add, combine, settle
from replicas.types import EngineCapacity, EngineLoad, ReplicaSpec
from replicas.vllm_failures import bad_configuration, explain, unknown_architecture
from replicas.vllm_settings import (
    check_weights,
    command_line,
    engine_arguments,
    environment,
    usable_cores,
    weights_bytes,
)
from replicas.vllm_swap import InPlaceSwap, label

_PROOF_PROMPT = (1, 2, 3, 5, 8, 13, 21, 34)
"""Token ids that every vocabulary has."""
_PROOF_TOKENS = 4


class VllmEngine:
    """The `Engine` that serves for real, on a GPU or a CPU."""

    def __init__(self) -> None:
        self._client: Any = None
        self._app: ASGIApp | None = None
        self._recorders: list[_LoadRecorder] = []
        self._capacity = EngineCapacity()
        self._swap: InPlaceSwap | None = None

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
        client = self._client
        return client is not None and bool(client.errored)

    async def start(self, spec: ReplicaSpec, progress: Progress) -> None:
        progress(Doing.CHECKING_FILES)
        architectures = check_weights(spec.weights_path)
        _set_environment(environment(spec, usable_cores()))
        progress(Doing.LOADING_VLLM)
        _require_known_architecture(architectures)
        log = LogTail()
        try:
            args = _parse_arguments(engine_arguments(spec))
            config = _build_config(args)
            progress(Doing.STARTING_ENGINE)
            self._client = _build_client(config, self._add_recorder)
            await self._client.reset_mm_cache()
            progress(Doing.OPENING_SURFACE)
            self._app = await _build_app(self._client, args)
            self._capacity = await _read_capacity(self._client, args, spec)
            answer = self._answer if self._capacity.generates else None
            self._swap = InPlaceSwap(self._client, self._app, Path(spec.weights_path), answer)
            await self._swap.learn()
            label(self._app, spec.revision)
        except EngineStartError:
            await self.stop()
            raise
        # vLLM raises anything from assertions to pydantic's errors out of its start: this is the top of it.
        except Exception as error:
            failure = explain(str(error), log.lines(), on_gpu=spec.gpus_per_replica > 0)
            await self.stop()
            raise failure from error

    def _add_recorder(self, vllm_config: Any, engine_index: int = 0) -> Any:
        recorder = _LoadRecorder()
        self._recorders.append(recorder)
        return _stat_logger(recorder)

    def load(self) -> EngineLoad:
        client = self._client  # another thread may stop the engine between two looks
        if client is None:
            return EngineLoad()
        total = combine(recorder.load for recorder in self._recorders)
        return settle(total, client.get_num_unfinished_requests())

    async def generate_one(self) -> None:
        from vllm.v1.engine.exceptions import EngineDeadError, EngineGenerateError

        if not self._capacity.generates:
            await self._client.check_health()  # an embedder: its engine core answers, it cannot generate
            return
        try:
            await self._generate("canary", (1,), 1)
        except (EngineDeadError, EngineGenerateError) as error:
            raise EngineUnhealthyError(f"The engine cannot generate any more: {error}") from error

    async def _answer(self) -> tuple[tuple[int, ...], float]:
        return await self._generate("proof", _PROOF_PROMPT, _PROOF_TOKENS)

    async def _generate(self, purpose: str, prompt: tuple[int, ...], count: int) -> tuple[tuple[int, ...], float]:
        """Up to `count` greedy tokens after `prompt`, and the logarithm of their likelihood (NaN if there is none)."""
        from vllm import SamplingParams, TokensPrompt

        parameters = SamplingParams(max_tokens=count, temperature=0.0, logprobs=0, detokenize=False)
        tokens: tuple[int, ...] = ()
        likelihood: float | None = None
        request_id = f"{purpose}-{uuid.uuid4().hex}"
        async for output in self._client.generate(TokensPrompt(prompt_token_ids=list(prompt)), parameters, request_id):
            tokens, likelihood = tuple(output.outputs[0].token_ids), output.outputs[0].cumulative_logprob
        return tokens, math.nan if likelihood is None else likelihood

    async def prepare_swap(self, folder: Path) -> None:
        assert self._swap is not None  # noqa: S101 - only after `start`
        await self._swap.prepare(folder)

    async def swap(self, folder: Path, revision: str) -> float:
        assert self._swap is not None  # noqa: S101 - only after `start`
        return await self._swap.swap(folder, revision)

    async def sleep(self) -> None:
        await self._client.sleep(level=1, mode="abort")  # it resets the prefix cache too

    async def wake(self) -> None:
        if not await self._client.wake_up():
            raise EngineUnhealthyError("The engine did not wake up.")

    async def stop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            # It waits for the children in this thread; nothing else has to run in a replica that stops.
            client.shutdown(timeout=5)
        _kill_engine_children()


class _LoadRecorder:
    """The latest load of one engine core. Written by the engine's event loop, read from any thread."""

    def __init__(self) -> None:
        self.load = EngineLoad()

    def record(self, scheduler: Any, iteration: Any) -> None:
        """Add one step as vLLM reports it (`SchedulerStats`, `IterationStats`; either may be None)."""
        self.load = add(
            self.load,
            StepReport(
                running=None if scheduler is None else scheduler.num_running_reqs,
                waiting=0 if scheduler is None else scheduler.num_waiting_reqs + scheduler.num_skipped_waiting_reqs,
                kv_usage=0.0 if scheduler is None else scheduler.kv_cache_usage,
                prompt_tokens=0 if iteration is None else iteration.num_prompt_tokens,
                generation_tokens=0 if iteration is None else iteration.num_generation_tokens,
            ),
        )


def _stat_logger(recorder: _LoadRecorder) -> Any:
    """`recorder` as one of vLLM's stat loggers: called after each step with numbers vLLM has made anyway."""
    from vllm.v1.metrics.loggers import StatLoggerBase

    class Logger(StatLoggerBase):  # type: ignore[misc]  # vLLM is untyped here
        def __init__(self) -> None: ...

        def record(
            self,
            scheduler_stats: Any,
            iteration_stats: Any,
            mm_cache_stats: Any = None,
            engine_idx: int = 0,
        ) -> None:
            recorder.record(scheduler_stats, iteration_stats)

        def log_engine_initialized(self) -> None: ...

    return Logger()


def _set_environment(variables: dict[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    sys.dont_write_bytecode = False


def _require_known_architecture(architectures: list[str]) -> None:
    """Raise `EngineStartError` unless vLLM, or Transformers on its behalf, can run one of `architectures`."""
    import transformers
    import vllm

    supported = set(vllm.ModelRegistry.get_supported_archs())
    if not any(name in supported or hasattr(transformers, name) for name in architectures):
        raise unknown_architecture(architectures, f"vLLM {vllm.__version__}")


def _parse_arguments(arguments: dict[str, Any]) -> Namespace:
    """vLLM's own reading of its arguments. Raises `EngineStartError` (permanent) for those it does not take."""
    from vllm.entrypoints.launchers.cli_args import make_arg_parser, validate_parsed_serve_args
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    def refuse(message: str) -> NoReturn:
        raise ValueError(message)

    parser = make_arg_parser(FlexibleArgumentParser(prog="engine_args", exit_on_error=False))
    parser.error = refuse  # argparse would end the process
    try:
        args: Namespace = parser.parse_args(command_line(arguments))
        validate_parsed_serve_args(args)
    except (ArgumentError, TypeError, ValueError) as error:
        raise bad_configuration(f"{error}.") from error
    return args


def _build_config(args: Namespace) -> Any:
    """vLLM's configuration for `args` and the model. Raises `EngineStartError` (permanent) if they do not agree."""
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.usage.usage_lib import UsageContext

    engine_args = AsyncEngineArgs.from_cli_args(args)
    try:
        return engine_args.create_engine_config(UsageContext.OPENAI_API_SERVER)
    except ValueError as error:  # pydantic's are ValueErrors too
        raise bad_configuration(str(error)) from error


def _build_client(config: Any, stat_logger_factory: Any) -> Any:
    """Start the engine's processes and wait until they have loaded the weights. Blocks."""
    from vllm.usage.usage_lib import UsageContext
    from vllm.v1.engine.async_llm import AsyncLLM
    from vllm.v1.engine.core import EngineCoreProc

    # vLLM starts its core with this attribute as the target of a new process; ours ties that process to us first.
    EngineCoreProc.run_engine_core = staticmethod(run_engine_core)
    return AsyncLLM.from_vllm_config(
        vllm_config=config,
        usage_context=UsageContext.OPENAI_API_SERVER,
        stat_loggers=[stat_logger_factory],
    )


def run_engine_core(*args: Any, **kwargs: Any) -> None:
    """vLLM's engine core, in its own process, tied to the life of ours. Its workers die with it by vLLM's own doing."""
    parent = multiprocessing.parent_process()
    if parent is not None and parent.pid is not None:
        die_with_parent(parent.pid)
    from vllm.v1.engine.core import EngineCoreProc

    EngineCoreProc.run_engine_core(*args, **kwargs)


async def _build_app(client: Any, args: Namespace) -> ASGIApp:
    from vllm.entrypoints.launchers.api_server.app_state import init_app_state
    from vllm.entrypoints.launchers.app import build_app

    tasks = await client.get_supported_tasks()
    app = build_app(args, tasks, client.model_config)
    await init_app_state(client, app.state, args, tasks)
    return app  # type: ignore[no-any-return]


async def _read_capacity(client: Any, args: Namespace, spec: ReplicaSpec) -> EngineCapacity:
    config = client.vllm_config
    # A parser of reasoning makes something else of the tokens than their text, and gpt-oss speaks in channels.
    generates = "generate" in await client.get_supported_tasks()
    parsed = bool(getattr(args, "reasoning_parser", None)) or config.model_config.hf_config.model_type == "gpt_oss"
    return EngineCapacity(
        max_model_len=int(config.model_config.max_model_len),
        max_running=config.scheduler_config.max_num_seqs * config.parallel_config.data_parallel_size,
        kv_tokens=getattr(config.cache_config, "kv_cache_size_tokens", None),
        generates=generates,
        takes_token_ids=generates and not parsed,
        sleep_bytes=weights_bytes(Path(spec.weights_path)) if spec.sleep_mode else None,
    )


def _kill_engine_children() -> None:
    """Kill what multiprocessing started for the engine and vLLM has not ended itself."""
    for child in multiprocessing.active_children():
        child.kill()
        child.join(timeout=5)
