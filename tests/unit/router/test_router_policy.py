"""Choosing a replica."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from replicas.types import ReplicaState
from router.features import RequestFeatures
from router.policy import ReplicaView, choose


def view(
    replica_id: str, in_flight: int = 0, state: ReplicaState = ReplicaState.READY, aside_until: float = 0.0
) -> ReplicaView:
    return ReplicaView(replica_id, "m", "r", state, ("h", 1), b"", b"", None, in_flight, aside_until)


views = st.lists(
    st.builds(
        view,
        st.uuids().map(str),
        st.integers(0, 5),
        st.sampled_from(list(ReplicaState)),
        st.sampled_from([0.0, 5.0, 20.0]),
    ),
    unique_by=lambda replica: replica.replica_id,
    max_size=8,
)


@given(views, st.data())
def test_choice_is_ready_untried_and_least_loaded(replicas: list[ReplicaView], data: st.DataObject) -> None:
    tried = tuple(data.draw(st.sets(st.sampled_from([r.replica_id for r in replicas])) if replicas else st.just(set())))
    request = RequestFeatures("m", tried, 10.0)
    chosen = choose(request, replicas, Random(0)).replica
    able = [r for r in replicas if r.state is ReplicaState.READY and r.replica_id not in tried]
    if not able:
        assert chosen is None
        return
    near = [r for r in able if r.aside_until <= 10.0] or able
    assert chosen in near
    assert chosen.in_flight == min(r.in_flight for r in near)


def test_ties_are_spread() -> None:
    replicas = [view("a"), view("b"), view("c")]
    rng = Random(1)
    chosen = {choose(RequestFeatures("m"), replicas, rng).replica.replica_id for _ in range(100)}  # type: ignore[union-attr]
    assert chosen == {"a", "b", "c"}


def test_reason_tells_none_ready_from_all_tried() -> None:
    assert choose(RequestFeatures("m"), [], Random(0)).reason == "none_ready"
    assert choose(RequestFeatures("m", ("a",)), [view("a")], Random(0)).reason == "all_tried"


def test_replica_set_aside_is_taken_when_it_is_the_only_one() -> None:
    assert choose(RequestFeatures("m", (), 10.0), [view("a", aside_until=20.0)], Random(0)).replica is not None
