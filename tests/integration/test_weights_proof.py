"""What an engine holds against what is in the files: real tensors, and a client that does what vLLM's does."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from replicas.errors import EngineUnhealthyError, SwapFailedError, SwapRefusedError
from replicas.tensor_digest import of_files, of_model, same_weights
from replicas.vllm_swap import InPlaceSwap, fingerprint_of

HIDDEN, VOCAB, HEADS = 16, 40, 24


def tensors(seed: int, dtype: torch.dtype = torch.bfloat16) -> dict[str, torch.Tensor]:
    """Two layers as a file has them."""
    generator = torch.Generator().manual_seed(seed)

    def numbers(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator).to(dtype)

    found = {"model.embed_tokens.weight": numbers(VOCAB, HIDDEN), "lm_head.weight": numbers(VOCAB, HIDDEN)}
    for layer in range(2):
        at = f"model.layers.{layer}"
        for name, rows in (("q", HIDDEN), ("k", 8), ("v", 8)):
            found[f"{at}.self_attn.{name}_proj.weight"] = numbers(rows, HIDDEN)
            found[f"{at}.self_attn.{name}_proj.bias"] = numbers(rows)
        found[f"{at}.mlp.down_proj.weight"] = numbers(HIDDEN, HEADS)
        found[f"{at}.input_layernorm.weight"] = numbers(HIDDEN)
    return found


def write(folder: Path, found: dict[str, torch.Tensor], *, shards: int = 1) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    names = sorted(found)
    for shard in range(shards):
        save_file({name: found[name] for name in names[shard::shards]}, folder / f"model-{shard}.safetensors")
    return folder


class Layer(nn.Module):
    """A linear layer as an engine has it; packed, its tensor is gone and only what it computes is left."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None, *, packed: bool) -> None:
        super().__init__()
        self.input_size_per_partition = weight.shape[1]
        held = weight.clone()
        self.weight = nn.Parameter(torch.empty(0) if packed else held, requires_grad=False)
        if bias is not None:
            self.bias = nn.Parameter(bias, requires_grad=False)
        self.quant_method = SimpleNamespace(apply=lambda _layer, x, _bias: x @ held.T)


class Engine(nn.Module):
    """q, k and v joined, the vocabulary padded, everything in the engine's own dtype."""

    def __init__(self, found: dict[str, torch.Tensor], dtype: torch.dtype = torch.float32, *, packed: bool) -> None:
        super().__init__()
        wide = {name: tensor.to(dtype) for name, tensor in found.items()}
        padding = torch.zeros(24, HIDDEN, dtype=dtype)
        self.model = nn.Module()
        self.model.embed_tokens = Layer(torch.cat([wide["model.embed_tokens.weight"], padding]), None, packed=False)
        self.lm_head = self.model.embed_tokens  # tied
        layers = []
        for number in range(2):
            at, layer = f"model.layers.{number}", nn.Module()
            layer.self_attn, layer.mlp = nn.Module(), nn.Module()
            joined = [
                torch.cat([wide[f"{at}.self_attn.{part}_proj.{kind}"] for part in "qkv"]) for kind in ("weight", "bias")
            ]
            layer.self_attn.qkv_proj = Layer(*joined, packed=packed)
            layer.mlp.down_proj = Layer(wide[f"{at}.mlp.down_proj.weight"], None, packed=packed)
            layer.input_layernorm = nn.Parameter(wide[f"{at}.input_layernorm.weight"], requires_grad=False)
            layers.append(layer)
        self.model.layers = nn.ModuleList(layers)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("shards", [1, 3])
def test_fingerprint_of_files_is_that_of_the_engine_that_holds_them(
    tmp_path: Path, packed: bool, dtype: str, shards: int
) -> None:
    if packed and dtype == "bfloat16":
        dtype = "float32"  # packing is the CPU's, which computes in float32
    found = tensors(1)
    engine = of_model(Engine(found, getattr(torch, dtype), packed=packed))
    assert bool(engine.blocks) is packed
    files = of_files(write(tmp_path / "a", found, shards=shards), dtype, tied=True, packed=engine.blocks.keys())
    assert same_weights(engine, files)
    assert not same_weights(engine, of_files(tmp_path / "a", dtype, tied=False, packed=engine.blocks.keys()))
    other = of_files(write(tmp_path / "b", tensors(2)), dtype, tied=True, packed=engine.blocks.keys())
    assert not same_weights(engine, other)


def one_bit(tensor: torch.Tensor) -> None:
    tensor.view(torch.int16)[-1, -1] ^= 1


def swapped_columns(tensor: torch.Tensor) -> None:
    tensor[:, [0, 1]] = tensor[:, [1, 0]]


def moved_value(tensor: torch.Tensor) -> None:
    tensor[[0, 1], 0] = tensor[[1, 0], 0]


@pytest.mark.parametrize("damage", [one_bit, swapped_columns, moved_value])
@pytest.mark.parametrize("name", ["model.embed_tokens.weight", "model.layers.1.self_attn.k_proj.weight"])
def test_fingerprint_sees_a_single_bit_and_values_that_changed_places(
    damage: Callable[[torch.Tensor], None], name: str, tmp_path: Path
) -> None:
    found = tensors(1)
    engine = of_model(Engine(found, packed=False))
    damage(found[name])
    assert not same_weights(engine, of_files(write(tmp_path / "a", found), "float32", tied=True, packed=()))


@pytest.mark.parametrize("stale", ["model.layers.0.self_attn.v_proj.weight", "model.layers.1.mlp.down_proj.weight"])
def test_packed_layer_that_still_computes_with_old_weights_is_seen(tmp_path: Path, stale: str) -> None:
    found, old = tensors(1), tensors(2)
    engine = of_model(Engine(found | {stale: old[stale]}, packed=True))
    files = of_files(write(tmp_path / "a", found), "float32", tied=True, packed=engine.blocks.keys())
    assert engine.digest == files.digest
    assert not same_weights(engine, files)


class Client:
    """vLLM's client as far as a swap needs it, over an engine that reloads what it is told, unless it is broken."""

    def __init__(self, folder: Path) -> None:
        self.model_config = SimpleNamespace(
            dtype=torch.float32, hf_text_config=SimpleNamespace(tie_word_embeddings=True)
        )
        self.calls: list[str] = []
        self.keeps_stale = False
        self.fails_to_load: set[str] = set()
        self.workers = 1
        self._found: dict[str, torch.Tensor] = {}
        self._load(folder)

    def _load(self, folder: Path) -> None:
        from safetensors.torch import load_file

        found: dict[str, torch.Tensor] = {}
        for path in folder.glob("*.safetensors"):
            found |= load_file(path)
        if self.keeps_stale and self._found:
            found["model.layers.0.self_attn.k_proj.weight"] = self._found["model.layers.0.self_attn.k_proj.weight"]
        self._found = found

    async def pause_generation(self, mode: str) -> None:
        self.calls.append(f"pause {mode}")

    async def resume_generation(self) -> None:
        self.calls.append("resume")

    async def reset_prefix_cache(self) -> bool:
        self.calls.append("reset")
        return True

    async def collective_rpc(self, method: str, kwargs: dict[str, Any] | None = None) -> list[Any]:
        self.calls.append(method)
        if method == "reload_weights" and kwargs is not None:
            if Path(kwargs["weights_path"]).name in self.fails_to_load:
                raise RuntimeError("CUDA error")
            self._load(Path(kwargs["weights_path"]))
            return [None]
        found = of_model(Engine(self._found, packed=True))
        return [{"digest": found.digest, "blocks": found.blocks}] * self.workers


class Served:
    """An engine with an app around it, and two revisions."""

    def __init__(self, folder: Path) -> None:
        self.old, self.new = write(folder / "old", tensors(1)), write(folder / "new", tensors(2))
        self.client = Client(self.old)
        self.part = SimpleNamespace(system_fingerprint="")
        state = SimpleNamespace(_state={"chat": self.part, "args": object()})
        self.answers: list[tuple[tuple[int, ...], float]] = [((5, 6), -1.0)] * 2
        self.swap = InPlaceSwap(self.client, SimpleNamespace(state=state), self.old, self._answer)

    async def _answer(self) -> tuple[tuple[int, ...], float]:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture
def served(tmp_path: Path) -> Served:
    return Served(tmp_path)


async def test_swap_pauses_reloads_resets_proves_and_names_the_weights(served: Served) -> None:
    await served.swap.learn()
    await served.swap.prepare(served.new)
    served.client.calls.clear()
    assert await served.swap.swap(served.new, "sha256:abcdef") >= 0
    assert served.client.calls == ["pause abort", "reload_weights", "reset", "fingerprint_weights", "resume"]
    assert served.part.system_fingerprint == fingerprint_of("sha256:abcdef") == "rh-abcdef"
    await served.swap.prepare(served.old)
    await served.swap.swap(served.old, "sha256:123")


async def test_engine_that_keeps_a_stale_layer_is_found_out_and_goes_back(served: Served) -> None:
    await served.swap.learn()
    await served.swap.prepare(served.new)
    served.client.keeps_stale = True
    with pytest.raises(SwapFailedError, match="does not hold what is in the files"):
        await served.swap.swap(served.new, "sha256:abc")
    assert served.part.system_fingerprint == ""


async def test_engine_that_takes_neither_the_new_nor_the_old_weights_is_given_up(served: Served) -> None:
    await served.swap.learn()
    await served.swap.prepare(served.new)
    served.client.fails_to_load = {"new", "old"}
    with pytest.raises(EngineUnhealthyError, match="did not come back either"):
        await served.swap.swap(served.new, "sha256:abc")


async def test_weights_that_cannot_be_loaded_leave_the_old_ones_proved(served: Served) -> None:
    await served.swap.learn()
    await served.swap.prepare(served.new)
    served.client.fails_to_load = {"new"}
    with pytest.raises(SwapFailedError, match="old weights are back"):
        await served.swap.swap(served.new, "sha256:abc")
    served.client.fails_to_load = set()
    await served.swap.prepare(served.new)
    await served.swap.swap(served.new, "sha256:abc")


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        ([((), -1.0), ((), -1.0), ((5,), -1.0), ((5,), -1.0)], "nothing that is a number"),
        ([((5,), float("nan")), ((5,), -1.0), ((5,), -1.0), ((5,), -1.0)], "nothing that is a number"),
        ([((5,), -1.0), ((6,), -1.0), ((5,), -1.0), ((5,), -1.0)], "differently each time"),
    ],
)
async def test_weights_that_do_not_answer_soundly_are_undone(
    served: Served, answers: list[tuple[tuple[int, ...], float]], why: str
) -> None:
    await served.swap.learn()
    await served.swap.prepare(served.new)
    served.answers = answers
    with pytest.raises(SwapFailedError, match=why):
        await served.swap.swap(served.new, "sha256:abc")


async def test_engine_of_several_workers_or_of_another_form_refuses(served: Served) -> None:
    served.client.workers = 2
    await served.swap.learn()
    with pytest.raises(SwapRefusedError, match="several GPUs"):
        await served.swap.prepare(served.new)
    served.client.workers = 1
    served.client._load(served.new)  # it holds something else than its folder
    await served.swap.learn()
    with pytest.raises(SwapRefusedError, match="a form of its own"):
        await served.swap.prepare(served.new)


async def test_weights_of_other_shapes_are_refused_by_name(served: Served, tmp_path: Path) -> None:
    await served.swap.learn()
    found = tensors(3)
    found["model.layers.1.input_layernorm.weight"] = torch.ones(HIDDEN + 1, dtype=torch.bfloat16)
    with pytest.raises(SwapRefusedError, match=r"model\.layers\.1\.input_layernorm\.weight differs"):
        await served.swap.prepare(write(tmp_path / "odd", found))
    del found["lm_head.weight"]
    with pytest.raises(SwapRefusedError, match="2 tensors do"):
        await served.swap.prepare(write(tmp_path / "less", found))
    assert json.dumps(served.client.calls).count("reload_weights") == 0
