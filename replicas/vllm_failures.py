"""What vLLM says when it cannot start, in words for a person. PURE."""

import re
from collections.abc import Sequence

from replicas.errors import EngineStartError

_ERROR_LINE = re.compile(r"(?:^|[\s\]])((?:[\w.]+\.)?[A-Z]\w*(?:Error|Exception|Exit)): (.+)$")
_WRAPPERS = (
    "Engine core initialization failed",
    "WorkerProc initialization failed",
    "Executor failed",
    "Engine process failed to start",
    "Server process failed",
)
_HOST_MEMORY = re.compile(
    r"DefaultCPUAllocator|can't allocate memory|Cannot allocate memory|\bMemoryError\b|\bENOMEM\b"
)
_GPU_MEMORY = re.compile(
    r"CUDA out of memory|OutOfMemoryError|Free memory on device|CUDA error: out of memory|HIP out of memory"
)
_CACHE_TOO_SMALL = re.compile(r"KV cache is needed|No available memory for the cache blocks|larger than the available")
_DAMAGED = re.compile(r"SafetensorError|HeaderTooLarge|InvalidHeader|MetadataIncompleteBuffer")
_MOST_CHARACTERS = 400
_KILLED = re.compile(r"'EngineCore[^']*': -9\b")


def root_cause(lines: Sequence[str]) -> str:
    """The last line of a log that names an exception and is not one of vLLM's wrappers around it; empty if none."""
    for line in reversed(lines):
        match = _ERROR_LINE.search(line.rstrip())
        if match and not any(wrapper in match[2] for wrapper in _WRAPPERS):
            return f"{match[1].rpartition('.')[2]}: {match[2].strip()}"
    return ""


def _last_words(error: str) -> str:
    """What an exception's text says last, without pydantic's pointer to its documentation."""
    lines = [line.strip() for line in error.splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith("For further information visit")]
    return telling[-1] if telling else ""


def bad_configuration(error: str) -> EngineStartError:
    """The failure of a spec that vLLM refuses before it starts anything."""
    return EngineStartError(
        f"vLLM does not accept this configuration: {_short(_last_words(error))} Correct the engine arguments of the "
        "deployment.",
        permanent=True,
    )


def _short(cause: str) -> str:
    """`cause` without pointers to documentation, at most some lines long."""
    plain = re.sub(r"\s*(?:Please )?[Ss]ee https?://\S+(?: for more details)?\.?|\s*\[type=[^\]]*\]", "", cause).strip()
    return plain if len(plain) <= _MOST_CHARACTERS else plain[: _MOST_CHARACTERS - 1] + "…"


_KNOWN: tuple[tuple[re.Pattern[str], str, bool], ...] = (
    (_DAMAGED, "The weights are damaged or incomplete ({cause}). Upload the model again.", True),
    (
        _CACHE_TOO_SMALL,
        "The context does not fit into the memory left for the KV cache: lower max_model_len or raise {memory}. "
        "({cause})",
        True,
    ),
    (
        _GPU_MEMORY,
        "The GPU ran out of memory while the model was loading: stop another model on it, lower max_model_len or "
        "gpu_memory_utilization, or give the replica more GPUs. ({cause})",
        False,
    ),
    (
        _HOST_MEMORY,
        "The machine ran out of memory while the model was loading: stop another model, lower kv_cache_bytes or "
        "max_model_len, or take a smaller model. ({cause})",
        False,
    ),
    (
        _KILLED,
        "The engine was killed while it loaded, most likely because the machine ran out of memory: stop another model, "
        "lower kv_cache_bytes, or take a smaller model.",
        False,
    ),
)
"""What to look for, what to say, and whether it is permanent; the first that matches."""


def explain(error: str, log: Sequence[str], *, on_gpu: bool) -> EngineStartError:
    """The failure that `error` (of the replica's process) and `log` (of the engine's processes) tell of.

    `permanent` only where the same spec on the same machine must fail again.
    """
    cause = root_cause(log) or _last_words(error)
    told = {"cause": _short(cause), "memory": "the GPU share" if on_gpu else "kv_cache_bytes"}
    for pattern, sentence, permanent in _KNOWN:
        if pattern.search(f"{error}\n{cause}"):
            return EngineStartError(sentence.format(**told), permanent=permanent)
    return EngineStartError(
        f"The engine could not load the model: {told['cause'] or 'it gave no reason'}. The replica's log has the "
        "details.",
        permanent=False,
    )


def unknown_architecture(architectures: Sequence[str], engine: str) -> EngineStartError:
    """The failure of a model that no part of `engine` (name and version) can run."""
    names = ", ".join(architectures)
    return EngineStartError(
        f"{engine} does not know the architecture {names}. Choose a model whose architecture it supports, or install "
        "a newer vLLM on the nodes.",
        permanent=True,
    )
