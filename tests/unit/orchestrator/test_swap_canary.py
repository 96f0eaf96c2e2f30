"""Swaps that try the new weights first: what is on trial is never what the deployment serves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.sentences import Saying, say
from orchestrator.swap import send_back, strays
from orchestrator.swap_types import CanaryTerms, EndReplica, SplitTraffic, SwapStep, SwapStrategy
from replicas.types import ReplicaState
from tests.unit.orchestrator.swap_world import FATES, NEW, OLD, TERMS, TROUBLE, Fate, World, live_through, settle, world

BOTH_WAYS = (SwapStrategy.IN_PLACE, SwapStrategy.SURGE)


def until(it: World, step: SwapStep) -> None:
    for _ in range(200):
        if it.swap.step is step:
            return
        it.orchestrate()
        it.second()
    raise AssertionError(f"{it.swap.step} instead of {step}: {it.swap.detail}")


@pytest.mark.parametrize("strategy", BOTH_WAYS)
def test_canary_that_fares_well_is_promoted_after_its_time_and_says_how_it_fared(strategy: SwapStrategy) -> None:
    it = world(["takes", "takes", "takes"], strategy, canary=TERMS)
    until(it, SwapStep.CANARY)
    began = it.now
    settle(it)
    assert (it.swap.step, it.active, it.canary, it.beside) == (SwapStep.DONE, NEW.revision, None, [])
    assert it.now - began >= TERMS.for_s
    assert str(it.swap.verdict).startswith("0 of 118 failed, 0 of 472 with the old revision")
    assert {each.revision for each in it.replicas} == {NEW.revision}


@pytest.mark.parametrize("strategy", BOTH_WAYS)
def test_canary_that_fails_goes_back_before_its_time_is_over_and_nobody_is_started_again(
    strategy: SwapStrategy,
) -> None:
    it = world(["takes", "takes", "takes"], strategy, canary=TERMS)
    it.canary_fails = 0.5
    until(it, SwapStep.CANARY)
    began, before = it.now, [each.id for each in it.replicas]
    settle(it)
    assert (it.swap.step, it.active, it.canary, it.beside) == (SwapStep.FAILED, OLD.revision, None, [])
    assert str(it.swap.reason).startswith("The canary was rolled back: ")
    assert "attempts failed with the new revision, 0 of " in str(it.swap.reason)
    assert it.now - began < TERMS.for_s / 2
    assert [each.id for each in it.replicas] == before
    assert {each.revision for each in it.replicas} == {OLD.revision}


@pytest.mark.parametrize("strategy", BOTH_WAYS)
def test_new_weights_get_no_request_before_the_canary_begins_and_none_once_it_goes_back(
    strategy: SwapStrategy,
) -> None:
    it = world(["takes", "takes"], strategy, canary=TERMS)
    it.canary_fails = 0.5
    while it.swap.active:
        it.orchestrate()
        it.second()
        assert it.active == OLD.revision
        if it.swap.step is not SwapStep.CANARY and any(each.revision == NEW.revision for each in it.serving()):
            assert it.canary is not None
            assert (it.canary.share, it.canary.id) == (0, "")
    assert it.swap.step is SwapStep.FAILED
    assert NEW.revision not in {each.revision for each in it.serving()}


def test_canary_that_does_not_take_the_old_weights_back_is_started_again_with_them() -> None:
    it = world(["stays", "stays"], canary=TERMS)
    until(it, SwapStep.CANARY)
    it.swap = send_back(it.swap, it.now, say(Saying.ROLLED_BACK))
    settle(it)
    assert (it.swap.step, it.swap.reason, it.born) == (SwapStep.FAILED, say(Saying.ROLLED_BACK), 1)
    assert {each.revision for each in it.replicas} == {OLD.revision}


@pytest.mark.parametrize("strategy", BOTH_WAYS)
def test_canary_that_nobody_asks_goes_back_and_says_that_too_little_was_asked(strategy: SwapStrategy) -> None:
    it = world(["takes", "takes"], strategy, canary=CanaryTerms(share=0.2, for_s=60.0, requests=10_000))
    settle(it)
    assert it.swap.step is SwapStep.FAILED
    assert "too little was asked in 10 min to judge it" in str(it.swap.reason)


@pytest.mark.parametrize("strategy", BOTH_WAYS)
def test_canary_whose_replica_dies_goes_back(strategy: SwapStrategy) -> None:
    it = world(["takes", "takes"], strategy, canary=TERMS)
    until(it, SwapStep.CANARY)
    if strategy is SwapStrategy.SURGE:
        it.new_can_start = False  # it is started again and again, in vain
    (dying,) = [each for each in (*it.replicas, *it.beside) if each.revision == NEW.revision]
    it.kill(dying)
    settle(it)
    assert (it.swap.step, it.active) == (SwapStep.FAILED, OLD.revision)
    assert "The canary was lost" in str(it.swap.reason)


def test_canary_in_place_of_the_only_replica_that_serves_is_given_up() -> None:
    it = world(["takes"], canary=TERMS)
    settle(it)
    assert (it.swap.step, it.replicas[0].revision) == (SwapStep.FAILED, OLD.revision)
    assert "needs a replica that keeps the old weights" in str(it.swap.reason)


def test_canary_by_surge_whose_replicas_do_not_start_leaves_everything_as_it_was() -> None:
    it = world(["takes", "takes"], SwapStrategy.SURGE, new_can_start=False, canary=TERMS)
    settle(it)
    assert (it.swap.step, it.generation, it.born) == (SwapStep.FAILED, 1, 1)
    assert "cannot be served: unknown architecture" in str(it.swap.reason)


@pytest.mark.parametrize(("spare", "goes_on"), [(True, True), (False, False)])
def test_promoted_canary_by_surge_goes_on_until_the_replicas_are_replaced_if_there_is_room(
    spare: bool, goes_on: bool
) -> None:
    it = world(["takes", "takes"], SwapStrategy.SURGE, canary=TERMS)
    it.spare = spare
    until(it, SwapStep.RESTARTING)
    assert bool(it.beside) is goes_on
    settle(it)
    assert (it.swap.step, it.canary, it.beside) == (SwapStep.DONE, None, [])


def test_stray_replica_is_ended_before_the_canary_that_keeps_requests_from_it() -> None:
    it = world(["takes", "takes"], canary=TERMS)
    until(it, SwapStep.CANARY)
    (stray,) = [each for each in it.replicas if each.revision == NEW.revision]
    assert strays(it.seen()) == (EndReplica(stray.id),)
    stray.revision = OLD.revision
    assert strays(it.seen()) == (SplitTraffic(None),)


ROLLED_BACK = st.sampled_from([None, SwapStep.FIRST, SwapStep.CANARY])


@given(FATES, TROUBLE, st.sampled_from(BOTH_WAYS), st.booleans(), st.sampled_from([0.0, 0.5]), st.booleans(), st.data())
def test_canary_whoever_dies_ends_with_one_active_revision_that_all_serve_and_none_is_cordoned(
    fates: list[Fate],
    trouble: list[tuple[str, int]],
    strategy: SwapStrategy,
    new_can_start: bool,
    canary_fails: float,
    spare: bool,
    data: st.DataObject,
) -> None:
    if not new_can_start:  # what no engine can load, none takes in place either
        fates = ["fails" if fate in ("takes", "stays") else fate for fate in fates]
    it = world(fates, strategy, new_can_start=new_can_start, canary=TERMS)
    it.canary_fails, it.spare = canary_fails, spare
    live_through(it, trouble, rolled_back_at=data.draw(ROLLED_BACK))
    assert not it.swap.active
    assert it.active == (NEW if it.swap.step is SwapStep.DONE else OLD).revision
    assert (it.canary, it.beside) == (None, [])
    assert {each.state for each in it.replicas} <= {ReplicaState.READY}
    assert {each.revision for each in it.replicas} <= {it.active}
    assert it.swap.step is SwapStep.FAILED or not canary_fails
    changes = sum(one != other for one, other in zip(it.seen_active, it.seen_active[1:], strict=False))
    assert changes <= (1 if strategy is SwapStrategy.IN_PLACE else 2), "active once, and back at most where that may be"
