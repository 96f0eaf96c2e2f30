"""Transformers itself on GGUF files written here: every tensor and setting arrives, or the file is refused."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import gguf as reference
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer, LlamaConfig, Qwen2Config, Qwen3Config
from transformers.models.auto.modeling_auto import AutoModelForCausalLM

from orchestrator.errors import ModelRejectedError
from orchestrator.library import gguf
from orchestrator.library.convert_gguf import UnconvertibleError, convert
from orchestrator.library.verification.verify import verify
from tests.gguf_files import TINY, TOKENIZER, TOKENS, Entry, Packed, tensors

_SHAPE = {
    "vocab_size": len(TOKENS), "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 256, "rms_norm_eps": 1e-6,
    "bos_token_id": 0, "eos_token_id": 1,
}  # fmt: skip
MODELS = {
    "llama": LlamaConfig(**_SHAPE, rope_theta=50000.0),
    "llama, tied": LlamaConfig(**_SHAPE, tie_word_embeddings=True),
    "qwen2": Qwen2Config(**_SHAPE, rope_theta=1000000.0),
    "qwen3": Qwen3Config(**_SHAPE, head_dim=128, rope_theta=1000000.0),
}


def written(config: Any, path: Path) -> dict[str, torch.Tensor]:
    """A model of `config` with random weights as a GGUF file, laid out as llama.cpp does. Its tensors, unchanged."""
    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    with torch.no_grad():
        for each in model.parameters():
            each.copy_(torch.randn_like(each))  # norms and biases too: a model is made with ones and zeros
    state = {name: each for name, each in model.state_dict().items() if name != "lm_head.weight"}
    if not config.tie_word_embeddings:
        state["lm_head.weight"] = model.lm_head.weight
    kind = reference.MODEL_ARCH[config.model_type.upper()]
    names = reference.get_tensor_name_map(kind, config.num_hidden_layers)
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    entries = []
    for name, each in state.items():
        values = each
        if config.model_type == "llama" and ("q_proj" in name or "k_proj" in name):
            values = each.reshape(-1, 2, head // 2, each.shape[-1]).swapaxes(1, 2).reshape(each.shape)
        raw = values.contiguous().view(torch.int16).numpy().astype(np.int16).tobytes()
        packed = names.get_name(name, try_suffixes=(".weight", ".bias"))
        entries.append(Entry(packed, tuple(reversed(each.shape)), raw))
    said = {
        "context_length": config.max_position_embeddings,
        "block_count": config.num_hidden_layers,
        "embedding_length": config.hidden_size,
        "feed_forward_length": config.intermediate_size,
        "attention.head_count": config.num_attention_heads,
        "attention.head_count_kv": config.num_key_value_heads,
        "attention.key_length": head,
        "attention.value_length": head,
        "attention.layer_norm_rms_epsilon": config.rms_norm_eps,
        "rope.freq_base": config.rope_parameters["rope_theta"],
        "rope.dimension_count": head,
        "vocab_size": config.vocab_size,
    }
    pairs = {f"{config.model_type}.{key}": each for key, each in said.items()}
    Packed({"general.architecture": config.model_type} | pairs | TOKENIZER, entries).write(path)
    return state


def assert_same(folder: Path, state: dict[str, torch.Tensor], config: Any) -> None:
    arrived: dict[str, torch.Tensor] = {}
    for path in folder.glob("*.safetensors"):
        arrived |= load_file(path)
    assert arrived.keys() == state.keys()
    assert all(torch.equal(arrived[name], state[name]) for name in state)
    settings = json.loads((folder / "config.json").read_text())
    before = config.to_dict()
    same = (
        "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
        "num_key_value_heads", "max_position_embeddings", "tie_word_embeddings", "rope_parameters", "hidden_act",
    )  # fmt: skip
    assert {key: settings[key] for key in same} == {key: before[key] for key in same}
    assert settings["rms_norm_eps"] == pytest.approx(config.rms_norm_eps)


def converted_here(packed: Path, folder: Path) -> None:
    """In this process, which has Transformers already."""
    convert(packed, folder, asyncio.run(gguf.look(packed)))


@pytest.mark.parametrize("name", MODELS)
def test_conversion_brings_every_tensor_and_every_setting(name: str, tmp_path: Path) -> None:
    state = written(MODELS[name], tmp_path / "model.gguf")
    converted_here(tmp_path / "model.gguf", tmp_path / "folder")
    assert_same(tmp_path / "folder", state, MODELS[name])
    facts = asyncio.run(verify(tmp_path / "folder"))
    assert facts.parameters == sum(each.numel() for each in state.values())


async def test_conversion_in_its_own_process_leaves_a_model_that_can_be_served_and_nothing_else(tmp_path: Path) -> None:
    state = written(MODELS["llama"], tmp_path / "model.gguf")
    await gguf.convert(tmp_path / "model.gguf", tmp_path / "folder")
    assert_same(tmp_path / "folder", state, MODELS["llama"])
    assert {path.name for path in (tmp_path / "folder").iterdir()} == {
        "config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
    }  # fmt: skip


async def test_conversion_that_is_refused_leaves_nothing(tmp_path: Path) -> None:
    Packed(tensors=tensors(without="blk.0.ffn_up.weight")).write(tmp_path / "part.gguf")
    with pytest.raises(ModelRejectedError, match=r"^part\.gguf lacks model\.layers\.0\.mlp\.up_proj\.weight"):
        await gguf.convert(tmp_path / "part.gguf", tmp_path / "folder")
    assert not (tmp_path / "folder").exists()


async def test_conversion_that_is_cancelled_leaves_nothing(tmp_path: Path) -> None:
    Packed(tensors=tensors()).write(tmp_path / "model.gguf")
    task = asyncio.create_task(gguf.convert(tmp_path / "model.gguf", tmp_path / "folder"))
    while not (tmp_path / "folder").exists():  # noqa: ASYNC110 - made by another thread
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not (tmp_path / "folder").exists()


def test_conversion_of_a_tensor_that_would_be_dropped_is_refused(tmp_path: Path) -> None:
    extra = Entry("blk.0.attn_q.bias", (64,), bytes(128))
    Packed(tensors=[*tensors(), extra]).write(tmp_path / "a.gguf")
    with pytest.raises(UnconvertibleError, match="of which Transformers would take"):
        converted_here(tmp_path / "a.gguf", tmp_path / "folder")


@pytest.mark.parametrize("wanted", [True, False])
def test_conversion_begins_a_text_as_the_file_says(wanted: bool, tmp_path: Path) -> None:
    pairs = TINY | TOKENIZER | {"tokenizer.ggml.add_bos_token": wanted}
    Packed(pairs, tensors()).write(tmp_path / "a.gguf")
    converted_here(tmp_path / "a.gguf", tmp_path / "folder")
    ids = AutoTokenizer.from_pretrained(tmp_path / "folder")("hello").input_ids
    assert ids == [0] * wanted + [TOKENS.index("hello")]


_ESCAPES = {
    "writing outside": "open(outside + '/a', 'w')",
    "writing outside in native code": "assert libc.open((outside + '/b').encode(), 0o101, 0o600) >= 0",
    "renaming outside": "os.rename(folder + '/in', outside + '/c')",
    "removing outside": "os.remove(outside + '/kept')",
    "a socket": "import socket; socket.socket()",
    "a program": "import subprocess; subprocess.run(['/bin/true'], check=True)",
    "a program in native code": "assert libc.system(b'/bin/true') == 0",
    "too large a file": "open(folder + '/large', 'wb').write(bytes(2_000_000))",
    "too much memory": "bytearray(300 * 2**20)",
}


@pytest.mark.parametrize("escape", _ESCAPES)
def test_confined_process_can_not_get_out(escape: str, tmp_path: Path) -> None:
    folder, outside = tmp_path / "folder", tmp_path / "outside"
    folder.mkdir()
    outside.mkdir()
    (folder / "in").touch()
    (outside / "kept").touch()
    program = (
        "import ctypes, os, sys\n"
        "from pathlib import Path\n"
        "from orchestrator.library.confinement import confine, limit\n"
        "libc, (folder, outside) = ctypes.CDLL(None), sys.argv[1:]\n"
        "if not confine(Path(folder)): sys.exit(77)\n"
        "limit(200 * 2**20, 60, 1_000_000)\n"
        "open(folder + '/fine', 'w').write('x')\n"
        f"try: {_ESCAPES[escape]}\n"
        "except (OSError, MemoryError, AssertionError): sys.exit(0)\n"
        "sys.exit('it got out')\n"
    )
    ran = subprocess.run([sys.executable, "-c", program, str(folder), str(outside)], capture_output=True, text=True)
    if ran.returncode == 77 and "native" in escape:
        pytest.skip("this kernel has no Landlock")
    assert ran.returncode in (0, 77), ran.stderr
    assert [path.name for path in outside.iterdir()] == ["kept"]
