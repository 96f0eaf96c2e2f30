"""What must hold of every estimate."""

from hypothesis import given
from hypothesis import strategies as some
from msgspec import structs

from orchestrator.library.fit import assess
from orchestrator.library.fit_types import Accelerator, Fit, FitQuestion, Hardware
from orchestrator.library.verification.facts import ModelFacts
from tests.unit.orchestrator.fit_builders import GIB

BLOCK = {True: 16, False: 128}
"""Tokens of a block, by whether it is on a GPU."""


@some.composite
def models(draw: some.DrawFn) -> ModelFacts:
    kv_heads = draw(some.sampled_from([1, 2, 3, 4, 8, None]))
    heads = (kv_heads or 1) * draw(some.sampled_from([1, 2, 4]))
    head_dim = draw(some.sampled_from([64, 128, 256]))
    parameters = draw(some.integers(10**7, 10**11))
    return ModelFacts(
        architecture=draw(some.sampled_from(["Llama", "Gemma3", "Mistral", "DeepseekV3", "New"])) + "ForCausalLM",
        task="generate",
        max_model_len=draw(some.sampled_from([None, 2048, 40_960])),
        weights_bytes=2 * parameters,
        parameters=parameters,
        dtype="BF16",
        dtype_bytes=2.0,
        tensors=99,
        hidden_size=heads * head_dim,
        intermediate_size=draw(some.sampled_from([None, 4 * heads * head_dim])),
        layers=draw(some.sampled_from([None, 1, 12, 33])),
        attention_heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        vocab_size=draw(some.sampled_from([None, 32_000, 151_936])),
        sliding_window=draw(some.sampled_from([None, 512])),
    )


accelerators = some.builds(
    Accelerator,
    host=some.sampled_from("ab"),
    index=some.just(0),
    name=some.just("GPU"),
    memory_bytes=some.sampled_from([24 * GIB, 48 * GIB, 80 * GIB]),
    free_bytes=some.integers(0, 80 * GIB),
)
machines = some.builds(
    Hardware,
    accelerators=some.lists(accelerators, max_size=5).map(tuple),
    host_memory_bytes=some.just(256 * GIB),
    host_free_bytes=some.integers(0, 256 * GIB),
)
questions = some.builds(
    FitQuestion,
    context_tokens=some.one_of(some.none(), some.integers(1, 50_000)),
    concurrency=some.integers(1, 300),
    gpus_per_replica=some.sampled_from([0, 0.5, 1, 2, 4]),
    kv_dtype=some.sampled_from(["auto", "fp8"]),
    dtype=some.sampled_from(["auto", "bfloat16", "float32"]),
    gpu_memory_utilization=some.sampled_from([None, 0.5, 0.95]),
    kv_cache_bytes=some.sampled_from([None, GIB // 16, 8 * GIB]),
)


def with_context(facts: ModelFacts, question: FitQuestion, there: Hardware, tokens: int) -> Fit:
    return assess(facts, structs.replace(question, context_tokens=tokens), there)


@given(models(), questions, machines, some.integers(1, 1000), some.integers(1, 100))
def test_more_context_or_more_requests_never_need_less(
    facts: ModelFacts, question: FitQuestion, there: Hardware, tokens: int, requests: int
) -> None:
    fit = assess(facts, question, there)
    longer = with_context(facts, question, there, fit.context_tokens + tokens)
    assert longer.needed_bytes >= fit.needed_bytes
    assert longer.kv_cache_bytes >= fit.kv_cache_bytes
    assert longer.max_concurrency <= fit.max_concurrency
    assert fit.fits or not longer.fits
    more = assess(facts, structs.replace(question, concurrency=question.concurrency + requests), there)
    assert more.kv_cache_bytes >= fit.kv_cache_bytes
    assert (more.max_context_tokens or 0) <= (fit.max_context_tokens or 0)
    assert more.fits == fit.fits


@given(models(), questions, machines)
def test_longest_contexts_fit_and_one_block_more_does_not(
    facts: ModelFacts, question: FitQuestion, there: Hardware
) -> None:
    fit = assess(facts, question, there)
    block = BLOCK[question.gpus_per_replica > 0]
    for longest, requests in ((fit.longest_context_tokens, 1), (fit.max_context_tokens, question.concurrency)):
        if longest is not None:
            assert with_context(facts, question, there, longest).max_concurrency >= requests
            assert with_context(facts, question, there, longest + block).max_concurrency < requests


@given(models(), questions, machines, some.integers(0, 80 * GIB), some.integers(0, 4))
def test_more_free_memory_never_turns_a_fit_into_none(
    facts: ModelFacts, question: FitQuestion, there: Hardware, freed_bytes: int, which: int
) -> None:
    freer = tuple(
        structs.replace(gpu, free_bytes=gpu.free_bytes + freed_bytes) if index == which else gpu
        for index, gpu in enumerate(there.accelerators)
    )
    after = structs.replace(there, accelerators=freer, host_free_bytes=there.host_free_bytes + freed_bytes)
    assert assess(facts, question, after).fits or not assess(facts, question, there).fits


@given(models(), questions, accelerators)
def test_gpus_needed_fit_and_fewer_do_not(facts: ModelFacts, question: FitQuestion, gpu: Accelerator) -> None:
    whole = structs.replace(question, gpus_per_replica=1)
    needed = assess(facts, whole, Hardware(accelerators=(gpu,))).gpus_needed
    idle = structs.replace(gpu, free_bytes=gpu.memory_bytes)
    for count in (1, 2, 4, 8):
        there = Hardware(accelerators=tuple(structs.replace(idle, index=index) for index in range(count)))
        fit = assess(facts, structs.replace(whole, gpus_per_replica=count), there)
        if needed is None or count < needed:
            assert not fit.fits
        if count == needed:
            assert fit.fits


@given(models(), questions, machines)
def test_fit_is_as_its_figures_say(facts: ModelFacts, question: FitQuestion, there: Hardware) -> None:
    fit = assess(facts, question, there)
    assert fit.fits == str(fit.reason).startswith("Fits")
    assert fit.fits == (fit.max_concurrency > 0)
    if fit.fits:
        assert fit.needed_bytes <= fit.room_bytes
        assert fit.kv_request_bytes <= fit.kv_available_bytes
        assert fit.longest_context_tokens
        assert fit.longest_context_tokens >= fit.context_tokens
    if fit.max_concurrency >= question.concurrency:
        assert fit.kv_cache_bytes <= fit.kv_available_bytes
    assert min(fit.weights_bytes, fit.activation_bytes, fit.engine_bytes, fit.kv_request_bytes) > 0
