"""What full replicas show of how fast they are."""

import pytest

from orchestrator.scaling.capacity import Capacity
from orchestrator.scaling.saturation import corrected
from orchestrator.scaling.types import Saturation

CAPACITY = Capacity(request_s=0.4, prompt_token_s=0.0, prompt_s=0.0, batch=50, target_wait_s=2)


def run(real_request_s: float, seconds: int, queued: int = 5) -> float:
    """The correction after so long before two full replicas."""
    saturation: Saturation | None = None
    correction, owed = 1.0, 0.0
    for now in range(seconds):
        owed += 2 / real_request_s
        capacity = Capacity(request_s=0.4 * correction, prompt_token_s=0, prompt_s=0, batch=50, target_wait_s=2)
        saturation, correction = corrected(
            saturation, correction, queued=queued, ready=2, answers=owed, capacity=capacity, now=float(now)
        )
        owed = 0.0
    return correction


@pytest.mark.parametrize(("real_request_s", "factor"), [(0.4, 1.0), (0.6, 1.5), (0.2, 0.5)])
def test_correction_comes_to_what_is_really_worked(real_request_s: float, factor: float) -> None:
    assert run(real_request_s, 400) == pytest.approx(factor, rel=0.05)


def test_nothing_is_learnt_while_nothing_waits_or_in_the_first_turnover() -> None:
    assert run(0.6, 400, queued=0) == 1.0
    assert run(0.6, int(CAPACITY.turnover_s)) == 1.0
