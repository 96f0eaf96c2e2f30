"""Windows that come again and again, by cron expressions. PURE."""

import re
from collections.abc import Iterable
from datetime import datetime
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from orchestrator.errors import InvalidRequestError
from orchestrator.scaling.types import ScalingSettings, Schedule
from orchestrator.sentences import Saying, say

_FORM = re.compile(
    r"(?P<cron>\S+( +\S+){4})( +(?P<zone>[A-Za-z]\S*))?"
    r" +for +(?P<count>\d+(\.\d+)?)(?P<unit>[smhd]) *: *(?P<replicas>\d+)"
)
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LONGEST_S = 366 * 86400.0


def parse_schedule(text: str) -> Schedule:
    """Reads `CRON [TIME ZONE] for DURATION: REPLICAS`, as `0 8 * * 1-5 Asia/Shanghai for 10h: 2`.

    Raises `InvalidRequestError`.
    """
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise InvalidRequestError(say(Saying.SCHEDULE_UNREADABLE, text=text))
    schedule = Schedule(
        cron=" ".join(match["cron"].split()),
        duration_s=float(match["count"]) * _UNITS[match["unit"]],
        min_replicas=int(match["replicas"]),
        time_zone=match["zone"] or "UTC",
    )
    check_schedule(schedule)
    return schedule


def check_schedule(schedule: Schedule) -> None:
    """Raises `InvalidRequestError` where it could never be followed."""
    try:
        zone = ZoneInfo(schedule.time_zone)
    except (OSError, ValueError, KeyError) as error:
        raise InvalidRequestError(say(Saying.TIME_ZONE_UNKNOWN, zone=schedule.time_zone)) from error
    try:
        next(CronSim(schedule.cron, datetime(2024, 1, 1, tzinfo=zone)), None)
    except CronSimError as error:
        raise InvalidRequestError(say(Saying.CRON_UNREADABLE, cron=schedule.cron)) from error
    if not 0 < schedule.duration_s <= _LONGEST_S:
        raise InvalidRequestError(say(Saying.WINDOW_LENGTH))
    if schedule.min_replicas < 1:
        raise InvalidRequestError(say(Saying.WINDOW_WITHOUT_REPLICA))


def check_settings(settings: ScalingSettings) -> None:
    """Raises `InvalidRequestError` where settings contradict each other."""
    if not 0 <= settings.min_replicas <= settings.max_replicas:
        raise InvalidRequestError(
            say(Saying.MINIMUM_ABOVE_MAXIMUM, least=settings.min_replicas, most=settings.max_replicas)
        )
    if settings.target_wait_s is not None and settings.target_wait_s <= 0:
        raise InvalidRequestError(say(Saying.TARGET_WAIT_NOT_ABOVE_ZERO))
    if settings.idle_timeout_s is not None and settings.idle_timeout_s < 0:
        raise InvalidRequestError(say(Saying.IDLE_TIMEOUT_BELOW_ZERO))
    if settings.weight <= 0:
        raise InvalidRequestError(say(Saying.WEIGHT_NOT_ABOVE_ZERO))
    for schedule in settings.schedules:
        check_schedule(schedule)
        if schedule.min_replicas > settings.max_replicas:
            asked, most = schedule.min_replicas, settings.max_replicas
            raise InvalidRequestError(say(Saying.SCHEDULE_ABOVE_MAXIMUM, cron=schedule.cron, asked=asked, most=most))


def scheduled_minimum(schedules: Iterable[Schedule], now: float) -> int:
    """The most replicas that a window open at `now` (Unix seconds) asks for; 0 where none is open."""
    return max((schedule.min_replicas for schedule in schedules if _open(schedule, now)), default=0)


def _open(schedule: Schedule, now: float) -> bool:
    # Backwards from a second later, so that a window is open in the second in which it begins.
    moment = datetime.fromtimestamp(int(now) + 1, ZoneInfo(schedule.time_zone))
    began = next(CronSim(schedule.cron, moment, reverse=True), None)
    return began is not None and now < began.timestamp() + schedule.duration_s
