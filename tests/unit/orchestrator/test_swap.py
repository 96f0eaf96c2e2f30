"""The state machine of swaps against replicas that do as they like, and an orchestrator that dies between any steps."""

from dataclasses import dataclass, field, replace
from typing import Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.swap import Seen, advance, strays
from orchestrator.types import (
    Activate,
    EndReplica,
    PrepareReplica,
    Swap,
    SwapAction,
    SwapReplica,
    SwapStep,
    SwapStrategy,
    Weights,
)
from replicas.types import Endpoint, EngineKind, ReplicaState, SwapPhase, SwapReport

OLD, NEW = Weights("sha256:old", "/old"), Weights("sha256:new", "/new")
STARTS_IN = 3
SETTLED_WITHIN = 1500
"""Seconds from the last thing that goes wrong: a hung replica alone may take `deadline_s` + `RELOADING_S`."""

Fate = Literal["takes", "refuses", "fails", "dies", "hangs"]


@dataclass
class FakeReplica:
    id: str
    fate: Fate
    revision: str
    state: ReplicaState = ReplicaState.READY
    report: SwapReport | None = None
    left: int = 0
    """Seconds until it has started."""

    def hear(self, swap_id: str, phase: SwapPhase) -> None:
        if self.state is not ReplicaState.READY or (self.report is not None and self.report.swap_id == swap_id
                                                    and self.report.phase is not SwapPhase.PREPARED):  # fmt: skip
            return
        self.report = SwapReport(swap_id=swap_id, revision=NEW.revision, phase=phase)
        if phase is SwapPhase.DRAINING:
            self.state = ReplicaState.CORDONED

    def second(self) -> bool:
        """One second of its life; False when it dies."""
        if self.state is ReplicaState.STARTING:
            self.left -= 1
            if self.left <= 0:
                self.state = ReplicaState.READY
            return True
        if self.report is None or self.fate == "hangs":
            return True
        match self.report.phase:
            case SwapPhase.PREPARING:
                refused = self.fate == "refuses"
                self.report = _now(self.report, SwapPhase.REFUSED if refused else SwapPhase.PREPARED)
            case SwapPhase.DRAINING:
                self.report = _now(self.report, SwapPhase.RELOADING)
            case SwapPhase.RELOADING:
                if self.fate == "dies":
                    return False
                failed = self.fate == "fails"
                if not failed:
                    self.revision = self.report.revision
                self.state = ReplicaState.READY
                self.report = _now(self.report, SwapPhase.FAILED if failed else SwapPhase.DONE)
            case _:
                pass
        return True

    def endpoint(self) -> Endpoint:
        return Endpoint(
            replica_id=self.id, deployment="d", model="m", revision=self.revision, engine=EngineKind.VLLM,
            state=self.state, host="h", port=0 if self.state is ReplicaState.STARTING else 1, swap=self.report,
            started_at=0.0, state_since=0.0,
        )  # fmt: skip


def _now(report: SwapReport, phase: SwapPhase) -> SwapReport:
    return SwapReport(swap_id=report.swap_id, revision=report.revision, phase=phase)


@dataclass
class World:
    swap: Swap
    replicas: list[FakeReplica]
    new_can_start: bool = True
    active: str = OLD.revision
    generation: int = 1
    outgoing: list[FakeReplica] = field(default_factory=list)
    """Of the generation before, while a surge lasts."""
    now: float = 0.0
    failure: str = ""
    born: int = 0
    swapped_at_once: int = 0
    seen_active: list[str] = field(default_factory=list)

    def seen(self) -> Seen:
        return Seen(
            active=self.active,
            generation=self.generation,
            wanted_replicas=len(self.replicas),
            endpoints=tuple(each.endpoint() for each in self.replicas),
            outgoing=sum(each.state is ReplicaState.READY for each in self.outgoing),
            failure=self.failure,
        )

    def orchestrate(self, dies_after: int | None = None) -> None:
        """One look and what follows; with `dies_after`, the process ends after so many steps of it."""
        seen = self.seen()
        entry, actions = advance(self.swap, seen, self.now)
        if not entry.active and not self.swap.active:
            actions = strays(seen)
        if dies_after == 0:
            return
        self.swap = entry
        for action in actions[: None if dies_after is None else dies_after - 1]:
            self.do(action)

    def do(self, action: SwapAction) -> None:
        by_id = {each.id: each for each in self.replicas}
        # As it goes through the store and back.
        action = msgspec.json.decode(msgspec.json.encode(action), type=type(action))
        match action:
            case Activate(weights=weights, generation=generation, surge=surge):
                if (weights.revision, generation) == (self.active, self.generation):
                    return
                back = bool(self.outgoing) and generation < self.generation
                replaced = generation != self.generation
                self.active, self.generation, self.failure = weights.revision, generation, ""
                if back:
                    self.replicas, self.outgoing = self.outgoing, []
                elif replaced:
                    self.outgoing = list(self.replicas) if surge else []
                    self.replicas = [self.born_again(each) for each in self.replicas]
            case PrepareReplica(replica_id=replica_id):
                by_id[replica_id].hear(self.swap.id, SwapPhase.PREPARING)
            case SwapReplica(replica_id=replica_id):
                by_id[replica_id].hear(self.swap.id, SwapPhase.DRAINING)
            case EndReplica(replica_id=replica_id):
                if replica_id in by_id:
                    self.kill(by_id[replica_id])

    def kill(self, replica: FakeReplica) -> None:
        self.replicas[self.replicas.index(replica)] = self.born_again(replica)

    def born_again(self, dead: FakeReplica) -> FakeReplica:
        self.born += 1
        return replace(
            dead, id=f"n{self.born}", revision=self.active, state=ReplicaState.STARTING, report=None, left=STARTS_IN,
            fate="takes",
        )  # fmt: skip

    def second(self) -> None:
        self.now += 1
        if len(self.replicas) == sum(each.state is ReplicaState.READY for each in self.replicas):
            self.outgoing = []  # the reconcile loop ends them now
        if self.active == NEW.revision and not self.new_can_start:
            # Loading them ends in a failure that nobody tries again.
            starting = [each for each in self.replicas if each.state is ReplicaState.STARTING]
            if starting and all(each.state is not ReplicaState.READY for each in self.replicas):
                self.failure = "unknown architecture"
            for each in starting:
                each.left = STARTS_IN
        for replica in list(self.replicas):
            if not replica.second():
                self.kill(replica)
        cordoned = sum(each.state is ReplicaState.CORDONED for each in self.replicas)
        self.swapped_at_once = max(self.swapped_at_once, cordoned)
        self.seen_active.append(self.active)


def world(fates: list[Fate], strategy: SwapStrategy = SwapStrategy.IN_PLACE, *, new_can_start: bool = True) -> World:
    swap = Swap(
        id="s", deployment="d", before=OLD, after=NEW, strategy=strategy, why="", started_at=0.0, step_since=0.0
    )
    replicas = [FakeReplica(f"r{number}", fate, OLD.revision) for number, fate in enumerate(fates)]
    return World(swap, replicas, new_can_start)


def settle(it: World) -> None:
    for _ in range(SETTLED_WITHIN):
        it.orchestrate()
        it.second()
        if (
            not it.swap.active
            and all(each.state is ReplicaState.READY for each in it.replicas)
            and not strays(it.seen())
        ):
            return


def test_swap_of_several_replicas_takes_one_at_a_time_and_ends_with_the_new_weights() -> None:
    it = world(["takes", "takes", "takes"])
    settle(it)
    assert (it.swap.step, it.active, it.swapped_at_once) == (SwapStep.DONE, NEW.revision, 1)
    assert {each.revision for each in it.replicas} == {NEW.revision}
    assert it.born == 0, "nobody was started again"


@pytest.mark.parametrize(
    ("fate", "reason"),
    [("refuses", "does not take the weights"), ("fails", "kept the old weights"), ("dies", "was lost"),
     ("hangs", "on every host within 30 minutes")],
)  # fmt: skip
def test_only_replica_that_does_not_take_the_weights_leaves_the_old_ones_active(fate: Fate, reason: str) -> None:
    it = world([fate])
    for _ in range(3):
        settle(it)
    assert (it.swap.step, it.active) == (SwapStep.FAILED, OLD.revision)
    assert reason in it.swap.reason
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
    assert "unknown architecture" in it.swap.reason


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


FATES = st.lists(st.sampled_from(["takes", "refuses", "fails", "dies", "hangs"]), max_size=4)
TROUBLE = st.lists(
    st.one_of(
        st.tuples(st.just("orchestrator"), st.integers(0, 3)),
        st.tuples(st.just("replica"), st.integers(0, 3)),
        st.tuples(st.just("nothing"), st.integers(1, 6)),
    ),
    max_size=25,
)


@given(FATES, TROUBLE, st.sampled_from(list(SwapStrategy)), st.booleans())
def test_swap_whoever_dies_ends_with_one_active_revision_that_all_serve_and_none_is_cordoned(
    fates: list[Fate], trouble: list[tuple[str, int]], strategy: SwapStrategy, new_can_start: bool
) -> None:
    if not new_can_start:  # what no engine can load, none takes in place either
        fates = ["fails" if fate == "takes" else fate for fate in fates]
    it = world(fates, strategy, new_can_start=new_can_start)
    for kind, number in trouble:
        if kind == "orchestrator":
            it.orchestrate(dies_after=number)
        else:
            it.orchestrate()
        if kind == "replica" and number < len(it.replicas):
            it.kill(it.replicas[number])
        for _ in range(number if kind == "nothing" else 1):
            it.second()
    for _ in range(3):  # hung preparation alone may take half an hour
        settle(it)
    assert not it.swap.active
    assert it.active == (NEW if it.swap.step is SwapStep.DONE else OLD).revision
    assert {each.state for each in it.replicas} <= {ReplicaState.READY}
    assert {each.revision for each in it.replicas} <= {it.active}
    changes = sum(one != other for one, other in zip(it.seen_active, it.seen_active[1:], strict=False))
    assert changes <= (1 if strategy is SwapStrategy.IN_PLACE else 2), "active once, and back at most where that may be"
