"""Replicas that do as they like and a deployment whose weights are swapped, for tests of the state machine."""

from dataclasses import dataclass, field, replace
from typing import Literal

import msgspec
from hypothesis import strategies as st

from orchestrator.sentences import Saying, heard, say
from orchestrator.swap import Seen, advance, send_back, strays, way_back
from orchestrator.swap_types import (
    Activate,
    CanaryTerms,
    EndReplica,
    PrepareReplica,
    SplitTraffic,
    Swap,
    SwapAction,
    SwapReplica,
    SwapStep,
    SwapStrategy,
)
from orchestrator.types import DeployedCanary, Weights
from replicas.types import Endpoint, EngineKind, ReplicaState, SwapPhase, SwapReport
from router.types import CanaryCounts, RevisionCounts

OLD, NEW = Weights("sha256:old", "/old"), Weights("sha256:new", "/new")
STARTS_IN = 3
LEAVES_IN = 2
SETTLED_WITHIN = 1500
"""Seconds from the last thing that goes wrong: a hung replica alone may take `deadline_s` + `RELOADING_S`."""

TERMS = CanaryTerms(share=0.2, for_s=60.0, requests=10)

Fate = Literal["takes", "refuses", "fails", "dies", "hangs", "stays"]
"""What becomes of a replica that is told to take other weights; one that `stays` takes the new ones for good."""


@dataclass
class FakeReplica:
    id: str
    fate: Fate
    revision: str
    state: ReplicaState = ReplicaState.READY
    report: SwapReport | None = None
    left: int = 0
    """Seconds until it has started."""

    def hear(self, swap_id: str, revision: str, phase: SwapPhase) -> None:
        if self.state is not ReplicaState.READY or (self.report is not None and self.report.swap_id == swap_id
                                                    and self.report.phase is not SwapPhase.PREPARED):  # fmt: skip
            return
        self.report = SwapReport(swap_id=swap_id, revision=revision, phase=phase)
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
                failed = self.fate == "fails" or (self.fate == "stays" and self.report.revision == OLD.revision)
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
    canary: DeployedCanary | None = None
    beside: list[FakeReplica] = field(default_factory=list)
    """That the canary has of its own."""
    leaving: list[FakeReplica] = field(default_factory=list)
    """Of those, told to end a moment ago: routers still send to them."""
    beside_failure: str = ""
    canary_fails: float = 0.0
    """Share of the attempts at the new revision."""
    judged_s: float = 0.0
    """Since when routers count."""
    spare: bool = True
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
            failure=heard(self.failure) if self.failure else None,
            canary=self.canary,
            beside=tuple(each.endpoint() for each in (*self.beside, *self.leaving)),
            beside_failure=heard(self.beside_failure) if self.beside_failure else None,
            counts=self.counts(),
            spare=self.spare,
        )

    def serving(self) -> list[FakeReplica]:
        """Those to whom routers may send."""
        everybody = (*self.replicas, *self.beside, *self.leaving)
        return [each for each in everybody if each.state is ReplicaState.READY]

    def counts(self) -> CanaryCounts | None:
        """Ten requests a second."""
        if self.canary is None or not self.canary.id:
            return None
        new = int(10 * (self.now - self.judged_s) * self.canary.share)
        failed = int(new * self.canary_fails)
        old = int(10 * (self.now - self.judged_s)) - new
        return CanaryCounts(
            id=self.swap.id,
            old=RevisionCounts(answered=old),
            new=RevisionCounts(answered=new - failed, failed=failed),
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
            case SplitTraffic(canary=canary):
                self.split(canary)
            case Activate(weights=weights, generation=generation, surge=surge, canary=canary):
                self.split(canary)
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
                by_id[replica_id].hear(self.swap.id, NEW.revision, SwapPhase.PREPARING)
            case SwapReplica(replica_id=replica_id, back=back):
                order, weights = (way_back(self.swap), OLD) if back else (self.swap.id, NEW)
                by_id[replica_id].hear(order, weights.revision, SwapPhase.DRAINING)
            case EndReplica(replica_id=replica_id):
                if replica_id in by_id:
                    self.kill(by_id[replica_id])

    def split(self, canary: DeployedCanary | None) -> None:
        if canary == self.canary:
            return
        if canary is not None and canary.id and (self.canary is None or self.canary.id != canary.id):
            self.judged_s = self.now
        self.canary, wanted = canary, 0 if canary is None else canary.replicas
        while len(self.beside) < wanted:
            one = FakeReplica("", "takes", NEW.revision)
            self.beside.append(replace(self.born_again(one), revision=NEW.revision))
        self.leaving += [replace(each, left=LEAVES_IN) for each in self.beside[wanted:]]
        del self.beside[wanted:]

    def kill(self, replica: FakeReplica) -> None:
        if replica in self.beside:
            self.beside[self.beside.index(replica)] = replace(self.born_again(replica), revision=NEW.revision)
        else:
            self.replicas[self.replicas.index(replica)] = self.born_again(replica)

    def born_again(self, dead: FakeReplica) -> FakeReplica:
        self.born += 1
        return replace(
            dead, id=f"n{self.born}", revision=self.active, state=ReplicaState.STARTING, report=None, left=STARTS_IN,
            fate="takes" if self.new_can_start else "fails",  # what no engine can load, none takes in place either
        )  # fmt: skip

    def second(self) -> None:
        self.now += 1
        self.leaving = [replace(each, left=each.left - 1) for each in self.leaving if each.left > 1]
        if len(self.replicas) == sum(each.state is ReplicaState.READY for each in self.replicas):
            self.outgoing = []  # the reconcile loop ends them now
        if self.active == NEW.revision and not self.new_can_start:
            # Loading them ends in a failure that nobody tries again.
            starting = [each for each in self.replicas if each.state is ReplicaState.STARTING]
            if starting and all(each.state is not ReplicaState.READY for each in self.replicas):
                self.failure = "unknown architecture"
            for each in starting:
                each.left = STARTS_IN
        if self.beside and not self.new_can_start:
            self.beside_failure = "unknown architecture"
        elif self.beside:
            for each in self.beside:
                each.second()
        for replica in list(self.replicas):
            if not replica.second():
                self.kill(replica)
        cordoned = sum(each.state is ReplicaState.CORDONED for each in self.replicas)
        self.swapped_at_once = max(self.swapped_at_once, cordoned)
        self.seen_active.append(self.active)


def world(
    fates: list[Fate],
    strategy: SwapStrategy = SwapStrategy.IN_PLACE,
    *,
    new_can_start: bool = True,
    canary: CanaryTerms | None = None,
) -> World:
    swap = Swap(
        id="s", deployment="d", before=OLD, after=NEW, strategy=strategy, why=say(Saying.ASKED_FOR),
        started_at=0.0, step_since=0.0, canary=canary,
    )  # fmt: skip
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


FATES = st.lists(st.sampled_from(["takes", "refuses", "fails", "dies", "hangs"]), max_size=4)
TROUBLE = st.lists(
    st.one_of(
        st.tuples(st.just("orchestrator"), st.integers(0, 3)),
        st.tuples(st.just("replica"), st.integers(0, 3)),
        st.tuples(st.just("nothing"), st.integers(1, 6)),
    ),
    max_size=25,
)


def live_through(it: World, trouble: list[tuple[str, int]], rolled_back_at: SwapStep | None = None) -> None:
    """Things go wrong one after the other; then nothing does any more."""
    for kind, number in trouble:
        if it.swap.active and it.swap.step is rolled_back_at:
            it.swap = send_back(it.swap, it.now, say(Saying.ROLLED_BACK))
        if kind == "orchestrator":
            it.orchestrate(dies_after=number)
        else:
            it.orchestrate()
        everybody = [*it.replicas, *it.beside]
        if kind == "replica" and number < len(everybody):
            it.kill(everybody[number])
        for _ in range(number if kind == "nothing" else 1):
            it.second()
    for _ in range(3):  # hung preparation alone may take half an hour
        settle(it)
