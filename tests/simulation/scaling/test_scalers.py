"""What we are compared with is what it says, and what is counted is counted right."""

from types import SimpleNamespace

import pytest
from ray.serve.autoscaling_policy import _apply_delay_logic, _core_replica_queue_length_policy
from ray.serve.config import AutoscalingConfig

from tests.simulation.scaling.metrics import covered_s, reversals
from tests.simulation.scaling.scalers import RaySettings, _RayState

SETTINGS = RaySettings(target_ongoing_requests=4, upscale_delay_s=5, downscale_delay_s=9)


def test_ray_formula_is_that_of_the_installed_ray() -> None:
    config = AutoscalingConfig(
        min_replicas=1, max_replicas=50, target_ongoing_requests=4, upscale_delay_s=5, downscale_delay_s=9
    )
    ours, target, state = _RayState(SETTINGS, 3), 3, dict[str, object]()
    requests = [0, 9, 40, 40, 41, 38, 40, 40, 40, 3, 3, 80, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 200, 0] * 4
    for now, count in enumerate(requests):
        context = SimpleNamespace(current_num_replicas=target, config=config, total_num_requests=count)
        desired = -int(-_core_replica_queue_length_policy(context)[0] // 1)
        theirs, state = _apply_delay_logic(desired, target, config, state, _now=float(now))
        assert ours.delayed(-(-count // 4), float(now)) == theirs
        target = ours.target = max(1, theirs)


@pytest.mark.parametrize(("targets", "count"), [([1, 2, 3], 0), ([1, 3, 2], 1), ([2, 1, 1, 2, 1], 2), ([], 0)])
def test_reversals_are_changes_of_direction(targets: list[int], count: int) -> None:
    assert reversals(targets) == count


def test_time_in_which_several_wait_counts_once() -> None:
    assert covered_s([(5, 7), (0, 2), (1, 4), (6, 6.5)]) == 6
