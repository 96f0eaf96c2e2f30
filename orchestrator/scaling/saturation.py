"""How fast full replicas really work. PURE.

While requests wait all along, every replica is as full as it gets, and the requests that end show what it can do,
whatever the rates say. Measured from the moment at which all that ran at the beginning has been replaced by others.
"""

from msgspec.structs import replace

from orchestrator.scaling.capacity import Capacity
from orchestrator.scaling.types import Saturation

MEASURED_OVER_S = 15.0
_LEAST_ANSWERS = 10
_SMOOTHING = 0.3
_RANGE = (0.4, 2.5)


def corrected(
    saturation: Saturation | None,
    correction: float,
    *,
    queued: int,
    ready: int,
    answers: float,
    capacity: Capacity,
    now: float,
) -> tuple[Saturation | None, float]:
    """The saturation that goes on, if there is one, and how much longer work takes than the rates say.

    `capacity` is as corrected before; `answers` ended since the last call.
    """
    if not queued or not ready:
        return None, correction
    if saturation is None or saturation.ready != ready:
        return Saturation(ready=ready, since=now, measured_from=now + capacity.turnover_s), correction
    if now <= saturation.measured_from:
        return saturation, correction
    saturation = replace(saturation, answers=saturation.answers + answers)
    measured_s = now - saturation.measured_from
    if measured_s < MEASURED_OVER_S or saturation.answers < _LEAST_ANSWERS:
        return saturation, correction
    worked = saturation.answers * capacity.request_s / (ready * measured_s)
    # `worked` is 1 where the correction is right: half as much work done means that it takes twice as long.
    correction *= (1 / worked) ** _SMOOTHING
    return replace(saturation, measured_from=now, answers=0.0), min(max(correction, _RANGE[0]), _RANGE[1])
