from typing import Any

import pytest

from orchestrator.fitting import hardware_of, hopeless, question_of, too_large
from orchestrator.library.engine_memory import GIB
from orchestrator.library.fit_types import Accelerator, FitQuestion, Hardware
from orchestrator.library.verification.facts import ModelFacts
from replicas.host_types import Gpu, HostRecord

LLAMA_8B = ModelFacts(
    architecture="LlamaForCausalLM", task="generate", max_model_len=8192, weights_bytes=16 * GIB, parameters=8 * GIB,
    dtype="BF16", dtype_bytes=2, tensors=291, hidden_size=4096, intermediate_size=14336, layers=32, attention_heads=32,
    kv_heads=8, head_dim=128, vocab_size=128_256,
)  # fmt: skip


ONE_GPU = FitQuestion(context_tokens=4096, gpus_per_replica=1)


def gpu(memory_gib: int, free_gib: int, host: str = "a") -> Accelerator:
    return Accelerator(host=host, index=0, name="card", memory_bytes=memory_gib * GIB, free_bytes=free_gib * GIB)


def cards(*gpus: Accelerator, memory_gib: int = 64) -> Hardware:
    return Hardware(accelerators=gpus, host_memory_bytes=memory_gib * GIB, host_free_bytes=GIB)


def test_hardware_is_every_gpu_that_hosts_tell_of() -> None:
    card = Gpu(index=3, name="card", memory_bytes=24, free_bytes=20, driver="1")
    hosts = [
        HostRecord(
            address=address, port=1, token="", hostname=address, folder="/", gpus=(card,) * count, started_at=0.0
        )
        for address, count in (("a", 2), ("b", 0), ("c", 1))
    ]
    seen = hardware_of(hosts, 64, 32)
    assert [(each.host, each.index, each.free_bytes) for each in seen.accelerators] == [("a", 3, 20)] * 2 + [
        ("c", 3, 20)
    ]
    assert (seen.host_memory_bytes, seen.host_free_bytes) == (64, 32)


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ({}, ONE_GPU),
        ({"tensor-parallel-size": 4}, FitQuestion(context_tokens=4096, gpus_per_replica=4)),
        (
            {"kv_cache_dtype": "fp8_e4m3", "dtype": "float16", "gpu_memory_utilization": 0.5, "max_num_seqs": 8},
            FitQuestion(
                context_tokens=4096, gpus_per_replica=1, kv_dtype="fp8", dtype="float16", gpu_memory_utilization=0.5,
                max_num_seqs=8,
            ),
        ),
        ({"dtype": "half", "max_num_seqs": "many", "max_num_batched_tokens": True}, ONE_GPU),
    ],
)  # fmt: skip
def test_question_of_a_deployment_takes_what_its_engine_arguments_say(
    args: dict[str, Any], expected: FitQuestion
) -> None:
    assert question_of(1, 4096, args) == expected


@pytest.mark.parametrize(
    ("hardware", "question", "part"),
    [
        (cards(gpu(24, 1)), {"gpus_per_replica": 1, "context_tokens": 8192}, None),
        (cards(gpu(12, 12)), {"gpus_per_replica": 1, "context_tokens": 2048}, "GPU"),
        (cards(gpu(24, 24)), {"gpus_per_replica": 1, "context_tokens": 16_384}, "8,192"),
        (cards(gpu(12, 12), gpu(12, 12, "b")), {"gpus_per_replica": 2, "context_tokens": 2048}, "2 GPUs"),
        (cards(), {"gpus_per_replica": 1}, None),
        (cards(memory_gib=64), {"gpus_per_replica": 0, "context_tokens": 2048}, None),
        (cards(memory_gib=24), {"gpus_per_replica": 0, "context_tokens": 2048}, "GiB"),
    ],
)
def test_deployment_is_hopeless_only_if_it_could_not_start_on_empty_hardware(
    hardware: Hardware, question: dict[str, Any], part: str | None
) -> None:
    fit = hopeless(LLAMA_8B, FitQuestion(**question), hardware)
    if part is None:
        assert fit is None, fit
    else:
        assert fit is not None
        assert part in str(fit.reason)


@pytest.mark.parametrize(
    ("weights_gib", "hardware", "refused"),
    [
        (40, cards(gpu(24, 1), gpu(24, 1)), False),
        (45, cards(gpu(24, 24), gpu(24, 24)), True),
        (40, cards(gpu(24, 24), gpu(24, 24, "b")), True),
        (31, cards(memory_gib=64), False),
        (33, cards(memory_gib=64), True),
    ],
)
def test_download_is_refused_only_if_no_host_could_hold_the_weights(
    weights_gib: int, hardware: Hardware, refused: bool
) -> None:
    why = too_large(weights_gib * GIB, hardware)
    assert (why is not None) is refused
    assert why is None or f"{weights_gib if hardware.accelerators else 2 * weights_gib}.0 GiB" in str(why)
