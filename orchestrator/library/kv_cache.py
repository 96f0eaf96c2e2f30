"""How much KV cache a model takes, in vLLM's own blocks. PURE.

The formulas are those of vLLM 0.32 (`v1/kv_cache_interface.py`, `v1/core/kv_cache_utils.py`): layers of one kind form
groups of equal size, a block holds some tokens of one group, and a request takes whole blocks of every group.
"""

import math

from msgspec import Struct

from orchestrator.library.verification.facts import ModelFacts

_FULL_EVERY = {
    "Cohere2": 4, "Gemma2": 2, "Gemma3": 6, "GptOss": 2, "Mistral": 0, "Olmo3": 4, "Phi3": 0, "Starcoder2": 0,
}  # fmt: skip
"""Of models with a sliding window: every which layer sees all tokens; 0: none does. As their makers published them."""
_ENCODERS = ("Bert", "Camembert", "Roberta")
_COMPRESSED = ("DeepseekV2", "DeepseekV3", "DeepseekV32", "Glm4MoeLite", "GlmMoeDsa", "KimiK2", "LongcatFlash")
_COMPRESSED_VALUES = 512 + 64
"""Of one token in one layer with multi-head latent attention: `kv_lora_rank` and `qk_rope_head_dim` as published."""
_STATE_SPACE = ("Bamba", "FalconH1", "GraniteMoeHybrid", "Jamba", "KimiLinear", "Lfm2", "Mamba", "NemotronH", "Plamo2",
                "Qwen3Next", "Qwen3_5", "Zamba")  # fmt: skip
_WIDTH_PER_LAYER = 128
"""Hidden size over layers of a usual decoder."""


class KvLayout(Struct, frozen=True, kw_only=True):
    """Blocks of one GPU's, or one process's, KV cache."""

    block_tokens: int
    block_bytes: int
    """Of one group's layers; 0 if the model keeps no KV cache."""
    full_groups: int = 0
    """Groups of layers that see all tokens."""
    window_groups: int = 0
    window_tokens: int = 0
    """Tokens of a layer with a sliding window that are kept: the window and what one step adds."""

    def blocks(self, context_tokens: int) -> int:
        """Blocks that one request of so many tokens takes at most."""
        full = -(-context_tokens // self.block_tokens)
        # One more, because a window need not begin at the beginning of a block.
        window = -(-min(context_tokens, self.window_tokens) // self.block_tokens) + 1
        return self.full_groups * full + self.window_groups * window

    def bytes_of(self, requests: int, context_tokens: int) -> int:
        """KV cache that holds so many requests of that size at once. One block more is never used by any."""
        return (requests * self.blocks(context_tokens) + 1) * self.block_bytes

    def requests(self, cache_bytes: int, context_tokens: int) -> int:
        """Requests of that size that a cache of `cache_bytes` holds at once, if the model keeps a KV cache at all."""
        usable = cache_bytes // self.block_bytes - 1
        return max(0, usable // self.blocks(context_tokens))

    def size_tokens(self, cache_bytes: int, context_tokens: int) -> int:
        """Size of a cache as vLLM reports it (`kv_cache_size_tokens`): in requests of the longest context."""
        return int(cache_bytes // self.block_bytes / self.blocks(context_tokens) * context_tokens)


def kv_layout(
    facts: ModelFacts, *, value_bytes: float, tensor_parallel: int, block_tokens: int, step_tokens: int
) -> tuple[KvLayout, tuple[str, ...]]:
    """The layout on one of `tensor_parallel` GPUs, and what had to be assumed for it.

    `value_bytes`: of one key or value. `step_tokens`: what the engine may have scheduled at once over all requests.
    """
    name = facts.architecture
    if any(word in name for word in _ENCODERS):
        return KvLayout(block_tokens=block_tokens, block_bytes=0), ()
    assumed: list[str] = []
    layers = _layers(facts, assumed)
    if name.startswith(_COMPRESSED):
        assumed.append("The KV cache is compressed; its size is that of the published models of this architecture.")
        values = _COMPRESSED_VALUES
    else:
        kv_heads, head_dim = _heads(facts, layers, assumed)
        values = 2 * head_dim * max(1, -(-kv_heads // tensor_parallel))
    if any(word in name for word in _STATE_SPACE):
        assumed.append("Layers without attention are counted like the others, which is too much for long contexts.")
    full, window = _kinds(facts, layers, assumed)
    group = _group_size(full, window)
    layout = KvLayout(
        block_tokens=block_tokens,
        block_bytes=int(group * block_tokens * values * value_bytes),
        full_groups=-(-full // group),
        window_groups=-(-window // group),
        window_tokens=(facts.sliding_window or 1) - 1 + step_tokens,
    )
    return layout, tuple(assumed)


def _layers(facts: ModelFacts, assumed: list[str]) -> int:
    if facts.layers:
        return facts.layers
    assumed.append("The number of layers is not known; that of a usual model of this size was taken.")
    # A usual decoder has 12 hidden² parameters a layer.
    return max(1, round(math.cbrt(facts.parameters / (12 * _WIDTH_PER_LAYER**2))))


def _heads(facts: ModelFacts, layers: int, assumed: list[str]) -> tuple[int, int]:
    """Key-value heads and the size of one."""
    hidden = facts.hidden_size or _WIDTH_PER_LAYER * layers
    head_dim = facts.head_dim or (hidden // facts.attention_heads if facts.attention_heads else 0)
    if facts.kv_heads and head_dim:
        return facts.kv_heads, head_dim
    assumed.append(
        "The number of key-value heads is not known; the KV cache was taken to be as wide as the model, "
        "the most that it can be."
    )
    return (facts.attention_heads, head_dim) if facts.attention_heads else (1, hidden)


def _kinds(facts: ModelFacts, layers: int, assumed: list[str]) -> tuple[int, int]:
    """Layers that see all tokens, and layers with a sliding window."""
    if not facts.sliding_window:
        return layers, 0
    family = facts.architecture.partition("For")[0]
    every = _FULL_EVERY.get(family)
    if every is None:
        assumed.append("Which layers have a sliding window is not known; all were taken to keep every token.")
        return layers, 0
    full = layers // every if every else 0
    return full, layers - full


def _group_size(full: int, window: int) -> int:
    """Layers of one group: as many as the rarer kind has, unless padding the rarer costs less."""
    few, many = sorted((full, window))
    if few == 0:
        return many
    return many if many < 1.5 * few else few
