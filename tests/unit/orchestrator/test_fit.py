import re

import pytest

from orchestrator.library.fit import DEFAULT_CPU_KV_CACHE_BYTES, GPU_MEMORY_SHARE, assess
from orchestrator.library.fit_types import FitQuestion, Hardware
from orchestrator.library.verification.facts import ModelFacts
from replicas import vllm_settings
from tests.unit.orchestrator.fit_builders import GIB, QWEN_8B, SMOL, gpus, hardware, model

ONE = hardware(*gpus(23.6))
TWO = hardware(*gpus(23.6, 23.6))
LARGE = model(weights_bytes=29 * GIB)
HUGE = model(weights_bytes=790 * GIB, attention_heads=64)
VOCABULARY = 151_936 * 4096
"""Elements of one of the vocabulary's matrices."""


def test_defaults_are_those_of_a_replica() -> None:
    assert DEFAULT_CPU_KV_CACHE_BYTES == vllm_settings.DEFAULT_CPU_KV_CACHE_BYTES
    assert GPU_MEMORY_SHARE == vllm_settings.GPU_MEMORY_SHARE


@pytest.mark.parametrize(
    ("facts", "question", "there", "sentence"),
    [
        (QWEN_8B, FitQuestion(gpus_per_replica=1, context_tokens=1024, concurrency=16), ONE,
         r"Fits: 1\d\.\d GiB of 21\.2 GiB on the GPU with most room; 16 requests with 1,024 tokens each\."),
        (QWEN_8B, FitQuestion(gpus_per_replica=1, context_tokens=8192, concurrency=16), ONE,
         r"Fits: 21\.2 GiB of 21\.2 GiB on .*; \d of the 16 requests with 8,192 tokens run at once, the others wait\."),
        (QWEN_8B, FitQuestion(gpus_per_replica=1, context_tokens=8192), ONE,
         r"Fits: .*; one request with 8,192 tokens\."),
        (QWEN_8B, FitQuestion(gpus_per_replica=2), TWO, r"Fits: .* on each of 2 GPUs; one request"),
        (QWEN_8B, FitQuestion(gpus_per_replica=0.5, context_tokens=64), hardware(*gpus(78, memory_gib=80)),
         r"Fits: .* in 0\.5 of the GPU with most room; one request"),
        (QWEN_8B, FitQuestion(gpus_per_replica=1), ONE,
         r"Does not fit with 40,960 tokens; it fits with \d\d,\d{3} tokens, or on 2 GPUs of 24 GiB \(one is here\)\."),
        (QWEN_8B, FitQuestion(gpus_per_replica=0.5, context_tokens=64), ONE,
         r"Needs a whole GPU of 24 GiB; one is here\."),
        (LARGE, FitQuestion(gpus_per_replica=1), TWO, r"Needs 2 GPUs of 24 GiB on one host; 2 are here\."),
        (LARGE, FitQuestion(gpus_per_replica=2), ONE, r"Needs 2 GPUs of 24 GiB on one host; one is here\."),
        (QWEN_8B, FitQuestion(gpus_per_replica=2, context_tokens=64), ONE,
         r"2 GPUs on one host are asked for; one is here\. It fits on 1\."),
        (HUGE, FitQuestion(gpus_per_replica=1), ONE,
         r"Does not fit: it needs 79\d\.\d GiB, and the GPU with most room has 21\.2 GiB for it\. Take a smaller"),
        (HUGE, FitQuestion(gpus_per_replica=8), ONE,
         r"8 GPUs on one host are asked for; one is here\. It would not fit on 8 such GPUs either; take a smaller"),
        (QWEN_8B, FitQuestion(gpus_per_replica=1), hardware(), r"It is to run on a GPU, and there is none\."),
        (QWEN_8B, FitQuestion(gpus_per_replica=3), ONE, r"heads cannot be split over 3 GPUs; take 1, 2, 4, 8\."),
        (SMOL, FitQuestion(gpus_per_replica=2), TWO, r"heads cannot be split over 2 GPUs; take 1\."),
        (QWEN_8B, FitQuestion(context_tokens=50_000), ONE, r"The model reads at most 40,960 tokens, and 50,000 are"),
        (QWEN_8B, FitQuestion(gpus_per_replica=1, context_tokens=512), hardware(*gpus(20)),
         r"An engine takes 21\.2 GiB of the GPU, and 20\.0 GiB are free\. It fits with gpu_memory_utilization 0\.83"),
        (QWEN_8B, FitQuestion(gpus_per_replica=1, context_tokens=512), hardware(*gpus(10)),
         r"An engine takes 21\.2 GiB of the GPU, and 10\.0 GiB are free, too little for it\. Stop what runs there"),
        (SMOL, FitQuestion(context_tokens=2048, concurrency=8), hardware(),
         r"Fits: \d\.\d GiB of 20\.0 GiB free on the host; 8 requests with 2,048 tokens each\."),
        (SMOL, FitQuestion(context_tokens=2048, concurrency=16), hardware(),
         r"Fits: .*; 11 of the 16 requests with 2,048 tokens run at once, the others wait\."),
        (SMOL, FitQuestion(context_tokens=8192, kv_cache_bytes=GIB // 4), hardware(),
         r"Does not fit with 8,192 tokens; it fits with 5,632 tokens, or with a KV cache of 0\.4 GiB\."),
        (QWEN_8B, FitQuestion(context_tokens=64), hardware(),
         r"Does not fit: it needs 3\d\.\d GiB, and the host has 20\.0 GiB for it\. Take a smaller"),
        (QWEN_8B, FitQuestion(context_tokens=64), ONE, r"has 20\.0 GiB for it; it fits on a GPU of 24 GiB \(one is"),
    ],
)  # fmt: skip
def test_reason_says_what_fits_or_what_would(
    facts: ModelFacts, question: FitQuestion, there: Hardware, sentence: str
) -> None:
    fit = assess(facts, question, there)
    assert fit.fits == sentence.startswith("Fits")
    assert re.search(sentence, str(fit.reason)), fit.reason


def test_reason_says_that_it_is_narrow_where_the_error_could_undo_it() -> None:
    question = FitQuestion(context_tokens=2048)
    enough = assess(SMOL, question, hardware()).needed_bytes / GIB
    narrow = assess(SMOL, question, hardware(free_gib=enough))
    assert str(narrow.reason).startswith("Fits narrowly, and the estimate may be")
    assert not assess(SMOL, question, hardware(free_gib=enough - 0.001)).fits


def test_question_without_a_context_asks_for_the_models() -> None:
    assert assess(QWEN_8B, FitQuestion(), ONE).context_tokens == 40_960
    assert assess(model(max_model_len=None), FitQuestion(), ONE).context_tokens == 2048


def test_tensor_parallelism_needs_its_gpus_on_one_host() -> None:
    apart = hardware(*gpus(23.6), *gpus(23.6, host="b"))
    question = FitQuestion(gpus_per_replica=2, context_tokens=8192)
    assert not assess(QWEN_8B, question, apart).fits
    assert assess(QWEN_8B, question, hardware(*gpus(23.6), *gpus(23.6, 23.6, host="b"))).fits


def test_gpus_needed_counts_gpus_that_are_there_together_before_larger_ones_that_are_not() -> None:
    there = hardware(*gpus(40, memory_gib=44), *gpus(23.6, 23.6, 23.6, 23.6, host="b"))
    fit = assess(model(weights_bytes=60 * GIB), FitQuestion(gpus_per_replica=1, context_tokens=64), there)
    assert fit.gpus_needed == 4
    assert str(fit.reason) == "Needs 4 GPUs of 24 GiB on one host; 4 are here."


def test_place_that_is_free_is_taken_before_a_larger_one_that_is_not() -> None:
    there = hardware(*gpus(30, memory_gib=80), *gpus(23.6, host="b"))
    assert assess(QWEN_8B, FitQuestion(gpus_per_replica=1, context_tokens=64), there).fits


@pytest.mark.parametrize(
    ("facts", "question", "weights_bytes"),
    [
        (QWEN_8B, FitQuestion(gpus_per_replica=1), QWEN_8B.weights_bytes),
        (QWEN_8B, FitQuestion(gpus_per_replica=2), QWEN_8B.weights_bytes // 2),
        (QWEN_8B, FitQuestion(gpus_per_replica=1, dtype="float32"), QWEN_8B.weights_bytes * 2),
        (QWEN_8B, FitQuestion(), QWEN_8B.weights_bytes * 2 + 2 * 4 * VOCABULARY),
        (QWEN_8B, FitQuestion(dtype="bfloat16"), QWEN_8B.weights_bytes + 2 * 2 * VOCABULARY),
        (model(dtype="F32", dtype_bytes=4.0), FitQuestion(gpus_per_replica=1), QWEN_8B.weights_bytes // 2),
        (model(dtype="I32", dtype_bytes=4.0, quantization="awq"), FitQuestion(gpus_per_replica=1),
         QWEN_8B.weights_bytes),
        (model(dtype="I32", dtype_bytes=4.0, quantization="awq"), FitQuestion(),
         QWEN_8B.weights_bytes + (2 * 2 + 2 * 4) * VOCABULARY),
        (model(dtype="I32", dtype_bytes=4.0, quantization="awq", tied_embeddings=True), FitQuestion(),
         QWEN_8B.weights_bytes + (2 + 2 * 4) * VOCABULARY),
        (model(task="embed"), FitQuestion(), QWEN_8B.weights_bytes * 2 + 4 * VOCABULARY),
    ],
)  # fmt: skip
def test_weights_are_counted_as_the_engine_holds_them(
    facts: ModelFacts, question: FitQuestion, weights_bytes: int
) -> None:
    assert assess(facts, question, TWO).weights_bytes == weights_bytes


def test_kv_cache_of_eight_bits_holds_twice_the_context() -> None:
    plain, fp8 = (
        assess(model(max_model_len=None), FitQuestion(gpus_per_replica=1, context_tokens=64, kv_dtype=kind), ONE)
        for kind in ("auto", "fp8")
    )
    assert plain.longest_context_tokens
    assert fp8.longest_context_tokens == pytest.approx(2 * plain.longest_context_tokens, rel=0.01)


def test_fit_on_a_gpu_says_that_it_was_not_measured() -> None:
    fit = assess(QWEN_8B, FitQuestion(gpus_per_replica=1), ONE)
    assert not fit.calibrated
    assert any("not measured" in each for each in fit.assumptions)
    assert assess(SMOL, FitQuestion(), ONE).calibrated


@pytest.mark.parametrize(
    ("facts", "word"),
    [
        (model(kv_heads=None), "key-value heads"),
        (model(layers=None), "number of layers"),
        (model(architecture="DeepseekV3ForCausalLM"), "compressed"),
        (model(architecture="JambaForCausalLM"), "without attention"),
        (model(architecture="NewForCausalLM", sliding_window=512), "sliding window"),
        (model(experts=128), "experts"),
        (model(architecture="Qwen2VLForConditionalGeneration"), "images"),
    ],
)
def test_fit_says_what_had_to_be_assumed(facts: ModelFacts, word: str) -> None:
    fit = assess(facts, FitQuestion(), ONE)
    assert any(word in each for each in fit.assumptions)


def test_fit_of_a_model_that_says_little_still_needs_memory() -> None:
    unknown = model(hidden_size=None, intermediate_size=None, layers=None, attention_heads=None, kv_heads=None,
                    head_dim=None, vocab_size=None, max_model_len=None)  # fmt: skip
    fit = assess(unknown, FitQuestion(gpus_per_replica=1), ONE)
    assert fit.kv_request_bytes > 0
    assert fit.activation_bytes > 0


def test_encoder_keeps_no_kv_cache() -> None:
    fit = assess(model(SMOL, architecture="BertModel", task="embed"), FitQuestion(concurrency=4), ONE)
    assert (fit.kv_cache_bytes, fit.kv_available_bytes) == (0, 0)
    assert fit.fits
