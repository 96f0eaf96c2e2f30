"""Which memory there is in the cluster, and whether a deployment can ever fit into it. PURE."""

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import structs

from orchestrator.library.fit import GPU_MEMORY_SHARE, assess
from orchestrator.library.fit_types import Accelerator, Fit, FitQuestion, Hardware
from orchestrator.library.verification.facts import ModelFacts
from orchestrator.sentences import Saying, Sentence, say
from replicas.host_types import Gpu, HostRecord


def hardware_of(hosts: Iterable[HostRecord], memory_bytes: int, free_bytes: int) -> Hardware:
    """What replicas could run on. `memory_bytes`, `free_bytes`: of the orchestrator's host, for those without a GPU."""
    found = tuple(accelerator(host.address, gpu) for host in hosts for gpu in host.gpus)
    return Hardware(accelerators=found, host_memory_bytes=memory_bytes, host_free_bytes=free_bytes)


def accelerator(host: str, gpu: Gpu) -> Accelerator:
    """A GPU as its host tells of it, as the estimate wants it."""
    return Accelerator(
        host=host, index=gpu.index, name=gpu.name, memory_bytes=gpu.memory_bytes, free_bytes=gpu.free_bytes
    )


def question_of(gpus_per_replica: float, max_model_len: int | None, engine_args: Mapping[str, Any]) -> FitQuestion:
    """What a deployment with these settings asks for. Settings of other kinds than vLLM takes are left to vLLM."""
    args = {name.replace("-", "_"): value for name, value in engine_args.items()}
    gpus = max(gpus_per_replica, _whole(args.get("tensor_parallel_size")) or 0)
    utilization = args.get("gpu_memory_utilization")
    return FitQuestion(
        context_tokens=max_model_len,
        gpus_per_replica=gpus,
        kv_dtype="fp8" if str(args.get("kv_cache_dtype", "")).startswith("fp8") else "auto",
        dtype=args["dtype"] if args.get("dtype") in ("float16", "bfloat16", "float32") else "auto",
        gpu_memory_utilization=_share(utilization),
        kv_cache_bytes=_whole(args.get("kv_cache_memory_bytes")),
        max_num_batched_tokens=_whole(args.get("max_num_batched_tokens")),
        max_num_seqs=_whole(args.get("max_num_seqs")),
    )


def hopeless(facts: ModelFacts, question: FitQuestion, hardware: Hardware) -> Fit | None:
    """The estimate, if the deployment could not start even with all memory free and the estimate's error in its favour.

    None if it could, or if nothing is known of the GPUs.
    """
    if question.gpus_per_replica and not hardware.accelerators:
        return None
    emptied = Hardware(
        accelerators=tuple(structs.replace(gpu, free_bytes=gpu.memory_bytes) for gpu in hardware.accelerators),
        host_memory_bytes=hardware.host_memory_bytes,
        host_free_bytes=hardware.host_memory_bytes,
    )
    fit = assess(facts, question, emptied)
    # Memory is estimated and its error may save the day; what the engine itself would refuse is certain.
    too_little = not fit.room_bytes or fit.needed_bytes * (1 - fit.error) > fit.room_bytes
    if fit.fits or not (too_little or fit.kv_request_bytes > fit.kv_available_bytes or _beyond(facts, question)):
        return None
    return fit


def too_large(weights_bytes: int, hardware: Hardware) -> Sentence | None:
    """Why weights of which no more is known than their size can be served by no host here; None if they may be."""
    gpus: dict[str, int] = {}
    for gpu in hardware.accelerators:
        gpus[gpu.host] = gpus.get(gpu.host, 0) + gpu.memory_bytes
    if gpus:
        saying, needed, room = Saying.TOO_LARGE_FOR_GPUS, weights_bytes, int(max(gpus.values()) * GPU_MEMORY_SHARE)
    else:
        # The engine computes in float32 on a CPU: half-precision weights double in memory.
        saying, needed, room = Saying.TOO_LARGE_FOR_HOST, 2 * weights_bytes, hardware.host_memory_bytes
    return None if needed <= room else say(saying, needed_bytes=needed, room_bytes=room)


def _beyond(facts: ModelFacts, question: FitQuestion) -> bool:
    """Whether more context is asked for than the model was made for, which the engine refuses."""
    return bool(facts.max_model_len and question.context_tokens and question.context_tokens > facts.max_model_len)


def _share(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and 0 < value <= 1 else None


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
