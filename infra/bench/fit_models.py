"""Models of several shapes with random weights: `python -m infra.bench.fit_models NAME FOLDER TOKENIZER_FOLDER`.

What an engine takes depends on shapes and sizes, not on what the weights say. A process of its own: torch stays out of
the bench that reads memory.
"""

import shutil
import sys
from pathlib import Path
from typing import Any

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
_LONG = {"max_position_embeddings": 16384}
SHAPES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama-75m": ("LlamaConfig", {
        "hidden_size": 512, "intermediate_size": 2048, "num_hidden_layers": 6, "num_attention_heads": 8,
        "num_key_value_heads": 8, "vocab_size": 49152, "tie_word_embeddings": False, **_LONG,
    }),
    "gemma3-215m": ("Gemma3TextConfig", {
        "hidden_size": 640, "intermediate_size": 2560, "num_hidden_layers": 20, "num_attention_heads": 4,
        "num_key_value_heads": 1, "head_dim": 256, "vocab_size": 131072, "sliding_window": 512, **_LONG,
    }),
    "qwen3-370m": ("Qwen3Config", {
        "hidden_size": 768, "intermediate_size": 2560, "num_hidden_layers": 28, "num_attention_heads": 12,
        "num_key_value_heads": 4, "head_dim": 128, "vocab_size": 151936, "tie_word_embeddings": True, **_LONG,
    }),
    "qwen2-425m": ("Qwen2Config", {
        "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16,
        "num_key_value_heads": 2, "vocab_size": 65536, "tie_word_embeddings": True, **_LONG,
    }),
    "llama-770m": ("LlamaConfig", {
        "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 11, "num_attention_heads": 32,
        "num_key_value_heads": 8, "vocab_size": 49152, "tie_word_embeddings": True, **_LONG,
    }),
}  # fmt: skip


def make(name: str, folder: Path, tokenizer: Path) -> None:
    """Write a model of the shape `name` with bfloat16 weights and the tokenizer of another into `folder`."""
    import torch
    import transformers

    kind, settings = SHAPES[name]
    torch.manual_seed(0)
    config = getattr(transformers, kind)(**settings, bos_token_id=1, eos_token_id=2, pad_token_id=2)
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.save_pretrained(folder)
    for file in TOKENIZER_FILES:
        shutil.copy(tokenizer / file, folder / file)


if __name__ == "__main__":
    make(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
