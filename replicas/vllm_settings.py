"""From a `ReplicaSpec` to vLLM's arguments and environment, and what can be checked before vLLM is imported."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from replicas.errors import EngineStartError
from replicas.types import ReplicaSpec
from replicas.vllm_swap import WORKER_EXTENSION

GIB = 1 << 30
DEFAULT_CPU_KV_CACHE_BYTES = GIB
GPU_MEMORY_SHARE = 0.9
"""Of the share of a GPU that a replica was given, what vLLM may fill; the rest is for CUDA's own needs."""


def engine_arguments(spec: ReplicaSpec) -> dict[str, Any]:
    """vLLM's arguments for `spec` by their Python names; `spec.engine_args` has the last word."""
    arguments: dict[str, Any] = {
        "model": spec.weights_path,
        "served_model_name": spec.model,
        "disable_uvicorn_access_log": True,
        "disable_fastapi_docs": True,
        # What was found in the prefix cache: clients see what they save, and routers whether they guess right.
        "enable_prompt_tokens_details": True,
        "worker_extension_cls": WORKER_EXTENSION,
    }
    if spec.max_model_len is not None:
        arguments["max_model_len"] = spec.max_model_len
    arguments |= _gpu_arguments(spec.gpus_per_replica) if spec.gpus_per_replica else _cpu_arguments(spec)
    if spec.sleep_mode:
        # What the graphs keep on the GPU would be missing to whoever has it meanwhile.
        arguments |= {"enable_sleep_mode": True, "sleep_mode_offload_cudagraph": True}
    return arguments | {name.replace("-", "_"): value for name, value in spec.engine_args.items()}


def _cpu_arguments(spec: ReplicaSpec) -> dict[str, Any]:
    return {
        # float32 is seven times faster than bfloat16 on a CPU without AVX-512 (FACTS.md, section 1).
        "dtype": "float32",
        "enforce_eager": True,
        "kv_cache_memory_bytes": spec.kv_cache_bytes or DEFAULT_CPU_KV_CACHE_BYTES,
    }


def _gpu_arguments(gpus: float) -> dict[str, Any]:
    if gpus > 1:
        return {"gpu_memory_utilization": GPU_MEMORY_SHARE, "tensor_parallel_size": round(gpus)}
    return {"gpu_memory_utilization": round(GPU_MEMORY_SHARE * gpus, 4)}


def command_line(arguments: Mapping[str, Any]) -> list[str]:
    """`arguments` as vLLM's parser reads them.

    True becomes a bare flag, False its `--no-` form, None is left out, a mapping is JSON, a list repeats words.
    """
    words: list[str] = []
    for name, value in arguments.items():
        flag = f"--{name.replace('_', '-')}"
        if value is None:
            continue
        if value is True:
            words.append(flag)
        elif value is False:
            words.append(f"--no-{name.replace('_', '-')}")
        elif isinstance(value, Mapping):
            words += [flag, json.dumps(value)]
        elif isinstance(value, list | tuple):
            words += [flag, *(str(item) for item in value)]
        else:
            words.append(f"{flag}={value}")
    return words


def environment(spec: ReplicaSpec, cores: int) -> dict[str, str | None]:
    """Variables to set (or, with None, to clear) before vLLM is imported. `cores`: those this process may use."""
    variables: dict[str, str | None] = {
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        # Its routes (/sleep, /collective_rpc) are remote control of the engine.
        "VLLM_SERVER_DEV_MODE": "0",
        # Weights are always a local folder: never ask a hub, not even for a missing file.
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        # Without byte code every process of the engine compiles its imports anew: 62 s to start instead of 32.
        "PYTHONDONTWRITEBYTECODE": None,
        "VLLM_API_KEY": None,
    }
    if not spec.gpus_per_replica:
        variables |= {
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",
            "OMP_NUM_THREADS": str(spec.cpu_threads or cores),
            # It counts in GiB, and would win over `kv_cache_memory_bytes`.
            "VLLM_CPU_KVCACHE_SPACE": None,
            # The engine core then runs the model itself instead of in one more process, which only a binding of
            # threads to cores would need: 25 s to start instead of 31, 0.6 GB less, and a third more tokens.
            "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        }
    return variables


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_weights(folder: str) -> list[str]:
    """Check that `folder` looks like a model, and return the `architectures` of its config.json.

    Raises `EngineStartError` (permanent) with what is missing.
    """
    path = Path(folder)
    if not folder or not path.is_dir():
        raise EngineStartError(
            f"The weights folder '{folder}' is not on this machine. Push the model again, or check that the "
            "models directory is shared with this node.",
            permanent=True,
        )
    return _read_architectures(path)


def weights_bytes(folder: Path) -> int:
    """Size of the tensors' files, which is about what the weights take in memory."""
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))


def _read_architectures(folder: Path) -> list[str]:
    config_file = folder / "config.json"
    if not config_file.is_file():
        raise EngineStartError(
            f"'{folder}' has no config.json, so it is not a model in Hugging Face's layout. Upload the whole folder "
            "of the model, not only its weights.",
            permanent=True,
        )
    try:
        config = json.loads(config_file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise EngineStartError(
            f"config.json in '{folder}' is not valid JSON ({error}). Upload the model again.", permanent=True
        ) from error
    if not any(folder.glob("*.safetensors")):
        raise EngineStartError(
            f"'{folder}' has a config.json but no weights (*.safetensors). Upload the weights too; other formats "
            "must be converted to safetensors first.",
            permanent=True,
        )
    architectures = config.get("architectures") if isinstance(config, dict) else None
    if not isinstance(architectures, list) or not architectures:
        raise EngineStartError(
            f"config.json in '{folder}' names no architecture, so no engine knows how to run it. Use the config.json "
            "that came with the model.",
            permanent=True,
        )
    return [str(name) for name in architectures]
