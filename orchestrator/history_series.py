"""Points of the past as the columns that charts draw. PURE."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TypeVar

from msgspec import structs

from orchestrator.api.history_schemas import HistoryView, HostSeriesView, ModelSeriesView, ReplicaSeriesView, WindowName
from orchestrator.history import FINE, HostPoint, ModelPoint, Point, ReplicaPoint, fold, total
from router.histogram import SECONDS, quantile

Kind = TypeVar("Kind")
Column = list[float | None]
_STEPS = 360
_NO_TRAFFIC = ModelPoint()


def history_view(points: Iterable[Point], window: WindowName, step_s: int, now: float) -> HistoryView:
    """The last `_STEPS` steps until `now` (Unix seconds). Where nothing was recorded there is None, and a gap."""
    times, steps = _grid((structs.replace(each, replicas={}) for each in points), step_s, now)
    names = sorted({name for step in steps if step for name in step.models})
    hosts = sorted({name for step in steps if step for name in step.hosts})
    return HistoryView(
        window=window,
        step_s=step_s,
        at=times,
        total=_model("", _of_each(steps, lambda step: (total(step.models.values()), step.span_s))),
        models=[_model(name, _of_each(steps, partial(_traffic_of, name))) for name in names],
        hosts=[_host(name, _of_each(steps, partial(_host_of, name))) for name in hosts],
    )


def replica_views(points: Iterable[Point], step_s: int, now: float) -> list[ReplicaSeriesView]:
    """The replicas that there were in the last `_STEPS` steps; times as in `history_view`."""
    _, steps = _grid((structs.replace(each, models={}, hosts={}) for each in points), step_s, now)
    deployments = {name: each.deployment for step in steps if step for name, each in step.replicas.items()}
    return [
        _replica(name, deployment, _of_each(steps, partial(_replica_of, name)))
        for name, deployment in sorted(deployments.items())
    ]


def _grid(points: Iterable[Point], step_s: int, now: float) -> tuple[list[float], list[Point | None]]:
    last = now // step_s * step_s
    if step_s == FINE.step_s:
        last -= step_s  # of one that has not ended, the figures would jump
    times = [last - step_s * back for back in reversed(range(_STEPS))]
    folded: Mapping[float, Point] = {
        point.at: point for point in fold((each for each in points if each.at >= times[0]), step_s)
    }
    return times, [folded.get(at) for at in times]


_Measured = tuple[ModelPoint, float]
"""And the seconds in which it was measured."""


def _traffic_of(name: str, step: Point) -> _Measured:
    return step.models.get(name, _NO_TRAFFIC), step.span_s


def _host_of(address: str, step: Point) -> HostPoint | None:
    return step.hosts.get(address)


def _replica_of(replica_id: str, step: Point) -> ReplicaPoint | None:
    return step.replicas.get(replica_id)


def _of_each(steps: Sequence[Point | None], of: Callable[[Point], Kind | None]) -> list[Kind | None]:
    return [None if step is None else of(step) for step in steps]


def _model(name: str, series: Sequence[_Measured | None]) -> ModelSeriesView:
    def rate(of: Callable[[ModelPoint], int]) -> Column:
        return _column(series, lambda each: of(each[0]) / max(each[1], 1e-3), 3)

    return ModelSeriesView(
        name=name,
        requests_per_s=rate(lambda each: each.requests),
        errors_per_s=rate(lambda each: each.errors),
        refusals_per_s=rate(lambda each: each.refusals),
        prompt_tokens_per_s=rate(lambda each: each.prompt_tokens),
        generated_tokens_per_s=rate(lambda each: each.generated_tokens),
        in_flight=_column(series, lambda each: each[0].in_flight, 2),
        queued=_column(series, lambda each: each[0].queued, 0),
        first_token_p50_s=_column(series, lambda each: quantile(each[0].first_token_s, 0.5), 4),
        first_token_p99_s=_column(series, lambda each: quantile(each[0].first_token_s, 0.99), 4),
        queue_p50_s=_column(series, lambda each: _wait(each[0], 0.5), 4),
        queue_p99_s=_column(series, lambda each: _wait(each[0], 0.99), 4),
    )


def _wait(point: ModelPoint, share: float) -> float | None:
    """Whoever finds room at once has a wait of 0, and is in the first bucket with the shortest waits."""
    seconds = quantile(point.queue_s, share)
    return 0.0 if seconds is not None and seconds <= SECONDS[0] else seconds


def _replica(replica_id: str, deployment: str, series: Sequence[ReplicaPoint | None]) -> ReplicaSeriesView:
    return ReplicaSeriesView(
        id=replica_id,
        deployment=deployment,
        running=_column(series, lambda each: each.running, 1),
        kv_usage=_column(series, lambda each: each.kv_usage, 4),
    )


def _host(address: str, series: Sequence[HostPoint | None]) -> HostSeriesView:
    return HostSeriesView(
        address=address,
        gpu_usage=_column(series, lambda each: each.gpu_usage, 4),
        gpu_used_bytes=_column(series, lambda each: each.gpu_used_bytes if each.gpu_memory_bytes else None, 0),
        gpu_memory_bytes=_column(series, lambda each: each.gpu_memory_bytes or None, 0),
        disk_free_bytes=_column(series, lambda each: each.disk_free_bytes, 0),
    )


def _column(series: Sequence[Kind | None], of: Callable[[Kind], float | None], digits: int) -> Column:
    values = [None if each is None else of(each) for each in series]
    return [None if value is None else round(value, digits) for value in values]
