"""How forecasts that were wrong are remembered."""

from collections.abc import Callable

import pytest

from orchestrator.scaling.demand import observe
from orchestrator.scaling.surprise import SURPRISES, room_for, watched
from orchestrator.scaling.types import DemandMemory, LoadSample, Surprise

COLD_START_S = 40.0


def after(seconds: int, rate: Callable[[int], int], foretold: Callable[[int], float]) -> Surprise:
    """Requests at `rate`, with `foretold` said each second of what comes a cold start later."""
    surprise, demand, total = Surprise(), DemandMemory(), 0
    for now in range(seconds):
        total += rate(now)
        demand, _ = observe(demand, [LoadSample(router_id="r", at=float(now), arrivals_total=total)], float(now))
        surprise = watched(surprise, demand, foretold(now), COLD_START_S, float(now))
    return surprise


@pytest.mark.parametrize("rate", [lambda at: 5, lambda at: at // 20, lambda at: 5 if at < 300 else 1])
def test_a_load_that_comes_as_foretold_or_falls_needs_no_room(rate: Callable[[int], int]) -> None:
    assert room_for(after(600, rate, lambda at: max(rate(at), rate(at + int(COLD_START_S))) + 1)) == 0


def test_a_jump_is_remembered_by_its_size_and_how_long_it_was_not_foreseen() -> None:
    jumped = after(1000, lambda at: 2 if at < 500 else 12, lambda at: 2.0 if at < 500 else 12.0)
    # Less than in full: what came is counted over some seconds, with doubt.
    in_full = SURPRISES * 10 * (COLD_START_S / 960) ** 0.5
    assert 0.5 * in_full < room_for(jumped) < in_full


def test_a_jump_is_forgotten_after_some_hours() -> None:
    def room_after(seconds: int) -> float:
        return room_for(after(seconds, lambda at: 2 if at < 100 else 12, lambda at: 2.0 if at < 100 else 12.0))

    assert room_after(3 * 3600) < 0.6 * room_after(3600)


def test_forecasts_are_kept_for_a_cold_start_only() -> None:
    assert len(after(600, lambda at: 3, lambda at: 3.0).forecasts) <= COLD_START_S / 5 + 2
