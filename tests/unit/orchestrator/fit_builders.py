"""Models, GPUs and questions that the tests of the fit ask about."""

from typing import Any

from msgspec import structs

from orchestrator.library.fit_types import Accelerator, Hardware
from orchestrator.library.verification.facts import ModelFacts

GIB = 2**30
SMOL = ModelFacts(
    architecture="LlamaForCausalLM", task="generate", max_model_len=8192, weights_bytes=269_030_016,
    parameters=134_515_008, dtype="BF16", dtype_bytes=2.0, tensors=272, hidden_size=576, intermediate_size=1536,
    layers=30, attention_heads=9, kv_heads=3, head_dim=64, vocab_size=49_152, tied_embeddings=True,
)  # fmt: skip
QWEN_8B = ModelFacts(
    architecture="Qwen3ForCausalLM", task="generate", max_model_len=40_960, weights_bytes=16_381_470_720,
    parameters=8_190_735_360, dtype="BF16", dtype_bytes=2.0, tensors=399, hidden_size=4096, intermediate_size=12_288,
    layers=36, attention_heads=32, kv_heads=8, head_dim=128, vocab_size=151_936,
)  # fmt: skip


def model(facts: ModelFacts = QWEN_8B, **changes: Any) -> ModelFacts:
    return structs.replace(facts, **changes)


def gpus(*free_gib: float, memory_gib: float = 24, host: str = "a") -> tuple[Accelerator, ...]:
    """GPUs of one host, by what is free of each."""
    return tuple(
        Accelerator(host=host, index=index, name="GPU", memory_bytes=int(memory_gib * GIB), free_bytes=int(free * GIB))
        for index, free in enumerate(free_gib)
    )


def hardware(*accelerators: Accelerator, free_gib: float = 20) -> Hardware:
    return Hardware(
        accelerators=accelerators, host_memory_bytes=int((free_gib + 4) * GIB), host_free_bytes=int(free_gib * GIB)
    )
