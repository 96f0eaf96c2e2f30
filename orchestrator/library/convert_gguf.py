"""GGUF file → folder of safetensors, tokenizer and chat template: `python -m … SOURCE.gguf FOLDER`.

Run as a process of its own: it takes a gigabyte while it works, and imports what the orchestrator must not.
"""

import os
import sys
from pathlib import Path


def convert(source: Path, target: Path) -> None:
    """Dequantise `source` to bfloat16 and write it into `target` in the layout that engines read."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder, name = str(source.parent), source.name
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name)
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.bfloat16)
    # Transformers still takes the dequantised model for a GGUF one, which cannot be saved.
    del model.config.quantization_config
    model.hf_quantizer = None
    target.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
