"""Points of the past, merged and folded."""

from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.history import MOST_SERIES, HostPoint, ModelPoint, Point, ReplicaPoint, fold, look, merge
from replicas.host_types import Gpu, HostRecord
from router.types import ModelLoad, ModelTotals, RouterReport

counts = st.lists(st.integers(0, 50), max_size=4).map(tuple)
whole = st.integers(0, 10_000)
models = st.builds(
    ModelPoint, requests=whole, generated_tokens=whole, queued=whole, first_token_s=counts, queue_s=counts
)
replicas = st.builds(ReplicaPoint, st.just("d"), running=whole.map(float), kv_usage=st.floats(0, 1))
hosts = st.builds(HostPoint, st.none() | st.floats(0, 1))


def points(**parts: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Point]]:
    """Some of different times, with `parts` of them drawn and the rest empty: a test draws what it looks at."""
    times = st.integers(0, 3000).map(lambda each: each * 2.0)
    one = st.builds(Point, at=times, span_s=st.just(2.0), **parts)
    return st.lists(one, unique_by=lambda point: point.at, max_size=15)


of_models = points(models=st.dictionaries(st.sampled_from("ab"), models))
of_replicas = points(
    replicas=st.dictionaries(st.sampled_from("rs"), replicas), hosts=st.dictionaries(st.just("h"), hosts)
)


def report(totals: ModelTotals, *, router: str = "r", load: ModelLoad | None = None) -> RouterReport:
    return RouterReport(router_id=router, at=0, models={"m": load} if load else {}, totals={"m": totals})


@given(of_models)
def test_folding_loses_no_request_and_no_measurement(some: list[Point]) -> None:
    folded = fold(some, 60)
    reads: tuple[Callable[[ModelPoint], float], ...] = (
        lambda each: each.requests,
        lambda each: each.generated_tokens,
        lambda each: sum(each.first_token_s),
        lambda each: sum(each.queue_s),
    )
    for read in reads:
        before = sum(read(each) for point in some for each in point.models.values())
        assert sum(read(each) for point in folded for each in point.models.values()) == before


@given(points())
def test_folded_points_are_aligned_and_in_order(some: list[Point]) -> None:
    times = [point.at for point in fold(some, 60)]
    assert times == sorted(set(times))
    assert all(at % 60 == 0 for at in times)
    assert sum(point.span_s for point in fold(some, 60)) == sum(point.span_s for point in some)


@given(of_models)
def test_folding_by_steps_gives_what_folding_at_once_gives(some: list[Point]) -> None:
    by_steps, at_once = fold(fold(some, 10), 60), fold(some, 60)
    for one, other in zip(by_steps, at_once, strict=True):
        assert (one.at, one.span_s, one.models.keys()) == (other.at, other.span_s, other.models.keys())
        for name, model in one.models.items():
            same = other.models[name]
            assert (model.requests, model.queued) == (same.requests, same.queued)
            assert sum(model.queue_s) == sum(same.queue_s)


@given(of_replicas.filter(bool))
def test_averages_stay_between_the_least_and_the_most(some: list[Point]) -> None:
    merged = merge(some)
    for name, replica in merged.replicas.items():
        usages = [point.replicas[name].kv_usage for point in some if name in point.replicas]
        assert min(usages) - 1e-9 <= replica.kv_usage <= max(usages) + 1e-9


def test_longer_points_weigh_more() -> None:
    short = Point(at=0, span_s=10, replicas={"r": ReplicaPoint("d", running=4)})
    long = Point(at=10, span_s=30, replicas={"r": ReplicaPoint("d", running=8)})
    assert merge([short, long]).replicas["r"].running == 7


def test_use_of_a_gpu_counts_for_the_time_that_it_was_known() -> None:
    unknown = Point(at=0, span_s=10, hosts={"h": HostPoint(None)})
    known = Point(at=10, span_s=10, hosts={"h": HostPoint(0.5)})
    assert merge([unknown, known]).hosts["h"].gpu_usage == 0.5
    assert merge([unknown]).hosts["h"].gpu_usage is None


def test_first_look_counts_nothing_that_was_before() -> None:
    point, _ = look(None, [report(ModelTotals(requests=900))], [], [], at=0, span_s=2)
    assert point.models["m"].requests == 0


def test_look_counts_what_came_since_the_last_one() -> None:
    _, seen = look(None, [report(ModelTotals(requests=900, first_token_s=(0, 5)))], [], [], at=0, span_s=2)
    after = report(ModelTotals(requests=903, first_token_s=(0, 6, 2)), load=ModelLoad(queued=4, in_flight=2))
    point, _ = look(seen, [after], [], [], at=2, span_s=2)
    assert point.models["m"] == ModelPoint(requests=3, in_flight=2, queued=4, first_token_s=(0, 1, 2))


def test_router_that_came_since_counts_from_its_start() -> None:
    _, seen = look(None, [], [], [], at=0, span_s=2)
    new = [report(ModelTotals(requests=3), router="new"), report(ModelTotals(requests=4), router="other")]
    point, _ = look(seen, new, [], [], at=2, span_s=2)
    assert point.models["m"].requests == 7


def test_hosts_gpus_are_one() -> None:
    gpus = (
        Gpu(index=0, name="g", memory_bytes=100, free_bytes=20, driver="", usage=0.2),
        Gpu(index=1, name="g", memory_bytes=100, free_bytes=60, driver="", usage=0.6),
    )
    host = HostRecord(
        address="h", port=1, token="", hostname="h", folder="", gpus=gpus, disk_free_bytes=7, started_at=0
    )
    point, _ = look(None, [], [], [host], at=0, span_s=2)
    assert point.hosts["h"] == HostPoint(0.4, 120, 200, 7)


def test_point_has_no_more_series_than_are_kept() -> None:
    totals = {f"m{number}": ModelTotals() for number in range(MOST_SERIES + 50)}
    point, _ = look(None, [RouterReport(router_id="r", at=0, models={}, totals=totals)], [], [], at=0, span_s=2)
    assert len(point.models) == MOST_SERIES
