"""Tiny model folders as they should be, written without an engine: what the examination must let pass."""

import json
import math
import struct
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from orchestrator.library.verification.header import DTYPE_BITS

VOCAB = 320
Shapes = Mapping[str, tuple[int, ...]]
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] | trim }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
LLAMA: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 16, "intermediate_size": 32,
    "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": VOCAB,
    "max_position_embeddings": 128, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "torch_dtype": "bfloat16",
    "tie_word_embeddings": False,
}  # fmt: skip


def llama_shapes(layers: int = 2, hidden: int = 16, inter: int = 32, q: int = 16, kv: int = 8) -> dict[str, Any]:
    """Names and shapes of a Llama's tensors, written out by hand."""
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (VOCAB, hidden)}
    for number in range(layers):
        layer = f"model.layers.{number}."
        shapes |= {
            f"{layer}input_layernorm.weight": (hidden,), f"{layer}post_attention_layernorm.weight": (hidden,),
            f"{layer}self_attn.q_proj.weight": (q, hidden), f"{layer}self_attn.k_proj.weight": (kv, hidden),
            f"{layer}self_attn.v_proj.weight": (kv, hidden), f"{layer}self_attn.o_proj.weight": (hidden, q),
            f"{layer}mlp.gate_proj.weight": (inter, hidden), f"{layer}mlp.up_proj.weight": (inter, hidden),
            f"{layer}mlp.down_proj.weight": (hidden, inter),
        }  # fmt: skip
    return shapes | {"model.norm.weight": (hidden,), "lm_head.weight": (VOCAB, hidden)}


def header_of(shapes: Shapes, dtype: str = "BF16", dtypes: Mapping[str, str] | None = None) -> dict[str, Any]:
    """A safetensors header, the tensors one behind the other."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, shape in shapes.items():
        kind = (dtypes or {}).get(name, dtype)
        size = math.prod(shape) * DTYPE_BITS[kind] // 8
        header[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    return header


def data_bytes(header: Mapping[str, Any]) -> int:
    return max(int(entry["data_offsets"][1]) for name, entry in header.items() if name != "__metadata__")


def write_raw(path: Path, header: bytes, data: bytes, length: int | None = None) -> None:
    path.write_bytes(struct.pack("<Q", len(header) if length is None else length) + header + data)


def write_weights(path: Path, header: Mapping[str, Any], data: bytes | None = None) -> None:
    """Small finite numbers in every dtype, unless `data` is given."""
    write_raw(path, json.dumps(header).encode(), b"\x11" * data_bytes(header) if data is None else data)


def write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value))


@cache
def tokenizer_json() -> str:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {character: number for number, character in enumerate(alphabet)}
    merges = [("h", "e"), ("l", "l"), ("he", "ll"), ("o", "r")]
    for left, right in merges:
        vocabulary[left + right] = len(vocabulary)
    tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<s>", "</s>"])
    return str(tokenizer.to_str())


def write_model(folder: Path, config: Mapping[str, Any] = LLAMA, shapes: Shapes | None = None,
                dtypes: Mapping[str, str] | None = None) -> Path:  # fmt: skip
    """A whole folder: a Llama of two layers unless told otherwise."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", config)
    write_weights(folder / "model.safetensors", header_of(shapes or llama_shapes(), dtypes=dtypes))
    (folder / "tokenizer.json").write_text(tokenizer_json())
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": {"content": "<s>"}, "eos_token": "</s>"}
    write_json(folder / "tokenizer_config.json", settings | {"chat_template": TEMPLATE})
    write_json(folder / "generation_config.json", {"eos_token_id": 1})
    (folder / "README.md").write_text("# A tiny model\n")
    (folder / "LICENSE").write_text("Apache-2.0\n")
    return folder


def write_sharded(folder: Path, shards: int = 2) -> Path:
    """The same model with its tensors spread over `shards` files and an index."""
    write_model(folder)
    (folder / "model.safetensors").unlink()
    shapes = llama_shapes()
    weight_map: dict[str, str] = {}
    total = 0
    for shard in range(shards):
        name = f"model-{shard + 1:05}-of-{shards:05}.safetensors"
        part = {each: shape for place, (each, shape) in enumerate(shapes.items()) if place % shards == shard}
        header = header_of(part)
        write_weights(folder / name, header)
        weight_map |= dict.fromkeys(part, name)
        total += data_bytes(header)
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    write_json(folder / "model.safetensors.index.json", index)
    return folder
