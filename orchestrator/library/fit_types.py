"""The question whether a deployment fits, what it could run on, and the answer. PURE."""

from typing import Literal

from msgspec import Struct

from orchestrator.sentences import Sentence, quoted


class Accelerator(Struct, frozen=True, kw_only=True):
    """One GPU and what of it is free now."""

    host: str
    index: int
    name: str
    memory_bytes: int
    free_bytes: int


class Hardware(Struct, frozen=True, kw_only=True):
    """What a replica could run on."""

    accelerators: tuple[Accelerator, ...] = ()
    host_memory_bytes: int = 0
    host_free_bytes: int = 0
    """Memory that programs can have without swapping (`MemAvailable`), of the host with most of it."""


class FitQuestion(Struct, frozen=True, kw_only=True):
    """One replica as it would be deployed."""

    context_tokens: int | None = None
    """None: as many as the model reads."""
    concurrency: int = 1
    """Requests of that length that should run at once."""
    gpus_per_replica: float = 0
    """0 serves on the CPU, a fraction shares a GPU, a whole number above 1 is the degree of tensor parallelism."""
    kv_dtype: Literal["auto", "fp8"] = "auto"
    dtype: Literal["auto", "float16", "bfloat16", "float32"] = "auto"
    gpu_memory_utilization: float | None = None
    """As vLLM takes it, of the whole GPU; None: 0.9 of the replica's share."""
    kv_cache_bytes: int | None = None
    """Of a replica on the CPU; None is 1 GiB."""
    max_num_batched_tokens: int | None = None
    """As vLLM takes it, like the next one; None is its default."""
    max_num_seqs: int | None = None


class Fit(Struct, frozen=True, kw_only=True):
    """The estimate. Bytes are those of each GPU, or of the replica's processes on the CPU."""

    fits: bool
    """Whether the engine would start."""
    weights_bytes: int
    activation_bytes: int
    engine_bytes: int
    """CUDA's libraries, graphs and workspaces; on the CPU the processes themselves."""
    kv_cache_bytes: int
    """KV cache that holds `concurrency` requests of the context at once."""
    kv_request_bytes: int
    """KV cache of one such request: with less the engine does not start."""
    kv_available_bytes: int
    """KV cache that the replica would have: on a GPU what is left of its share, on the CPU what is set."""
    needed_bytes: int
    """Least memory with which the engine starts."""
    room_bytes: int
    """What it can have; 0 where there is no place for it."""
    context_tokens: int
    """The context that was asked for, or the model's."""
    longest_context_tokens: int | None
    """Longest context with which the engine starts; None if it starts with none."""
    max_context_tokens: int | None
    """Longest context of which `concurrency` requests run at once; None if there is none."""
    max_concurrency: int
    """Requests of the context that run at once; more wait. 0 if it does not fit."""
    gpus_needed: int | None
    """Smallest number of such GPUs, free and on one host, on which it fits; None if 8 do not do or there is none."""
    error: float
    """Relative error of all but the KV cache, whose formula is the engine's own."""
    calibrated: bool
    """Whether `error` was measured on real engines; on GPUs it is an allowance."""
    assumptions: tuple[str, ...] = ()
    reason: Sentence = quoted("")
    """What fits, or what would."""

    @property
    def fixed_bytes(self) -> int:
        """All but the KV cache."""
        return self.weights_bytes + self.activation_bytes + self.engine_bytes
