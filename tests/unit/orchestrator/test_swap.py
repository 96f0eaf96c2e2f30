"""The state machine of swaps against replicas that do as they like, and an orchestrator that dies between any steps."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.swap_types import SwapStep, SwapStrategy
from replicas.types import ReplicaState
from tests.unit.orchestrator.swap_world import FATES, NEW, OLD, TROUBLE, Fate, live_through, settle, world


def test_swap_of_several_replicas_takes_one_at_a_time_and_ends_with_the_new_weights() -> None:
    it = world(["takes", "takes", "takes"])
    settle(it)
    assert (it.swap.step, it.active, it.swapped_at_once) == (SwapStep.DONE, NEW.revision, 1)
    assert {each.revision for each in it.replicas} == {NEW.revision}
    assert it.born == 0, "nobody was started again"


@pytest.mark.parametrize(
    ("fate", "reason"),
    [("refuses", "does not take the weights"), ("fails", "kept the old weights"), ("dies", "was lost"),
     ("hangs", "on every host within 30 min")],
)  # fmt: skip
def test_only_replica_that_does_not_take_the_weights_leaves_the_old_ones_active(fate: Fate, reason: str) -> None:
    it = world([fate])
    for _ in range(3):
        settle(it)
    assert (it.swap.step, it.active) == (SwapStep.FAILED, OLD.revision)
    assert reason in str(it.swap.reason)
    assert [each.revision for each in it.replicas] == [OLD.revision]


def test_replica_that_fails_after_the_first_has_proved_the_weights_is_started_again_with_them() -> None:
    it = world(["takes", "fails"])
    settle(it)
    assert (it.swap.step, it.active, it.born) == (SwapStep.DONE, NEW.revision, 1)
    assert {each.revision for each in it.replicas} == {NEW.revision}


def test_deployment_without_replicas_just_has_other_weights_from_then_on() -> None:
    it = world([])
    settle(it)
    assert (it.swap.step, it.active) == (SwapStep.DONE, NEW.revision)


def test_restart_with_weights_that_cannot_be_served_goes_back_and_says_why() -> None:
    it = world(["takes", "takes"], SwapStrategy.RESTART, new_can_start=False)
    settle(it)
    assert (it.swap.step, it.active) == (SwapStep.FAILED, OLD.revision)
    assert "unknown architecture" in str(it.swap.reason)


def test_surge_keeps_old_replicas_serving_until_the_new_ones_are_ready() -> None:
    it = world(["takes", "takes"], SwapStrategy.SURGE)
    while it.swap.active:
        it.orchestrate()
        it.second()
        assert any(each.state is ReplicaState.READY for each in (*it.replicas, *it.outgoing))
    assert (it.swap.step, it.active) == (SwapStep.DONE, NEW.revision)


def test_surge_with_weights_that_cannot_be_served_leaves_the_old_replicas_as_they_were() -> None:
    it = world(["takes", "takes"], SwapStrategy.SURGE, new_can_start=False)
    before = [each.id for each in it.replicas]
    settle(it)
    assert (it.swap.step, it.active, it.generation) == (SwapStep.FAILED, OLD.revision, 1)
    assert [each.id for each in it.replicas] == before, "nobody was started again"


def test_replica_that_loaded_the_old_weights_a_moment_too_early_follows() -> None:
    it = world(["takes", "takes"])
    late = it.replicas[1]
    late.state, late.left = ReplicaState.STARTING, 8  # it has read what to load before the new weights were active
    settle(it)
    assert {each.revision for each in it.replicas} == {NEW.revision} == {it.active}


@given(FATES, TROUBLE, st.sampled_from(list(SwapStrategy)), st.booleans())
def test_swap_whoever_dies_ends_with_one_active_revision_that_all_serve_and_none_is_cordoned(
    fates: list[Fate], trouble: list[tuple[str, int]], strategy: SwapStrategy, new_can_start: bool
) -> None:
    if not new_can_start:  # what no engine can load, none takes in place either
        fates = ["fails" if fate == "takes" else fate for fate in fates]
    it = world(fates, strategy, new_can_start=new_can_start)
    live_through(it, trouble)
    assert not it.swap.active
    assert it.active == (NEW if it.swap.step is SwapStep.DONE else OLD).revision
    assert {each.state for each in it.replicas} <= {ReplicaState.READY}
    assert {each.revision for each in it.replicas} <= {it.active}
    changes = sum(one != other for one, other in zip(it.seen_active, it.seen_active[1:], strict=False))
    assert changes <= (1 if strategy is SwapStrategy.IN_PLACE else 2), "active once, and back at most where that may be"
