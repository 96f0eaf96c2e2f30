"""GGUF file → folder of safetensors, tokenizer and chat template: `python -m … SOURCE.gguf FOLDER FACTS`.

Run as a process of its own, which limits itself before it opens the file: it imports what the orchestrator must not,
and reads what others made. FACTS are the file's GgufFacts as JSON. Memory: the model once as bfloat16, and what its
largest tensor takes in the making.

Exit status: 0, 5 (the file says or holds something that would be lost; one line on stderr), 6 (out of memory).
"""

import functools
import sys
from pathlib import Path
from typing import Any

import msgspec

from orchestrator.library.gguf_support import SHARD_BYTES, GgufFacts

UNCONVERTIBLE, OUT_OF_MEMORY = 5, 6


class UnconvertibleError(Exception):
    """Why, as the rest of a sentence that begins with the file's name."""


def convert(source: Path, target: Path, facts: GgufFacts) -> None:
    """Dequantise `source` to bfloat16 and write it into the folder `target` in the layout that engines read.

    Raises UnconvertibleError.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    _remember()
    folder, name = str(source.parent), source.name
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name)
    model, told = AutoModelForCausalLM.from_pretrained(
        folder, gguf_file=name, dtype=torch.bfloat16, output_loading_info=True
    )
    _check_whole(model, told, facts)
    _set_bos(tokenizer, facts.adds_bos)
    # Transformers still takes the dequantised model for a GGUF one, which cannot be saved.
    del model.config.quantization_config
    model.hf_quantizer = None
    model.save_pretrained(target, max_shard_size=SHARD_BYTES)
    tokenizer.save_pretrained(target)


def _remember() -> None:
    """Transformers reads the header three times and makes the table of names for every module of the model anew."""
    import gguf

    gguf.GGUFReader = functools.cache(gguf.GGUFReader)
    gguf.get_tensor_name_map = functools.cache(gguf.get_tensor_name_map)


def _check_whole(model: Any, told: dict[str, Any], facts: GgufFacts) -> None:
    """Transformers fills what is missing with noise and drops what it does not know."""
    missing = sorted(told["missing_keys"]) + sorted(str(each) for each in told["mismatched_keys"])
    if missing:
        raise UnconvertibleError(f"lacks {missing[0]} (of {len(missing)} tensors that the architecture needs)")
    taken = sum(each.numel() for each in model.parameters())
    if taken != facts.parameters:
        raise UnconvertibleError(
            f"holds {facts.parameters:,} numbers, of which Transformers would take {taken:,}; the model would be "
            "another one"
        )


def _set_bos(tokenizer: Any, wanted: bool) -> None:
    """Begin a text as the file says; of this Transformers takes nothing over."""
    from tokenizers.processors import TemplateProcessing

    adds = tokenizer.bos_token_id is not None and tokenizer("a").input_ids[:1] == [tokenizer.bos_token_id]
    if adds == wanted:
        return
    if not wanted or tokenizer.bos_token_id is None:
        raise UnconvertibleError("says nothing of the token that a text begins with, or something that cannot be")
    bos = tokenizer.bos_token
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{bos} $A", pair=f"{bos} $A {bos}:1 $B:1", special_tokens=[(bos, tokenizer.bos_token_id)]
    )


def main() -> int:
    from orchestrator.library import confinement

    source, target = Path(sys.argv[1]), Path(sys.argv[2])
    facts = msgspec.json.decode(sys.argv[3], type=GgufFacts)
    confinement.confine(target)
    # Trusted, and larger than what the file may take: so the limits are set after it.
    import gguf  # noqa: F401
    import transformers.modeling_gguf_pytorch_utils
    import transformers.modeling_utils
    import transformers.tokenization_utils_tokenizers  # noqa: F401

    confinement.limit(facts.memory_bytes, facts.cpu_s, facts.largest_file_bytes)
    try:
        convert(source, target, facts)
    except UnconvertibleError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return UNCONVERTIBLE
    except Exception as error:  # noqa: BLE001 - top of the process: whatever Transformers raises is told
        if isinstance(error, MemoryError) or "not enough memory" in str(error):
            return OUT_OF_MEMORY
        print(f"{type(error).__name__}: {' '.join(str(error).split())}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
