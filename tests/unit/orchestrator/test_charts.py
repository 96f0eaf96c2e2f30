"""Charts are drawn beside the event loop, once for each step, of what is asked for alone."""

import asyncio
import json
import threading
from typing import Any, cast

import pytest

from orchestrator.api.history_schemas import WindowName
from orchestrator.charts import Charts
from orchestrator.history import HostPoint, ModelPoint, Point, ReplicaPoint, Ring
from orchestrator.history_series import history_view, replica_views

START = 1_000_800.0
NEVER_FOLDED = cast(dict[str, Any], {"name": "folding this raises"})


class House:
    """A clock, and points of which it is known how often they were folded, and by which thread."""

    def __init__(self) -> None:
        self.now = START
        self.threads: list[int] = []
        self.charts = Charts(self.points, lambda: self.now)

    def points(self, ring: Ring) -> list[Point]:
        threads = self.threads

        class Watched(list[Point]):
            def __iter__(self) -> Any:
                threads.append(threading.get_ident())
                return super().__iter__()

        models = {"chat": ModelPoint(requests=60)}
        point = Point(START - ring.step_s, ring.step_s, models, {"r": ReplicaPoint("chat", 2.0)}, {"h": HostPoint(0.5)})
        return Watched([point])


async def test_charts_are_folded_on_a_thread_and_not_by_the_event_loop() -> None:
    house = House()
    assert json.loads(await house.charts.history("6h"))["models"][0]["requests_per_s"][-2:] == [1.0, None]
    assert json.loads(await house.charts.replicas("6h"))[0]["running"][-2:] == [2.0, None]
    assert len(house.threads) == 2
    assert threading.get_ident() not in house.threads


@pytest.mark.parametrize(("window", "step_s"), [("1h", 10), ("6h", 60), ("24h", 60)])
async def test_chart_is_folded_once_for_a_step_of_its_ring_however_many_ask(window: WindowName, step_s: int) -> None:
    house = House()
    first = await asyncio.gather(*(house.charts.history(window) for _ in range(5)))
    house.now += step_s - 1
    assert {*first, await house.charts.history(window)} == {first[0]}
    assert len(house.threads) == 1
    house.now += 1
    await house.charts.history(window)
    assert len(house.threads) == 2


def test_folding_of_traffic_leaves_the_replicas_alone_and_the_other_way_round() -> None:
    hosts, models = {"h": HostPoint(0.5)}, {"chat": ModelPoint(requests=60)}
    traffic = [Point(START - at, 10, models, NEVER_FOLDED, hosts) for at in (60, 50)]
    assert history_view(traffic, "6h", 60, START).models[0].requests_per_s[-2] == 6.0
    load = [Point(START - at, 10, NEVER_FOLDED, {"r": ReplicaPoint("chat", 2.0)}, NEVER_FOLDED) for at in (60, 50)]
    assert replica_views(load, 60, START)[0].running[-2] == 2.0
