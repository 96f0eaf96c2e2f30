"""Windows by cron, and settings that cannot be."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from orchestrator.errors import InvalidRequestError
from orchestrator.scaling.schedules import check_settings, parse_schedule, scheduled_minimum
from orchestrator.scaling.types import ScalingSettings, Schedule


def at(text: str, zone: str = "UTC") -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


OFFICE = parse_schedule("0 8 * * 1-5 Asia/Shanghai for 10h: 2")


def test_schedule_is_read_from_one_line() -> None:
    assert parse_schedule(" 0  8 * * 1-5 for 1.5h : 3") == Schedule(cron="0 8 * * 1-5", duration_s=5400, min_replicas=3)
    assert OFFICE.time_zone == "Asia/Shanghai"


@pytest.mark.parametrize(
    ("moment", "least"),
    [
        ("2026-11-23T07:59:59", 0),  # a Monday
        ("2026-11-23T08:00:00", 2),
        ("2026-11-23T17:59:59", 2),
        ("2026-11-23T18:00:00", 0),
        ("2026-11-28T12:00:00", 0),
    ],
)
def test_window_is_open_from_its_first_second_to_its_last(moment: str, least: int) -> None:
    assert scheduled_minimum([OFFICE], at(moment, "Asia/Shanghai")) == least


def test_largest_of_several_open_windows_counts() -> None:
    always = Schedule(cron="* * * * *", duration_s=60, min_replicas=1)
    assert scheduled_minimum([always, OFFICE], at("2026-11-23T12:00:00", "Asia/Shanghai")) == 2
    assert scheduled_minimum([always, OFFICE], at("2026-11-28T12:00:00", "Asia/Shanghai")) == 1
    assert scheduled_minimum([], 0.0) == 0


def test_window_follows_the_clock_of_its_zone_when_that_changes() -> None:
    night = Schedule(cron="0 1 * * *", duration_s=3 * 3600, min_replicas=1, time_zone="Europe/Berlin")
    begins = at("2026-03-29T01:00:00", "Europe/Berlin")
    assert [scheduled_minimum([night], begins + hours * 3600) for hours in (0, 2.9, 3.1)] == [1, 1, 0]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is not a schedule"),
        ("0 8 * * 1-5: 2", "is not a schedule"),
        ("61 8 * * * for 1h: 2", "does not say when"),
        ("0 8 * * * Mars/Olympus for 1h: 2", "not a time zone"),
        ("0 8 * * * ../etc/passwd for 1h: 2", "is not a schedule"),
        ("0 8 * * * for 0h: 2", "more than 0 s"),
        ("0 8 * * * for 1h: 0", "at least 1 replica"),
    ],
)
def test_schedule_that_cannot_be_is_refused_with_what_is_wrong(text: str, says: str) -> None:
    with pytest.raises(InvalidRequestError, match=says):
        parse_schedule(text)


@pytest.mark.parametrize(
    "settings",
    [
        ScalingSettings(min_replicas=3, max_replicas=2),
        ScalingSettings(min_replicas=-1),
        ScalingSettings(target_wait_s=0),
        ScalingSettings(idle_timeout_s=-1),
        ScalingSettings(weight=0),
        ScalingSettings(max_replicas=1, schedules=(OFFICE,)),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings: ScalingSettings) -> None:
    with pytest.raises(InvalidRequestError):
        check_settings(settings)


def test_settings_that_can_be_are_taken() -> None:
    check_settings(ScalingSettings(min_replicas=0, max_replicas=3, target_wait_s=2, schedules=(OFFICE,)))
