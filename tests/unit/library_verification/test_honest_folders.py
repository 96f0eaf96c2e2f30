"""Folders as people really have them must pass."""

import json
import struct
from pathlib import Path

import pytest

from orchestrator.library.verification.examine import examine
from orchestrator.library.verification.facts import ModelFacts
from orchestrator.library.verification.kinds import check_magic
from tests.honest_models import (
    LLAMA,
    VOCAB,
    header_of,
    llama_shapes,
    write_json,
    write_model,
    write_sharded,
    write_weights,
)


def test_examine_tells_what_an_estimate_of_memory_needs(tmp_path: Path) -> None:
    facts = examine(write_model(tmp_path / "model"))
    parameters = sum(rows * (columns[0] if columns else 1) for rows, *columns in llama_shapes().values())
    assert facts == ModelFacts(
        architecture="LlamaForCausalLM", task="generate", max_model_len=128, weights_bytes=2 * parameters,
        parameters=parameters, dtype="BF16", dtype_bytes=2.0, tensors=21, hidden_size=16, intermediate_size=32,
        layers=2,
        attention_heads=4, kv_heads=2, head_dim=4, vocab_size=VOCAB, has_chat_template=True,
    )  # fmt: skip


@pytest.mark.parametrize("shards", [1, 2, 5])
def test_examine_passes_when_weights_are_sharded(tmp_path: Path, shards: int) -> None:
    assert examine(write_sharded(tmp_path / "model", shards)).tensors == 21


def test_examine_passes_over_what_downloads_leave_behind(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model")
    for hidden in (".git", ".cache/huggingface"):
        (folder / hidden).mkdir(parents=True)
        (folder / hidden / "evil.py").write_text("import os")
    (folder / ".gitattributes").write_text("*.safetensors filter=lfs\n")
    assert examine(folder).warnings == ()


def test_examine_warns_when_weights_are_there_twice_as_mistral_publishes_them(tmp_path: Path) -> None:
    folder = write_sharded(tmp_path / "model")
    write_weights(folder / "consolidated.safetensors", header_of({"tok_embeddings.weight": (VOCAB, 16)}))
    assert examine(folder).warnings == ("consolidated.safetensors is not loaded by the engine.",)


def test_examine_counts_parameters_before_packing_when_quantised(tmp_path: Path) -> None:
    shapes = llama_shapes()
    dtypes = {}
    for name, shape in list(shapes.items()):
        if "_proj.weight" in name:
            del shapes[name]
            packed = name.replace("weight", "qweight")
            shapes |= {packed: (shape[1] // 8, shape[0]), name.replace("weight", "scales"): (1, shape[0])}
            dtypes[packed] = "I32"
    config = LLAMA | {"quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 128}}
    facts = examine(write_model(tmp_path / "model", config, shapes, dtypes))
    assert facts.quantization == "gptq"
    assert facts.parameters == examine(write_model(tmp_path / "plain")).parameters


def test_examine_tells_embedding_models_apart(tmp_path: Path) -> None:
    config = {
        "architectures": ["BertModel"], "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1,
        "num_attention_heads": 4, "vocab_size": VOCAB, "max_position_embeddings": 64, "type_vocab_size": 2,
    }  # fmt: skip
    layer = "encoder.layer.0."
    shapes = {
        "embeddings.word_embeddings.weight": (VOCAB, 16), "embeddings.position_embeddings.weight": (64, 16),
        "embeddings.token_type_embeddings.weight": (2, 16), "embeddings.LayerNorm.gamma": (16,),
        **{f"{layer}attention.self.{part}.weight": (16, 16) for part in ("query", "key", "value")},
        **{f"{layer}attention.self.{part}.bias": (16,) for part in ("query", "key", "value")},
        f"{layer}attention.output.dense.weight": (16, 16), f"{layer}attention.output.dense.bias": (16,),
        f"{layer}attention.output.LayerNorm.gamma": (16,), f"{layer}intermediate.dense.weight": (32, 16),
        f"{layer}intermediate.dense.bias": (32,), f"{layer}output.dense.weight": (16, 32),
        f"{layer}output.dense.bias": (16,), "pooler.dense.weight": (16, 16),
    }  # fmt: skip
    folder = write_model(tmp_path / "model", config, shapes)
    write_json(folder / "modules.json", [{"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"}])
    (folder / "2_Dense").mkdir()
    write_weights(folder / "2_Dense" / "model.safetensors", header_of({"linear.weight": (16, 16)}))
    facts = examine(folder)
    assert (facts.task, facts.layers, facts.max_model_len) == ("embed", 1, 64)


def test_examine_passes_when_an_index_of_other_weights_is_left_over(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model")
    write_json(folder / "pytorch_model.bin.index.json", {"weight_map": {"a": "pytorch_model-1.bin"}})
    assert examine(folder).warnings == ()


def test_examine_passes_when_sizes_are_given_layer_by_layer(tmp_path: Path) -> None:
    facts = examine(write_model(tmp_path / "model", LLAMA | {"intermediate_size": [32, 32]}))
    assert facts.intermediate_size is None


def test_examine_warns_when_architecture_is_not_known(tmp_path: Path) -> None:
    facts = examine(write_model(tmp_path / "model", LLAMA | {"architectures": ["NovelForCausalLM"]}))
    assert facts.architecture == "NovelForCausalLM"
    assert "not known here" in facts.warnings[0]


def test_check_magic_passes_when_header_length_looks_like_a_pickle() -> None:
    head = struct.pack("<Q", 0x0280) + json.dumps(header_of({"a": (2,)})).encode().ljust(0x0280)
    assert head[:2] == b"\x80\x02"
    check_magic("model.safetensors", head, len(head) + 4)
