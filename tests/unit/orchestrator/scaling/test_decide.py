"""Rules of `decide`, each in the situation that it is for."""

from math import inf

import msgspec
import pytest

from orchestrator.scaling.decide import idle_timeout_s
from orchestrator.scaling.types import Cause, Override, ScalingMemory, ScalingSettings, Schedule
from tests.unit.orchestrator.scaling.builders import FROM_ZERO, UP_TO_6, Deployment


def test_target_goes_up_in_one_step_to_what_demand_and_backlog_need() -> None:
    house = Deployment(UP_TO_6)
    house.seconds(60, 1, in_flight=5)
    decision = house.second(90, queued=60, in_flight=50)
    assert decision.target >= 3, decision
    assert "would wait" in decision.reason
    assert decision.cause is Cause.WAITS
    assert decision.values["enough"] >= decision.target
    assert "1 → " in decision.reason


def test_target_stays_when_what_runs_will_have_done_the_backlog_before_a_start_is_over() -> None:
    house = Deployment(UP_TO_6)
    house.seconds(60, 1, in_flight=5)
    assert house.second(3, queued=8, in_flight=50).target == 1


def test_target_wakes_from_zero_for_one_request() -> None:
    house = Deployment(FROM_ZERO, replicas=0)
    assert house.seconds(30).target == 0
    decision = house.second(1, queued=1)
    assert (decision.target, decision.needed) == (1, 1)
    assert decision.reason == "1 request came and nothing runs; 1 replica would do. 0 → 1."
    assert (decision.cause, decision.values) == (Cause.WAKES, {"queued": 1, "enough": 1})


def test_target_wakes_from_zero_in_one_step_for_a_crowd() -> None:
    house = Deployment(FROM_ZERO, replicas=0)
    house.seconds(30)
    assert house.second(200, queued=200).target >= 3


def test_target_goes_down_only_after_the_recent_peak_has_passed() -> None:
    house = Deployment(UP_TO_6, replicas=4)
    house.seconds(120, 9, in_flight=150)
    assert house.targets[-1] >= 4
    house.seconds(60, 1, in_flight=10)
    assert min(house.targets) >= 4, "the peak is 60 s ago"
    house.seconds(240, 1, in_flight=10)
    assert house.targets[-1] == 1
    (step,) = [each for each in house.decisions if each.target < 4 and each.cause is Cause.FEWER][:1]
    assert "The most that was needed in the last" in step.reason
    assert step.values.keys() == {"look_back_s", "need"}


def test_target_does_not_go_down_while_requests_wait() -> None:
    house = Deployment(UP_TO_6, replicas=4)
    assert house.seconds(300, 1, queued=1, in_flight=3).target == 4
    assert house.decisions[-1].reason.startswith("Requests wait")


def test_target_does_not_go_down_before_the_youngest_replica_has_run_for_a_cold_start() -> None:
    house = Deployment(UP_TO_6)
    house.seconds(200, 1, in_flight=5)
    house.seconds(10, 12, queued=60, in_flight=50)
    peak = max(house.targets)
    raised = house.targets.index(peak)
    house.seconds(400, 1, in_flight=5)
    assert peak > 1
    assert house.targets[-1] < peak
    assert min(house.targets[raised : raised + 80]) == peak, "40 s until it is ready, and as long again"


def test_an_orchestrator_that_has_forgotten_everything_keeps_what_there_is_for_a_while() -> None:
    house = Deployment(UP_TO_6, replicas=4)
    house.seconds(75, 1, in_flight=5)
    assert set(house.targets) == {4}
    assert "watched for only" in house.decisions[-1].reason
    assert house.seconds(20, 1, in_flight=5).target == 1


def test_target_sleeps_after_the_idle_timeout_and_not_before() -> None:
    house = Deployment(FROM_ZERO)
    house.seconds(10, 1, in_flight=3)
    house.seconds(158)
    assert house.targets[-1] == 1
    house.seconds(5)
    assert house.targets[-1] == 0
    assert "sleeps" in house.decisions[-1].reason


def test_a_replica_that_was_just_started_is_not_put_to_sleep_before_it_was_there() -> None:
    house = Deployment(FROM_ZERO, replicas=0)
    house.override = Override(replicas=1)
    house.seconds(2)
    house.override = None
    house.seconds(190)
    assert house.targets[-1] == 1, "ready for only 150 s"
    assert house.seconds(20).target == 0


@pytest.mark.parametrize(("cold_start_s", "timeout_s"), [(1, 60), (40, 160), (3600, 1800)])
def test_idle_timeout_follows_the_cold_start_within_bounds(cold_start_s: float, timeout_s: float) -> None:
    assert idle_timeout_s(FROM_ZERO, cold_start_s) == timeout_s
    assert idle_timeout_s(ScalingSettings(idle_timeout_s=7), cold_start_s) == 7


def test_what_has_nothing_to_do_is_wanted_but_not_needed() -> None:
    house = Deployment(FROM_ZERO)
    assert house.seconds(5, 1, in_flight=2).needed == 1
    decision = house.seconds(12)
    assert (decision.target, decision.needed) == (1, 0)


def test_target_is_held_while_no_router_reports() -> None:
    house = Deployment(UP_TO_6, replicas=4)
    house.seconds(120, 9, in_flight=150)
    held = house.targets[-1]
    for _ in range(400):
        house.second(silent=True)
    assert set(house.targets[-370:]) == {held}
    assert house.decisions[-1].reason.startswith("No router reports")


def test_a_number_set_by_hand_holds_until_it_expires() -> None:
    house = Deployment(UP_TO_6)
    house.override = Override(replicas=3, until=100.0)
    assert house.second().target == 3
    assert house.decisions[-1].reason == "Set to 3 replicas by hand for another 100 s."
    assert (house.decisions[-1].cause, house.decisions[-1].values) == (
        Cause.BY_HAND_UNTIL,
        {"replicas": 3, "left_s": 100},
    )
    assert house.seconds(400, 1, in_flight=5).target == 1


def test_a_fixed_number_is_fixed() -> None:
    house = Deployment(ScalingSettings(min_replicas=2, max_replicas=2))
    assert house.seconds(30, 50, queued=500, in_flight=100).target == 2


def test_a_schedule_has_its_replicas_ready_when_its_window_opens() -> None:
    schedule = Schedule(cron="2 0 1 1 *", duration_s=60, min_replicas=3)
    house = Deployment(ScalingSettings(min_replicas=1, max_replicas=6, schedules=(schedule,)))
    house.seconds(80)
    assert house.targets[-1] == 1
    assert house.second().target == 3, "the window opens in 40 s, as long as a start takes"
    assert house.decisions[-1].reason == "A schedule asks for 3 replicas."
    assert (house.decisions[-1].cause, house.decisions[-1].values) == (Cause.SCHEDULE, {"replicas": 3})


@pytest.mark.parametrize("bounds", [(1, 2), (2, 4)])
def test_target_stays_within_its_bounds(bounds: tuple[int, int]) -> None:
    house = Deployment(ScalingSettings(min_replicas=bounds[0], max_replicas=bounds[1]))
    house.seconds(50, 40, queued=900, in_flight=100)
    house.seconds(1000)
    assert (min(house.targets), max(house.targets)) == bounds


def test_memory_survives_as_json() -> None:
    house = Deployment(UP_TO_6)
    house.seconds(100, lambda at: at % 7, in_flight=20)
    assert msgspec.json.decode(msgspec.json.encode(house.memory), type=ScalingMemory) == house.memory
    assert len(msgspec.json.encode(house.memory)) < 20_000


def test_a_replica_that_never_comes_does_not_raise_the_target_without_end() -> None:
    house = Deployment(ScalingSettings(min_replicas=1, max_replicas=1000))
    house.seconds(60, 1, in_flight=5)
    house.second(90, queued=60, in_flight=50)
    asked = house.targets[-1]
    house.replicas = house.replicas[:1]
    house.seconds(20, 1, queued=60, in_flight=50)
    assert house.targets[-1] <= 2 * asked < inf
