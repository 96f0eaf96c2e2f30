"""What requests are expected to take, from what they took."""

from random import Random

import pytest

from router.estimates import ModelEstimates


@pytest.mark.parametrize("bytes_per_token", [1.5, 3.3, 6.0])
def test_bytes_per_token_converge_to_what_prompts_have(bytes_per_token: float) -> None:
    estimates, rng = ModelEstimates(), Random(1)
    for _ in range(300):
        tokens = rng.randrange(50, 5000)
        estimates.prompt_measured(int(tokens * bytes_per_token * rng.uniform(0.8, 1.2)), tokens)
    assert estimates.bytes_per_token == pytest.approx(bytes_per_token, rel=0.1)
    assert estimates.prompt_tokens(100_000) == pytest.approx(100_000 / bytes_per_token, rel=0.1)


@pytest.mark.parametrize(("size", "tokens"), [(0, 100), (4000, 7), (10, 0)])
def test_prompts_that_say_nothing_are_not_learnt_from(size: int, tokens: int) -> None:
    estimates = ModelEstimates()
    estimates.prompt_measured(size, tokens)
    assert estimates.bytes_per_token == 4.0


@pytest.mark.parametrize(("size", "tokens", "bound"), [(1_000_000, 10, 16.0), (10, 100_000, 0.5)])
def test_bytes_per_token_stay_in_reason_when_reports_do_not(size: int, tokens: int, bound: float) -> None:
    estimates = ModelEstimates()
    for _ in range(1000):
        estimates.prompt_measured(size, tokens)
    assert estimates.bytes_per_token == pytest.approx(bound, rel=0.01)


def test_prompt_without_text_still_has_a_token() -> None:
    assert ModelEstimates().prompt_tokens(0) == 1


def test_output_converges_to_the_mean_of_answers() -> None:
    estimates, rng = ModelEstimates(), Random(2)
    for _ in range(500):
        estimates.output_measured(rng.randrange(20, 60))
    assert estimates.expected_output_tokens(None) == pytest.approx(40, abs=6)


def test_output_is_never_expected_beyond_what_the_client_allows() -> None:
    estimates = ModelEstimates()
    assert estimates.expected_output_tokens(5) == 5
    assert estimates.expected_output_tokens(100_000) == estimates.expected_output_tokens(None)


@pytest.mark.parametrize("slope", [0.0, 0.0002, 0.002, 0.01])
def test_crowding_converges_to_the_slope_of_a_line_with_noise(slope: float) -> None:
    estimates, rng = ModelEstimates(), Random(3)
    for _ in range(600):
        running = rng.randrange(1, 64)
        estimates.inter_token_measured(running, 0.02 + slope * running + rng.gauss(0, 0.0005))
    assert estimates.crowding_per_token_s == pytest.approx(slope, rel=0.1, abs=0.0001)
    assert estimates.crowding_per_token_s == pytest.approx(slope, rel=0.1, abs=0.0001)


def test_crowding_is_not_learnt_from_one_load_alone() -> None:
    estimates, rng = ModelEstimates(), Random(4)
    before = estimates.crowding_per_token_s
    for _ in range(500):
        estimates.inter_token_measured(8, rng.uniform(0.01, 0.1))
    assert estimates.crowding_per_token_s == before


def test_crowding_is_never_a_gain() -> None:
    estimates, rng = ModelEstimates(), Random(5)
    for _ in range(500):
        running = rng.randrange(1, 64)
        estimates.inter_token_measured(running, 1.0 - 0.01 * running)
    assert estimates.crowding_per_token_s == pytest.approx(0, abs=1e-6)


def test_crowding_follows_when_the_engine_changes() -> None:
    estimates, rng = ModelEstimates(), Random(6)
    for slope in (0.01, 0.001):
        for _ in range(600):
            running = rng.randrange(1, 64)
            estimates.inter_token_measured(running, 0.02 + slope * running)
    assert estimates.crowding_per_token_s == pytest.approx(0.001, rel=0.05)
