"""How wrong forecasts of the load have been. PURE.

What is started now is ready a cold start later, so what is foretold for then is held against what comes then. The room
kept for this is a safety stock, as of goods whose replenishment takes time: so many standard deviations of the error of
forecasts over that time. A load that is calm, or rises as foretold, gets none; one that jumps keeps room for its next.
"""

from math import sqrt

from orchestrator.scaling.demand import arrivals_per_s
from orchestrator.scaling.types import DemandMemory, Surprise

SURPRISES = 2.0
"""Standard deviations of what was not foretold that there is room for."""
REMEMBERED_S = 3600.0
_LEAST_WATCHED_S = 900.0
"""One surprise in the first minutes does not yet make a load one that is full of them."""
_SEEN_S, _DOUBT = 20.0, 2.0
"""Over which what came is counted, less so many standard deviations of chance."""
_SLICE_S = 5.0


def watched(surprise: Surprise, demand: DemandMemory, foretold: float, cold_start_s: float, now: float) -> Surprise:
    """With what came until now against the forecast of a cold start ago. `foretold`, for a cold start from now."""
    if surprise.forecasts and now - surprise.forecasts[-1][0] < _SLICE_S:
        return surprise
    due = [each for each in surprise.forecasts if now - each[0] >= cold_start_s]
    later = surprise.forecasts[max(0, len(due) - 1) :]
    if not due:
        return Surprise(forecasts=(*later, (now, foretold)))
    missing = max(0.0, arrivals_per_s(demand, _SEEN_S, now, doubt=_DOUBT) - due[-1][1])
    watched_s = min(surprise.watched_s + _SLICE_S, REMEMBERED_S)
    share = _SLICE_S / max(watched_s, _LEAST_WATCHED_S)
    keep = 1.0 if watched_s < _LEAST_WATCHED_S else 1.0 - share
    return Surprise(
        forecasts=(*later, (now, foretold)),
        mean_square=surprise.mean_square * keep + share * missing**2,
        watched_s=watched_s,
    )


def room_for(surprise: Surprise) -> float:
    """Requests per second beyond those foretold that there should be room for."""
    return SURPRISES * sqrt(surprise.mean_square)
