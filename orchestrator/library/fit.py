"""Will a deployment of a model fit, and if not, what would? PURE.

vLLM refuses to start unless the weights, one step's activations, the engine itself and the KV cache of *one* request of
the longest context fit. More requests than the KV cache holds wait or are computed anew: slow, but no failure.
On a GPU an engine takes its whole share of the memory, and what is left of it is KV cache; it also refuses to start
where less than that share is free. On the CPU the size of the KV cache is a setting.
"""

import math
from collections.abc import Sequence

from msgspec import Struct, structs

from orchestrator.library.engine_memory import CPU_ERROR, GIB, GPU_ERROR, cpu_settings, gpu_settings
from orchestrator.library.fit_types import Accelerator, Fit, FitQuestion, Hardware
from orchestrator.library.fit_words import Site, reason
from orchestrator.library.replica_memory import ReplicaMemory, replica_memory
from orchestrator.library.verification.facts import ModelFacts

DEFAULT_CPU_KV_CACHE_BYTES = GIB
"""As a replica on the CPU is given where nothing else is said."""
GPU_MEMORY_SHARE = 0.9
"""Of its share of a GPU, what an engine is told to take where nothing else is said."""
_VISIBLE_SHARE = 0.98
"""Of a GPU's memory as `nvidia-smi` tells it, what CUDA sees; between 0.98 and 0.995 on usual cards."""
_DEGREES = (1, 2, 4, 8)
_UNKNOWN_MAX_MODEL_LEN = 2048
"""What vLLM takes where the configuration does not say."""
_LONGEST_SEARCHED = 2**21
_UNMEASURED = "The figures of a GPU follow the engine's sources; they were not measured."


class _Place(Struct, frozen=True, kw_only=True):
    """Where a replica could run. Bytes of each GPU, or of the host."""

    memory: ReplicaMemory
    memory_bytes: int = 0
    """All that is there."""
    room_bytes: int = 0
    """What the engine can have."""
    taken_bytes: int = 0
    """What an engine takes on a GPU whatever it needs; it refuses to start where less is free."""
    free_bytes: int = 0

    @property
    def is_open(self) -> bool:
        return self.room_bytes > 0 and self.taken_bytes <= self.free_bytes


def assess(facts: ModelFacts, question: FitQuestion, hardware: Hardware) -> Fit:
    """The estimate for one replica on that place of `hardware` which suits it best."""
    context = question.context_tokens or facts.max_model_len or _UNKNOWN_MAX_MODEL_LEN
    limit = facts.max_model_len or _LONGEST_SEARCHED
    on_gpu = question.gpus_per_replica > 0
    place = _best_place(facts, question, hardware, context)
    memory, room = place.memory, place.room_bytes
    starts = place.is_open and _can_be_split(facts, memory.settings.tensor_parallel)
    needed = _gpus_needed(facts, question, hardware, context) if context <= limit else None
    running = memory.running(room, context) if starts and context <= limit else 0
    fit = Fit(
        fits=running > 0,
        weights_bytes=memory.weights_bytes,
        activation_bytes=memory.activation_bytes,
        engine_bytes=memory.engine_bytes,
        kv_cache_bytes=memory.layout.bytes_of(question.concurrency, context),
        kv_request_bytes=memory.layout.bytes_of(1, context),
        kv_available_bytes=memory.available_bytes(room),
        needed_bytes=memory.needed_bytes(context),
        room_bytes=room,
        context_tokens=context,
        longest_context_tokens=memory.longest_tokens(room, 1, limit) if starts else None,
        max_context_tokens=memory.longest_tokens(room, question.concurrency, limit) if starts else None,
        max_concurrency=running,
        gpus_needed=needed[0] if needed else None,
        error=GPU_ERROR if on_gpu else CPU_ERROR,
        calibrated=not on_gpu,
        assumptions=memory.assumptions + ((_UNMEASURED,) if on_gpu else ()),
    )
    return structs.replace(fit, reason=reason(fit, question, _site(facts, hardware, place, needed)))


def _site(facts: ModelFacts, hardware: Hardware, place: _Place, needed: tuple[int, int] | None) -> Site:
    return Site(
        gpus_here=max((len(gpus) for gpus in _by_host(hardware)), default=0),
        memory_bytes=place.memory_bytes,
        taken_bytes=place.taken_bytes,
        free_bytes=place.free_bytes,
        needed_gpu_bytes=needed[1] if needed else 0,
        can_be_split=_can_be_split(facts, place.memory.settings.tensor_parallel),
        splits=tuple(degree for degree in _DEGREES if _can_be_split(facts, degree)),
        limit_tokens=facts.max_model_len,
    )


def _best_place(facts: ModelFacts, question: FitQuestion, hardware: Hardware, context_tokens: int) -> _Place:
    if not question.gpus_per_replica:
        return _cpu_place(facts, question, hardware)
    count = _count(question.gpus_per_replica)
    places = [_gpu_place(facts, question, gpus, count) for gpus in _by_host(hardware) if len(gpus) >= count]

    def merit(place: _Place) -> tuple[bool, bool, int]:
        """A place where it would start now before one where it would not, then the one with most room."""
        return place.is_open, place.memory.running(place.room_bytes, context_tokens) > 0, place.room_bytes

    nowhere = _Place(memory=_gpu_memory(facts, question, count, _gpu_bytes(hardware, count)))
    return max(places, key=merit, default=nowhere)


def cpu_memory(facts: ModelFacts, question: FitQuestion) -> ReplicaMemory:
    """What a replica on the CPU needs, wherever it runs."""
    settings = cpu_settings(question.dtype, question.max_num_batched_tokens, question.max_num_seqs)
    cache_bytes = question.kv_cache_bytes or DEFAULT_CPU_KV_CACHE_BYTES
    return replica_memory(
        facts, settings, value_bytes=_value_bytes(question, settings.dtype_bytes), cache_bytes=cache_bytes
    )


def _cpu_place(facts: ModelFacts, question: FitQuestion, hardware: Hardware) -> _Place:
    free_bytes = hardware.host_free_bytes
    return _Place(
        memory=cpu_memory(facts, question),
        memory_bytes=hardware.host_memory_bytes,
        room_bytes=free_bytes,
        free_bytes=free_bytes,
    )


def _gpu_place(facts: ModelFacts, question: FitQuestion, gpus: Sequence[Accelerator], count: int) -> _Place:
    """The `count` GPUs of one host with most room; of several each has as much as the smallest."""

    def is_open(gpu: Accelerator) -> bool:
        return _taken_bytes(question, gpu.memory_bytes) <= gpu.free_bytes

    chosen = sorted(gpus, key=lambda gpu: (is_open(gpu), gpu.memory_bytes, gpu.free_bytes), reverse=True)[:count]
    worst = chosen[-1]
    taken_bytes = [_taken_bytes(question, gpu.memory_bytes) for gpu in chosen]
    return _Place(
        memory=_gpu_memory(facts, question, count, worst.memory_bytes),
        memory_bytes=worst.memory_bytes,
        room_bytes=min(*taken_bytes, worst.free_bytes),
        taken_bytes=taken_bytes[-1],
        free_bytes=worst.free_bytes,
    )


def _gpu_memory(facts: ModelFacts, question: FitQuestion, count: int, memory_bytes: int) -> ReplicaMemory:
    settings = gpu_settings(
        question.dtype,
        question.max_num_batched_tokens,
        question.max_num_seqs,
        memory_bytes=memory_bytes,
        tensor_parallel=count,
    )
    return replica_memory(facts, settings, value_bytes=_value_bytes(question, settings.dtype_bytes), cache_bytes=None)


def _gpus_needed(
    facts: ModelFacts, question: FitQuestion, hardware: Hardware, context_tokens: int
) -> tuple[int, int] | None:
    """Smallest number of GPUs on which it would fit if all of them were free, and the memory of each."""
    whole = structs.replace(question, gpus_per_replica=1)
    for degree in _DEGREES:
        memory_bytes = _gpu_bytes(hardware, degree)
        memory = _gpu_memory(facts, whole, degree, memory_bytes)
        if _can_be_split(facts, degree) and memory.running(_taken_bytes(whole, memory_bytes), context_tokens):
            return degree, memory_bytes
    return None


def _taken_bytes(question: FitQuestion, memory_bytes: int) -> int:
    """What an engine takes of a GPU (vLLM's `request_memory`)."""
    share = question.gpu_memory_utilization or GPU_MEMORY_SHARE * min(1.0, question.gpus_per_replica)
    return math.ceil(memory_bytes * _VISIBLE_SHARE * share)


def _can_be_split(facts: ModelFacts, degree: int) -> bool:
    """Whether vLLM takes `degree`: it must divide the heads, and the key-value heads or be divided by them."""
    kv_heads = facts.kv_heads or degree
    return (facts.attention_heads or degree) % degree == 0 and (kv_heads % degree == 0 or degree % kv_heads == 0)


def _value_bytes(question: FitQuestion, dtype_bytes: int) -> int:
    return 1 if question.kv_dtype == "fp8" else dtype_bytes


def _count(gpus_per_replica: float) -> int:
    return max(1, round(gpus_per_replica))


def _by_host(hardware: Hardware) -> list[list[Accelerator]]:
    hosts: dict[str, list[Accelerator]] = {}
    for gpu in hardware.accelerators:
        hosts.setdefault(gpu.host, []).append(gpu)
    return list(hosts.values())


def _gpu_bytes(hardware: Hardware, count: int) -> int:
    """Memory of each of the `count` largest GPUs of one host; where no host has as many, of the largest GPU."""
    sizes = [sorted((gpu.memory_bytes for gpu in gpus), reverse=True) for gpus in _by_host(hardware)]
    groups = [each[count - 1] for each in sizes if len(each) >= count]
    return max(groups or (each[0] for each in sizes), default=0)
