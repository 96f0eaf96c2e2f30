"""What was going on in the last 24 hours: points of ten seconds and of a minute, and how they are made. PURE.

A look at what routers, replicas and hosts tell becomes a point; points of neighbouring times merge into one of both.
Counts add up, states are averaged over time. So what is kept for an hour, for a day, and what a chart shows of it, are
all made by the same `merge`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from typing import TypeVar

from msgspec import Struct, structs

from replicas.host_types import HostRecord
from replicas.types import Endpoint
from router.histogram import Counts, added, grown
from router.types import ModelTotals, RouterReport

Kind = TypeVar("Kind")


def history_key(ring: str) -> str:
    """Key of a list of `Point`s, oldest first. Writer: the orchestrator."""
    return f"roundhouse:history:{ring}"


MOST_SERIES = 200
"""Of models, of replicas and of hosts in one point; further ones are left out, so that its size is bounded."""


class Ring(Struct, frozen=True):
    """Points of one length, the newest of which are kept."""

    name: str
    step_s: int
    points: int


FINE = Ring("fine", 10, 360)
COARSE = Ring("coarse", 60, 1440)
WINDOWS: Mapping[str, tuple[Ring, int]] = {"1h": (FINE, 10), "6h": (COARSE, 60), "24h": (COARSE, 240)}
"""The ring to read and the length of a chart's points in seconds: 360 of them each time."""


class ModelPoint(Struct, frozen=True, array_like=True):
    """One model for the length of a point."""

    requests: int = 0
    errors: int = 0
    refusals: int = 0
    prompt_tokens: int = 0
    generated_tokens: int = 0
    in_flight: float = 0.0
    """On average."""
    queued: int = 0
    """At most."""
    first_token_s: Counts = ()
    queue_s: Counts = ()


class ReplicaPoint(Struct, frozen=True, array_like=True):
    deployment: str
    running: float = 0.0
    waiting: float = 0.0
    kv_usage: float = 0.0
    """0 to 1."""


class HostPoint(Struct, frozen=True, array_like=True):
    gpu_usage: float | None = None
    """Mean over its GPUs, 0 to 1; None where no driver tells."""
    gpu_used_bytes: float = 0.0
    gpu_memory_bytes: float = 0.0
    disk_free_bytes: float = 0.0


class Point(Struct, frozen=True, array_like=True):
    """Everything from `at` (Unix seconds) for `span_s` seconds, of which nothing need be missing."""

    at: float
    span_s: float
    models: dict[str, ModelPoint] = {}
    replicas: dict[str, ReplicaPoint] = {}
    hosts: dict[str, HostPoint] = {}


Seen = Mapping[str, Mapping[str, ModelTotals]]
"""Totals by router and model, as they were at the last look."""


def look(
    before: Seen | None,
    reports: Iterable[RouterReport],
    endpoints: Iterable[Endpoint],
    hosts: Iterable[HostRecord],
    *,
    at: float,
    span_s: float,
) -> tuple[Point, Seen]:
    """The point of the time since the last look, and what the next one needs.

    `before` None: the first look, at which nobody knows when it was that totals grew. A router that was not there at
    the last look has begun since.
    """
    known = list(reports)
    models: dict[str, ModelPoint] = {}
    for report in known:
        earlier = report.totals if before is None else before.get(report.router_id, {})
        for name in {*report.models, *report.totals}:
            part = _of_router(report, name, earlier.get(name, ModelTotals()))
            models[name] = _both(models[name], part) if name in models else part
    point = Point(
        at=at,
        span_s=span_s,
        models=_bounded(models),
        replicas=_bounded({each.replica_id: _of_replica(each) for each in endpoints}),
        hosts=_bounded({each.address: _of_host(each) for each in hosts}),
    )
    return point, {report.router_id: report.totals for report in known}


def merge(points: Sequence[Point], *, at: float | None = None) -> Point:
    """One point of several, in the order of time, at least one. `at`: where it shall begin, if not where they do."""
    begin = points[0].at if at is None else at
    if len(points) == 1:
        return structs.replace(points[0], at=begin)
    return Point(
        at=begin,
        span_s=sum(point.span_s for point in points),
        models={name: _merged_model(found) for name, found in _by_name(points, lambda each: each.models)},
        replicas={name: _averaged(found) for name, found in _by_name(points, lambda each: each.replicas)},
        hosts={name: _averaged(found) for name, found in _by_name(points, lambda each: each.hosts)},
    )


def fold(points: Iterable[Point], step_s: int) -> list[Point]:
    """Points of `step_s` seconds, aligned to it, of those that lie in each, in the order of time."""
    ordered = sorted(points, key=lambda point: point.at)
    groups = groupby(ordered, key=lambda point: point.at // step_s * step_s)
    return [merge(list(group), at=at) for at, group in groups]


def total(models: Iterable[ModelPoint]) -> ModelPoint:
    """All models at the same time as one."""
    found = ModelPoint()
    for each in models:
        found = _both(found, each)
    return found


def _of_router(report: RouterReport, name: str, before: ModelTotals) -> ModelPoint:
    now, load = report.totals.get(name, before), report.models.get(name)
    if now.requests < before.requests:
        before = ModelTotals()
    return ModelPoint(
        requests=now.requests - before.requests,
        errors=max(0, now.errors - before.errors),
        refusals=max(0, now.refusals - before.refusals),
        prompt_tokens=max(0, now.prompt_tokens - before.prompt_tokens),
        generated_tokens=max(0, now.generated_tokens - before.generated_tokens),
        in_flight=load.in_flight if load else 0.0,
        queued=load.queued if load else 0,
        first_token_s=_trimmed(grown(before.first_token_s, now.first_token_s)),
        queue_s=_trimmed(grown(before.queue_s, now.queue_s)),
    )


def _of_replica(endpoint: Endpoint) -> ReplicaPoint:
    load = endpoint.load
    return ReplicaPoint(endpoint.deployment, load.running, load.waiting, load.kv_usage)


def _of_host(host: HostRecord) -> HostPoint:
    usages = [gpu.usage for gpu in host.gpus if gpu.usage is not None]
    return HostPoint(
        gpu_usage=sum(usages) / len(usages) if usages else None,
        gpu_used_bytes=sum(gpu.memory_bytes - gpu.free_bytes for gpu in host.gpus),
        gpu_memory_bytes=sum(gpu.memory_bytes for gpu in host.gpus),
        disk_free_bytes=host.disk_free_bytes,
    )


def _both(one: ModelPoint, other: ModelPoint) -> ModelPoint:
    """Of the same time: what waits adds up too."""
    return ModelPoint(
        requests=one.requests + other.requests,
        errors=one.errors + other.errors,
        refusals=one.refusals + other.refusals,
        prompt_tokens=one.prompt_tokens + other.prompt_tokens,
        generated_tokens=one.generated_tokens + other.generated_tokens,
        in_flight=one.in_flight + other.in_flight,
        queued=one.queued + other.queued,
        first_token_s=added(one.first_token_s, other.first_token_s),
        queue_s=added(one.queue_s, other.queue_s),
    )


def _merged_model(found: Sequence[tuple[float, ModelPoint]]) -> ModelPoint:
    """Of one time after the other; each with its length in seconds."""
    merged = total(point for _, point in found)
    return structs.replace(
        merged,
        in_flight=_mean([(span_s, point.in_flight) for span_s, point in found]),
        queued=max(point.queued for _, point in found),
    )


Averaged = TypeVar("Averaged", ReplicaPoint, HostPoint)


def _averaged(found: Sequence[tuple[float, Averaged]]) -> Averaged:
    """The mean of every figure over the time that it was known."""
    last = found[-1][1]
    figures = {}
    for name in last.__struct_fields__:
        values = [(span_s, getattr(point, name)) for span_s, point in found]
        known = [(span_s, value) for span_s, value in values if isinstance(value, int | float)]
        figures[name] = _mean(known) if known else getattr(last, name)
    return structs.replace(last, **figures)


def _mean(values: Sequence[tuple[float, float]]) -> float:
    weight = sum(span_s for span_s, _ in values)
    return sum(span_s * value for span_s, value in values) / weight if weight else values[-1][1]


def _by_name(
    points: Iterable[Point], of: Callable[[Point], Mapping[str, Kind]]
) -> Iterable[tuple[str, list[tuple[float, Kind]]]]:
    found: dict[str, list[tuple[float, Kind]]] = {}
    for point in points:
        for name, figures in of(point).items():
            found.setdefault(name, []).append((point.span_s, figures))
    return found.items()


def _bounded(series: Mapping[str, Kind]) -> dict[str, Kind]:
    return dict(sorted(series.items())[:MOST_SERIES])


def _trimmed(counts: Counts) -> Counts:
    """Without the empty buckets at its end."""
    end = len(counts)
    while end and not counts[end - 1]:
        end -= 1
    return counts[:end]
