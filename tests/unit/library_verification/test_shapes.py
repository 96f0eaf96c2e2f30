"""The tables of architectures: whatever they describe passes, and each single departure from it is found."""

import math
from typing import Any

import pytest

from orchestrator.library.verification.config import Config, read_config
from orchestrator.library.verification.families import FAMILIES, Family, Row
from orchestrator.library.verification.header import Tensor
from orchestrator.library.verification.refusal import Refusal
from orchestrator.library.verification.shapes import check_shapes, dimensions

_SIZES: dict[str, Any] = {
    "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4, "head_dim": 4,
    "num_key_value_heads": 2, "vocab_size": 40, "max_position_embeddings": 12, "type_vocab_size": 3,
    "num_local_experts": 3, "moe_intermediate_size": 10, "shared_expert_intermediate_size": 14,
}  # fmt: skip


def _architecture(family: str) -> str:
    return {"GPT2": "GPT2LMHeadModel", "Gemma3Text": "Gemma3TextModel"}.get(
        family, f"{family}Model" if FAMILIES[family].head == "" else f"{family}ForCausalLM"
    )


def _config(family: str, **changes: Any) -> Config:
    sizes = _SIZES | ({"ffn_dim": 24} if family == "OPT" else {}) | changes
    return read_config({"architectures": [_architecture(family)], "tie_word_embeddings": False, **sizes})


def _named(family: Family, layers: int, experts: int) -> list[tuple[str, Row]]:
    root = family.roots[0]
    rows = [(root + row.name, row) for row in family.top]
    for number in range(layers):
        prefix = f"{root}{family.layers}{number}."
        inner = family.layer + (family.sparse if family.expert else family.dense)
        rows += [(prefix + row.name, row) for row in inner]
        rows += [(prefix + row.name.replace("{e}", str(e)), row) for e in range(experts) for row in family.expert]
    return [*rows, (family.head, Row("", ("vocab", "embed"), True))] if family.head else rows


def _tensors(name: str, config: Config) -> dict[str, Tensor]:
    dims = dimensions(config)
    found = {}
    for full, row in _named(FAMILIES[name], 2, 3):
        shape = tuple(dims[dim] or 1 for dim in row.dims)
        found[full] = Tensor(full, "BF16", shape, 0, 2 * math.prod(shape), "model.safetensors")
    return found


@pytest.mark.parametrize("family", FAMILIES)
def test_check_shapes_passes_without_warning_when_tensors_are_the_familys(family: str) -> None:
    config = _config(family)
    assert check_shapes(config, list(_tensors(family, config).values())) == ()


@pytest.mark.parametrize("family", FAMILIES)
def test_check_shapes_names_the_tensor_when_any_required_one_is_missing(family: str) -> None:
    config = _config(family)
    tensors = _tensors(family, config)
    for name, row in _named(FAMILIES[family], 2, 3):
        headless = name == FAMILIES[family].head and "CausalLM" not in config.architecture and family != "GPT2"
        if row.required and not headless:
            with pytest.raises(Refusal) as refused:
                check_shapes(config, [tensor for tensor in tensors.values() if tensor.name != name])
            assert refused.value.code == "missing_tensor"
            # Without the embedding the root cannot be found, and any of its tensors may be named.
            assert name in str(refused.value) or name.endswith(FAMILIES[family].top[0].name)


@pytest.mark.parametrize("family", FAMILIES)
def test_check_shapes_names_the_tensor_and_shapes_when_any_shape_is_another(family: str) -> None:
    config = _config(family)
    tensors = _tensors(family, config)
    for name, row in _named(FAMILIES[family], 2, 3):
        headless = name == FAMILIES[family].head and "CausalLM" not in config.architecture and family != "GPT2"
        if "*" in row.dims or headless:
            continue
        other = tuple(size + 1 for size in tensors[name].shape)
        with pytest.raises(Refusal) as refused:
            check_shapes(config, list((tensors | {name: Tensor(name, "BF16", other, 0, 0, "f.safetensors")}).values()))
        assert (refused.value.code, refused.value.file) == ("shape", "f.safetensors")
        assert all(text in str(refused.value) for text in (name, str(list(other)), str(list(tensors[name].shape))))


def test_check_shapes_takes_packed_tensors_for_weights_when_quantised() -> None:
    config = _config("Llama", quantization_config={"quant_method": "gptq", "bits": 4})
    tensors = _tensors("Llama", config)
    packed = [name for name in tensors if "_proj.weight" in name]
    for name in packed:
        del tensors[name]
        for part in ("qweight", "qzeros", "scales", "g_idx"):
            each = name.replace("weight", part)
            tensors[each] = Tensor(each, "I32", (3, 3), 0, 36, "f")
    assert check_shapes(config, list(tensors.values())) == ()


def test_check_shapes_warns_when_architecture_is_unknown() -> None:
    config = read_config({"architectures": ["NovelForCausalLM"]})
    warnings = check_shapes(config, [Tensor("a", "F32", (1,), 0, 4, "f")])
    assert ["NovelForCausalLM" in warning for warning in warnings] == [True]


def test_check_shapes_lets_the_output_layer_be_missing_when_it_is_tied() -> None:
    config = _config("Llama", tie_word_embeddings=True)
    tensors = _tensors("Llama", config)
    del tensors["lm_head.weight"]
    assert check_shapes(config, list(tensors.values())) == ()


def test_check_shapes_wants_dense_and_sparse_layers_where_the_configuration_says() -> None:
    config = _config("Qwen3Moe", mlp_only_layers=[0])
    with pytest.raises(Refusal, match=r"layers\.0\.mlp\.gate_proj\.weight"):
        check_shapes(config, list(_tensors("Qwen3Moe", config).values()))


def test_dimensions_reads_text_config_when_model_sees_pictures() -> None:
    text = {"hidden_size": 16, "num_hidden_layers": 2}
    config = read_config({"architectures": ["Gemma3ForConditionalGeneration"], "text_config": text, "hidden_size": 99})
    assert (dimensions(config)["hidden"], dimensions(config)["head_dim"]) == (16, 256)
