import pytest

from orchestrator.library.fit import cpu_memory
from orchestrator.library.fit_types import FitQuestion
from orchestrator.library.kv_cache import KvLayout, kv_layout
from orchestrator.library.verification.facts import ModelFacts
from tests.unit.orchestrator.fit_builders import QWEN_8B, SMOL, model

MIB = 2**20
LLAMA = model(SMOL, layers=6, kv_heads=8, max_model_len=16_384)
QWEN2 = model(SMOL, layers=24, kv_heads=2, max_model_len=16_384)
QWEN3 = model(SMOL, layers=28, kv_heads=4, head_dim=128, max_model_len=16_384)
GEMMA3 = model(SMOL, architecture="Gemma3ForCausalLM", layers=20, kv_heads=1, head_dim=256, sliding_window=512,
               max_model_len=16_384)  # fmt: skip


def layout(facts: ModelFacts, *, tensor_parallel: int = 1, block_tokens: int = 16, step_tokens: int = 2048) -> KvLayout:
    return kv_layout(
        facts, value_bytes=2, tensor_parallel=tensor_parallel, block_tokens=block_tokens, step_tokens=step_tokens
    )[0]


@pytest.mark.parametrize(
    ("facts", "cache_mib", "context_tokens", "step_tokens", "kv_tokens"),
    [
        (SMOL, 1024, 3072, 2048, 23_296),
        (LLAMA, 256, 4096, 4096, 10_880),
        (QWEN2, 256, 1024, 2048, 10_880),
        (QWEN2, 1024, 1024, 2048, 43_648),
        (QWEN3, 512, 1024, 2048, 4608),
        (GEMMA3, 1024, 4096, 2048, 35_386),
        (GEMMA3, 256, 1024, 512, 5632),
        (GEMMA3, 256, 512, 2048, 5135),
    ],
)
def test_size_of_the_kv_cache_is_what_real_engines_reported(
    facts: ModelFacts, cache_mib: int, context_tokens: int, step_tokens: int, kv_tokens: int
) -> None:
    question = FitQuestion(
        context_tokens=context_tokens, kv_cache_bytes=cache_mib * MIB, max_num_batched_tokens=step_tokens
    )
    layout = cpu_memory(facts, question).layout
    assert layout.size_tokens(cache_mib * MIB, context_tokens) == kv_tokens


def test_request_takes_whole_blocks() -> None:
    blocks = layout(QWEN_8B)
    assert blocks.block_bytes == 36 * 16 * 2 * 8 * 128 * 2
    assert [blocks.blocks(tokens) for tokens in (1, 16, 17, 32, 33)] == [1, 1, 2, 2, 3]


def test_one_block_is_never_used() -> None:
    blocks = layout(QWEN_8B)
    assert blocks.bytes_of(3, 32) == 7 * blocks.block_bytes
    assert blocks.requests(7 * blocks.block_bytes, 32) == 3
    assert blocks.requests(7 * blocks.block_bytes - 1, 32) == 2
    assert blocks.requests(0, 32) == 0


@pytest.mark.parametrize(("degree", "share"), [(1, 8), (2, 4), (8, 1), (16, 1)])
def test_kv_heads_are_split_over_gpus_until_each_has_one(degree: int, share: int) -> None:
    assert layout(QWEN_8B, tensor_parallel=degree).block_bytes == 36 * 16 * 2 * share * 128 * 2


def test_compressed_kv_cache_is_not_split() -> None:
    deepseek = model(architecture="DeepseekV3ForCausalLM", layers=61)
    assert layout(deepseek).block_bytes == layout(deepseek, tensor_parallel=8).block_bytes == 61 * 16 * 576 * 2


def test_layers_with_a_window_keep_the_window_and_one_step() -> None:
    mistral = layout(model(architecture="MistralForCausalLM", sliding_window=4096), step_tokens=2048)
    assert mistral.blocks(100_000) == mistral.blocks(6143) == -(-6143 // 16) + 1
    assert mistral.blocks(1000) == 63 + 1


@pytest.mark.parametrize(
    ("layers", "groups"),
    [
        (26, (4, 1, 6)),  # 4 see all, 22 have a window: groups of 4
        (12, (2, 1, 5)),
        (6, (1, 1, 5)),
    ],
)
def test_layers_of_two_kinds_form_groups_of_one_size(layers: int, groups: tuple[int, int, int]) -> None:
    size, full, window = groups
    blocks = layout(model(architecture="Gemma3ForCausalLM", layers=layers, sliding_window=1024))
    assert (blocks.full_groups, blocks.window_groups) == (full, window)
    assert blocks.block_bytes == size * 16 * 2 * 8 * 128 * 2


def test_layers_of_two_kinds_nearly_as_many_are_padded_to_one_group_each() -> None:
    blocks = layout(model(architecture="GptOssForCausalLM", layers=25, sliding_window=128))
    assert (blocks.full_groups, blocks.window_groups) == (1, 1)
    assert blocks.block_bytes == 13 * 16 * 2 * 8 * 128 * 2
