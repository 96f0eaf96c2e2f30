"""Rates of engines from their counters, against engines whose rates are known."""

import pytest
from msgspec.structs import replace

from orchestrator.scaling.rates import PRIOR, estimate, learn
from orchestrator.scaling.types import EngineRates, RatesMemory, ReplicaSample
from replicas.types import ReplicaState


def learnt(truth: EngineRates, loads: list[tuple[int, float]], *, restarts: bool = False) -> EngineRates:
    """After intervals with (running, share of the time that goes into prompts)."""
    memory = RatesMemory()
    replica = ReplicaSample(replica_id="a", state=ReplicaState.READY, started_at=0, ready_at=0)
    prompt = generated = now = 0.0
    for running, reading in loads:
        prompt += reading / truth.prompt_token_s
        generated += (1 - reading) / (truth.step_s / running + truth.output_token_s)
        if restarts and int(now) % 50 == 49:
            prompt = generated = 0.0
        now += 1.0
        sample = replace(
            replica, running=running, prompt_tokens_total=int(prompt), generated_tokens_total=int(generated)
        )
        memory = learn(memory, [sample], now)
    return estimate(memory)


LOADS = [(running, reading) for running in (4, 20, 50) for reading in (0.1, 0.6, 0.3) for _ in range(40)]
TRUTHS = [
    EngineRates(prompt_token_s=1 / 2500, step_s=0.03, output_token_s=0.001),
    EngineRates(prompt_token_s=1 / 30000, step_s=0.008, output_token_s=0.0001),
]


@pytest.mark.parametrize("truth", TRUTHS)
@pytest.mark.parametrize("restarts", [False, True])
def test_what_requests_cost_is_learnt(truth: EngineRates, restarts: bool) -> None:
    found = learnt(truth, LOADS, restarts=restarts)
    for prompt_tokens, output_tokens, batch in ((1000, 200, 40), (4000, 50, 10)):
        wanted = truth.request_s(prompt_tokens, output_tokens, batch)
        assert found.request_s(prompt_tokens, output_tokens, batch) == pytest.approx(wanted, rel=0.15)


def test_one_kind_of_load_is_enough_to_predict_the_same_kind() -> None:
    truth = TRUTHS[0]
    found = learnt(truth, [(30, 0.4)] * 100)
    per_output = truth.step_s / 30 + truth.output_token_s
    prompt_tokens, output_tokens = 0.4 / truth.prompt_token_s, 0.6 / per_output
    assert found.request_s(prompt_tokens, output_tokens, 30) == pytest.approx(1.0, rel=0.1)


def test_idle_engines_teach_nothing() -> None:
    assert estimate(RatesMemory()) == PRIOR
    memory = RatesMemory()
    for now in range(60):
        replica = ReplicaSample(
            replica_id="a", state=ReplicaState.READY, started_at=0, ready_at=0, running=now % 2,
            prompt_tokens_total=now * 10, generated_tokens_total=now,
        )  # fmt: skip
        memory = learn(memory, [replica], float(now))
    assert estimate(memory) == PRIOR
