"""Properties of `decide` and `allocate` over generated loads, fleets and wishes."""

from collections.abc import Sequence

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from orchestrator.scaling.allocate import allocate, turn_s
from orchestrator.scaling.room import Allocation, GpuNode, PlacedReplica, Wish
from orchestrator.scaling.types import ScalingSettings
from replicas.types import ReplicaState
from tests.unit.orchestrator.scaling.builders import Deployment

NODES = st.lists(st.integers(0, 4), min_size=1, max_size=4).map(
    lambda counts: [GpuNode(id=f"n{at}", gpus=(1.0,) * count) for at, count in enumerate(counts)]
)
NAMES = ("a", "b", "c")
QUICK = settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])


class Cluster:
    """Carries out what is allocated: starts are ready after `cold_start_s`, drains end when nothing is in flight."""

    def __init__(self, nodes: Sequence[GpuNode], wishes: Sequence[Wish]) -> None:
        self.nodes = nodes
        self.wishes = {wish.deployment: wish for wish in wishes}
        self.now = 0.0
        self.drained: list[tuple[float, str]] = []
        self.count = 0

    def step(self, passes_s: float = 1.0) -> Allocation:
        """One round; then time passes."""
        allocation = allocate(tuple(self.wishes.values()), self.nodes, self.now)
        for start in allocation.starts:
            self.count += 1
            new = PlacedReplica(
                replica_id=f"{start.deployment}{self.count}", state=ReplicaState.STARTING,
                node_id=start.place.node_id, gpus=start.place.gpus, started_at=self.now,
            )  # fmt: skip
            self._change(start.deployment, (*self.wishes[start.deployment].replicas, new))
        for drain in allocation.drains:
            self.drained.append((self.now, drain.deployment))
            leaving = tuple(
                replace(each, state=ReplicaState.DRAINING) if each.replica_id == drain.replica_id else each
                for each in self.wishes[drain.deployment].replicas
            )
            self._change(drain.deployment, leaving)
        self.check_gpus()
        self.now += passes_s
        self._age()
        return allocation

    def check_gpus(self) -> None:
        """Nobody has more than there is."""
        for node in self.nodes:
            for index, size in enumerate(node.gpus):
                held = sum(
                    min(wish.gpus_per_replica, 1.0)
                    for wish in self.wishes.values()
                    for each in wish.replicas
                    if each.node_id == node.id and index in each.gpus
                )
                assert held <= size + 1e-6

    def live(self, name: str) -> list[PlacedReplica]:
        """Those that do not drain."""
        return [each for each in self.wishes[name].replicas if each.state is not ReplicaState.DRAINING]

    def _age(self) -> None:
        for name, wish in self.wishes.items():
            aged = []
            for each in wish.replicas:
                if each.state is ReplicaState.STARTING and self.now - each.started_at >= wish.cold_start_s:
                    aged.append(replace(each, state=ReplicaState.READY, ready_at=self.now))
                elif each.state is not ReplicaState.DRAINING:
                    aged.append(each)
            self._change(name, tuple(aged))

    def _change(self, name: str, replicas: tuple[PlacedReplica, ...]) -> None:
        self.wishes[name] = replace(self.wishes[name], replicas=replicas)


@st.composite
def wish_of(draw: st.DrawFn, name: str) -> Wish:
    wanted = draw(st.integers(0, 5))
    return Wish(
        deployment=name,
        wanted=wanted,
        needed=draw(st.integers(0, wanted)),
        min_replicas=draw(st.integers(0, min(wanted, 1))),
        priority=draw(st.integers(0, 2)),
        weight=draw(st.sampled_from([0.5, 1.0, 2.0])),
        gpus_per_replica=draw(st.sampled_from([0.25, 0.5, 1.0, 2.0])),
        spread=draw(st.booleans()),
        cold_start_s=draw(st.sampled_from([5.0, 30.0])),
        waiting_since=draw(st.none() | st.floats(0, 50)),
    )


WISHES = st.tuples(*(wish_of(name) for name in NAMES))


@QUICK
@given(NODES, WISHES, st.integers(1, 60))
def test_gpus_are_never_given_twice(nodes: Sequence[GpuNode], wishes: Sequence[Wish], rounds: int) -> None:
    cluster = Cluster(nodes, wishes)
    for _ in range(rounds):
        cluster.step()


@QUICK
@given(NODES, WISHES)
def test_allocation_converges_and_then_changes_nothing(nodes: Sequence[GpuNode], wishes: Sequence[Wish]) -> None:
    # Without waiters nobody takes turns, and so there is an end.
    cluster = Cluster(nodes, [replace(wish, waiting_since=None) for wish in wishes])
    for _ in range(12):
        cluster.step(61.0)
    last = cluster.step()
    assert not last.starts
    assert not last.drains


@QUICK
@given(NODES, WISHES, WISHES)
def test_wishes_that_change_are_followed_until_nothing_is_left_to_do(
    nodes: Sequence[GpuNode], before: Sequence[Wish], after: Sequence[Wish]
) -> None:
    cluster = Cluster(nodes, before)
    for _ in range(3):
        cluster.step(20.0)
    for wish in after:
        cluster.wishes[wish.deployment] = replace(
            wish, replicas=cluster.wishes[wish.deployment].replicas, waiting_since=None,
            gpus_per_replica=cluster.wishes[wish.deployment].gpus_per_replica,
        )  # fmt: skip
    for _ in range(12):
        cluster.step(61.0)
    last = cluster.step()
    assert (last.starts, last.drains) == ((), ())


@QUICK
@given(NODES, WISHES)
def test_nobody_is_below_its_minimum_while_there_is_room(nodes: Sequence[GpuNode], wishes: Sequence[Wish]) -> None:
    cluster = Cluster(nodes, [replace(wish, gpus_per_replica=1.0, waiting_since=None) for wish in wishes])
    for _ in range(12):
        cluster.step(61.0)
    free = sum(len(node.gpus) for node in nodes) - sum(len(cluster.live(name)) for name in NAMES)
    for name, wish in cluster.wishes.items():
        beyond = any(len(cluster.live(other)) > cluster.wishes[other].min_replicas for other in NAMES if other != name)
        if len(cluster.live(name)) < wish.min_replicas:
            assert not free
            assert not beyond


@QUICK
@given(NODES, WISHES, st.lists(st.integers(0, 20), min_size=8, max_size=8))
def test_nothing_that_runs_is_taken_before_it_was_worth_its_start(
    nodes: Sequence[GpuNode], wishes: Sequence[Wish], in_flight: list[int]
) -> None:
    cluster = Cluster(nodes, wishes)
    for busy in in_flight:
        known = {
            each.replica_id: (wish, each) for wish in cluster.wishes.values() for each in wish.replicas
        }  # fmt: skip
        at = cluster.now
        for drain in cluster.step(7.0 + busy).drains:
            wish, each = known[drain.replica_id]
            if each.ready_at is not None and drain.reason.startswith("Makes room"):
                assert at - each.ready_at >= wish.cold_start_s


@settings(QUICK, max_examples=5)
@given(st.sampled_from([5.0, 17.5, 60.0]), st.integers(2, 3))
def test_models_on_one_gpu_take_turns_and_nobody_starves(cold_start_s: float, models: int) -> None:
    names = NAMES[:models]
    wishes = [Wish(deployment=name, wanted=1, needed=1, cold_start_s=cold_start_s, waiting_since=0.0) for name in names]
    cluster = Cluster([GpuNode(id="n", gpus=(1.0,))], wishes)
    served = dict.fromkeys(names, 0.0)
    horizon_s = 2 * models * (turn_s(wishes[0]) + cold_start_s + 5)
    while cluster.now < horizon_s:
        cluster.step()
        for name in names:
            ready = any(each.state is ReplicaState.READY for each in cluster.live(name))
            served[name] += ready
            waits = cluster.wishes[name].waiting_since
            since = None if ready else cluster.now if waits is None else waits
            cluster.wishes[name] = replace(cluster.wishes[name], waiting_since=since)
    assert len(cluster.drained) <= horizon_s / turn_s(wishes[0]), "it thrashes"
    assert min(served.values()) > 0, "it starves"
    assert sum(served.values()) > 0.5 * cluster.now, "more time goes into starts than into answers"


LOADS = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 200), st.integers(0, 60), st.booleans()), min_size=1, max_size=40
)


@QUICK
@given(LOADS, st.integers(0, 2), st.integers(0, 5))
def test_decisions_stay_within_their_bounds_whatever_is_reported(
    loads: list[tuple[int, int, int, bool]], low: int, more: int
) -> None:
    house = Deployment(ScalingSettings(min_replicas=low, max_replicas=low + more), replicas=low)
    for arrivals, queued, in_flight, silent in loads:
        decision = house.second(arrivals, queued=queued, in_flight=in_flight, silent=silent)
        assert low <= decision.target <= low + more
        assert 0 <= decision.needed <= decision.target
        assert decision.reason.endswith(".")


@settings(QUICK, max_examples=6)
@given(st.integers(0, 12), st.integers(0, 4))
def test_target_comes_to_rest_under_a_steady_load(arrivals: int, replicas: int) -> None:
    house = Deployment(ScalingSettings(min_replicas=0, max_replicas=8), replicas=replicas)
    house.seconds(60, arrivals, in_flight=12 * arrivals, queued=0 if replicas else min(arrivals, 1))
    house.seconds(400, arrivals, in_flight=12 * arrivals)
    assert len(set(house.targets[-150:])) == 1
