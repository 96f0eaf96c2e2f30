"""What vLLM takes beside the KV cache: weights, activations, itself. PURE.

On the CPU the constants are measured (`infra/bench/fit`). On a GPU they are read off vLLM 0.32's sources and not
measured; the KV cache, which is exact, is most of what a GPU holds.
"""

from msgspec import Struct

from orchestrator.library.verification.facts import ModelFacts

GIB = 2**30
MIB = 2**20
_FLOATS = {"F64", "F32", "F16", "BF16"}
"""Safetensors' names of what an engine converts to its own dtype; anything else stays as it is in the file."""
_DTYPE_BYTES = {"float16": 2, "bfloat16": 2, "float32": 4}
_DEFAULT_HIDDEN, _DEFAULT_VOCAB = 4096, 131_072

CPU_ENGINE_BYTES = 1260 * MIB
"""The replica's process and the engine's, libraries included."""
CPU_LAYER_FACTOR = 2.2
"""Of `layer_bytes`: with it come what attention and oneDNN put aside, and what the allocator does not give back."""
CPU_LOGIT_BYTES = 28
"""Of one logit while requests with top-p and top-k are sampled."""
CPU_ERROR = 0.1
GPU_ENGINE_BYTES = 1280 * MIB
"""Graphs for some fifty batch sizes, workspaces of the attention kernels, and what CUDA loads."""
_GPU_LINK_BYTES = 768 * MIB
"""Buffers with which several GPUs talk to each other (NCCL, custom all-reduce)."""
_GPU_LOGIT_BYTES = 12
"""Beside the logit itself: its float32 copy, its probability, and the counts of tokens that penalties need."""
GPU_ERROR = 0.1
_LARGE_GPU_BYTES, _LARGEST_GPU_BYTES = 70 * GIB, 160 * GIB


class EngineSettings(Struct, frozen=True, kw_only=True):
    """How vLLM runs on a kind of device: its defaults (`EngineArgs.get_batch_defaults`) for what is not asked."""

    on_gpu: bool
    tensor_parallel: int
    dtype_bytes: int
    """Of one activation."""
    block_tokens: int
    step_tokens: int
    """Tokens of all requests that one step computes (`max_num_batched_tokens`)."""
    max_running: int
    """Requests that run at once (`max_num_seqs`); more wait."""

    @property
    def scheduled_tokens(self) -> int:
        """Tokens that may be scheduled at once: on a GPU the next step is scheduled while one runs."""
        return self.step_tokens * (2 if self.on_gpu else 1)


def cpu_settings(dtype: str, step_tokens: int | None, max_running: int | None) -> EngineSettings:
    """A replica on the CPU computes in float32 unless told otherwise."""
    return EngineSettings(
        on_gpu=False,
        tensor_parallel=1,
        dtype_bytes=_DTYPE_BYTES.get(dtype, 4),
        block_tokens=128,
        step_tokens=step_tokens or 2048,
        max_running=max_running or 128,
    )


def gpu_settings(
    dtype: str, step_tokens: int | None, max_running: int | None, *, memory_bytes: int, tensor_parallel: int
) -> EngineSettings:
    """On GPUs of `memory_bytes` each."""
    large, largest = memory_bytes >= _LARGE_GPU_BYTES, memory_bytes >= _LARGEST_GPU_BYTES
    return EngineSettings(
        on_gpu=True,
        tensor_parallel=tensor_parallel,
        dtype_bytes=_DTYPE_BYTES.get(dtype, 2),
        block_tokens=16,
        step_tokens=step_tokens or (16384 if largest else 8192 if large else 2048),
        max_running=max_running or (1024 if large else 256),
    )


def weights_bytes(facts: ModelFacts, settings: EngineSettings) -> int:
    """Weights on each GPU, or in the process, as the engine holds them."""
    vocabulary = (facts.vocab_size or 0) * (facts.hidden_size or 0)
    if not facts.quantization and facts.dtype in _FLOATS:
        held = facts.weights_bytes * settings.dtype_bytes / facts.dtype_bytes
    else:
        # Packed weights stay packed; of the rest, the vocabulary's matrices are nearly all.
        rest = vocabulary * (1 if facts.tied_embeddings else 2)
        held = facts.weights_bytes + rest * max(0, settings.dtype_bytes - 2)
    if not settings.on_gpu:
        # On the CPU, matrices are packed for its kernels. Of the vocabulary's two uses the unpacked form is kept, too,
        # even if they share one matrix.
        held += vocabulary * settings.dtype_bytes * (2 if facts.task == "generate" else 1)
    return round(held / settings.tensor_parallel)


def activation_bytes(facts: ModelFacts, settings: EngineSettings) -> int:
    """The most that one step holds at once: a full step of tokens in a layer, or later all requests being sampled."""
    layer_factor = 1 if settings.on_gpu else CPU_LAYER_FACTOR
    logit_bytes = settings.dtype_bytes + _GPU_LOGIT_BYTES if settings.on_gpu else CPU_LOGIT_BYTES
    return round(max(layer_factor * layer_bytes(facts, settings), logit_bytes * logits(facts, settings)))


def layer_bytes(facts: ModelFacts, settings: EngineSettings) -> float:
    """A full step of tokens in an MLP: the stream, its residual, the norm's output, two halves and their product."""
    hidden = facts.hidden_size or _DEFAULT_HIDDEN
    inner = (facts.intermediate_size or 4 * hidden) / settings.tensor_parallel
    return settings.step_tokens * (3 * hidden + 3 * inner) * settings.dtype_bytes


def logits(facts: ModelFacts, settings: EngineSettings) -> int:
    """Numbers that a step in which all requests take part ends with."""
    return min(settings.max_running, settings.step_tokens) * (facts.vocab_size or _DEFAULT_VOCAB)


def uncounted(facts: ModelFacts) -> tuple[str, ...]:
    """What `activation_bytes` leaves out or has to guess."""
    notes = []
    if facts.experts:
        notes.append("How many experts a token goes to is not known; activations are those of a dense model.")
    if facts.architecture.endswith("ForConditionalGeneration"):
        notes.append("What an encoder of images or sound takes while it works is not counted.")
    return tuple(notes)


def engine_bytes(settings: EngineSettings) -> int:
    """What the engine takes whatever the model."""
    if not settings.on_gpu:
        return CPU_ENGINE_BYTES
    return GPU_ENGINE_BYTES + (_GPU_LINK_BYTES if settings.tensor_parallel > 1 else 0)
