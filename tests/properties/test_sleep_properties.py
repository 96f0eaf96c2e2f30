"""Properties of `plan` over clusters whose replicas sleep and wake, each in its own time, and die in their sleep."""

from collections import Counter
from enum import StrEnum

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct

from orchestrator.application_names import name_of, parse_application
from orchestrator.placement import fits_on, place
from orchestrator.reconcile import applications_of, plan, sleepers_of, spec_digest
from orchestrator.rooms import free_rooms
from orchestrator.sleep import MEMORY_SHARE, MOST_ON_A_GPU
from orchestrator.types import (
    Action,
    DesiredState,
    ObservedApplication,
    ObservedState,
    SleepReplica,
    StartApplication,
    StopApplication,
    WakeReplica,
)
from replicas.types import Endpoint, ReplicaState
from tests.unit.orchestrator.builders import deployment, endpoint, node

NAMES = ("a", "b", "c")
NODES = (node(gpus=2.0, memory_bytes=100), node(id="n2", address="10.0.0.2", gpus=1.0, memory_bytes=60))
SIZES = {"a": 20, "b": 30, "c": 45}


class Stage(StrEnum):
    STARTING = "starting"
    READY = "ready"
    RETIRING = "draining"
    ASLEEP = "asleep"
    WAKING = "waking"
    RESTARTED = "restarted"
    """By Serve, after it died in its sleep."""
    ENDING = "ending"


NEXT = {
    Stage.STARTING: Stage.READY,
    Stage.RETIRING: Stage.ASLEEP,
    Stage.WAKING: Stage.READY,
    Stage.RESTARTED: Stage.READY,
}
_SHOWN = {Stage.WAKING: ReplicaState.STARTING, Stage.RESTARTED: ReplicaState.STARTING}


class Replica(Struct):
    revision: str
    stage: Stage = Stage.STARTING
    since: float = 0.0
    slept: int = 0


class World:
    """What orders do to replicas; when they are done with it, a test says."""

    def __init__(self) -> None:
        self.replicas: dict[str, Replica] = {}
        self.harmless: set[str] = set()
        """They do not hold what their names say: they end in their sleep, or died in it, and wait to be stopped."""
        self.now = 0.0

    def observed(self) -> ObservedState:
        applications, endpoints = {}, []
        for number, (name, replica) in enumerate(self.replicas.items()):
            named = parse_application(name)
            applications[name] = ObservedApplication(
                name=name, deployment=named.deployment, spec_digest=named.spec_digest, slot=named.slot,
                node=named.node, need=named.need, gpus=named.gpus,
                status="DELETING" if replica.stage is Stage.ENDING else "RUNNING",
            )  # fmt: skip
            if replica.stage is not Stage.ENDING:
                endpoints.append(self._endpoint(name, number, replica))
        return ObservedState(applications=applications, endpoints=tuple(endpoints), nodes=NODES)

    def _endpoint(self, name: str, number: int, replica: Replica) -> Endpoint:
        named = parse_application(name)
        fresh = replica.stage in (Stage.STARTING, Stage.RESTARTED)
        return endpoint(
            named.deployment, number, spec_digest=named.spec_digest, application=name, host=named.node,
            revision=replica.revision, state=_SHOWN.get(replica.stage) or ReplicaState(replica.stage),
            port=0 if fresh else 1000 + number, sleep_bytes=None if fresh else SIZES[named.deployment],
            state_since=replica.since, epoch=replica.slept,
        )  # fmt: skip

    def apply(self, action: Action) -> None:
        match action:
            case StartApplication(deployment=wanted):
                assert name_of(action) not in self.replicas
                self.replicas[name_of(action)] = Replica(wanted.revision, since=self.now)
            case StopApplication(name=name):
                if self.replicas[name].stage is Stage.ASLEEP:
                    self.harmless.add(name)
                self.replicas[name].stage = Stage.ENDING
            case SleepReplica(name=name):
                self._to(name, Stage.READY, Stage.RETIRING)
            case WakeReplica(name=name):
                self._to(name, Stage.ASLEEP, Stage.WAKING)

    def _to(self, name: str, before: Stage, after: Stage) -> None:
        """An order at the wrong time is dropped."""
        replica = self.replicas[name]
        if replica.stage is before:
            replica.stage, replica.since = after, self.now

    def go_on(self, name: str) -> None:
        """It is done with what it was told."""
        replica = self.replicas[name]
        if replica.stage is Stage.ENDING:
            del self.replicas[name]
            self.harmless.discard(name)
        elif replica.stage in NEXT:
            replica.stage, replica.since = NEXT[replica.stage], self.now
            replica.slept += replica.stage is Stage.ASLEEP

    def tick(self, desired: DesiredState) -> tuple[Action, ...]:
        self.now += 1.0
        actions = plan(desired, self.observed(), self.now)
        for action in actions:
            self.apply(action)
        self.check()
        return actions

    def check(self) -> None:
        """What must hold at every moment, whatever dies."""
        held: Counter[tuple[str, int]] = Counter()
        sleeping: Counter[tuple[str, int]] = Counter()
        memory: Counter[str] = Counter()
        for name, replica in self.replicas.items():
            named = parse_application(name)
            places = [(named.node, gpu) for gpu in named.gpus]
            if replica.stage is not Stage.ASLEEP and name not in self.harmless:
                held.update({each: round(100 * min(1.0, named.need.gpus)) for each in places})
            if replica.stage in (Stage.ASLEEP, Stage.RETIRING):
                sleeping.update(places)
            if replica.stage in (Stage.ASLEEP, Stage.RETIRING) or (replica.slept and replica.stage is not Stage.ENDING):
                memory[named.node] += SIZES[named.deployment]
        assert all(share <= 100 for share in held.values()), "a GPU is held by two that are awake"
        assert all(number <= MOST_ON_A_GPU for number in sleeping.values())
        assert all(memory[each.address] <= MEMORY_SHARE * each.memory_bytes for each in NODES)

    def die_asleep(self, name: str) -> None:
        """Serve starts it again, and knows nothing of its GPUs."""
        if self.replicas[name].stage is Stage.ASLEEP:
            self.harmless.add(name)
            self.replicas[name] = Replica(self.replicas[name].revision, Stage.RESTARTED, self.now)


_MOSTLY = st.integers(0, 15).map(bool)


@st.composite
def courses(draw: st.DrawFn) -> list[DesiredState]:
    """What an admin wants, one after the other: mostly other numbers, sometimes other weights or settings."""
    gpus = {name: draw(st.sampled_from([1.0, 1.0, 0.5, 2.0])) for name in NAMES}
    sleepers = {name: draw(st.sampled_from([True, True, True, False])) for name in NAMES}
    course = []
    for _ in range(draw(st.integers(2, 6))):
        there = [name for name in NAMES if draw(_MOSTLY)]
        wanted = {
            name: deployment(
                name,
                replicas=draw(st.integers(0, 2)),
                gpus_per_replica=gpus[name],
                sleep_mode=sleepers[name],
                revision="sha256:a" if draw(_MOSTLY) else "sha256:b",
                generation=1 if draw(_MOSTLY) else 2,
            )
            for name in there
        }
        cordoned, drained = (frozenset[str]() if draw(_MOSTLY) else frozenset({"10.0.0.2"}) for _ in range(2))
        course.append(DesiredState(deployments=wanted, cordoned_nodes=cordoned, drained_nodes=drained))
    return course


@settings(deadline=None, max_examples=100)
@given(courses(), st.data())
def test_sleep_never_gives_a_gpu_or_memory_twice_and_settles_with_all_that_there_is_room_for(
    course: list[DesiredState], data: st.DataObject
) -> None:
    world = World()
    for desired in course:
        for _ in range(data.draw(st.integers(1, 5))):
            world.tick(desired)
            for name in [name for name in world.replicas if data.draw(st.integers(0, 2))]:
                world.go_on(name)
            for name in [name for name in world.replicas if not data.draw(_MOSTLY)]:
                world.die_asleep(name)
    for _ in range(12):
        actions = world.tick(desired)
        if not actions and all(each.stage in (Stage.READY, Stage.ASLEEP) for each in world.replicas.values()):
            break
        for name in list(world.replicas):
            world.go_on(name)
    assert actions == ()
    settled(desired, world.observed())


def settled(desired: DesiredState, observed: ObservedState) -> None:
    """Everybody has what was wanted, or there is no room for it; nobody sleeps who could be awake."""
    for each in desired.deployments.values():
        awake = applications_of(each, observed)
        assert len(awake) <= each.replicas
        if len(awake) == each.replicas:
            continue
        rooms = free_rooms(each, desired, observed)
        assert place(each.need, tuple(rooms.values()), each.placement) is None, "a replica is missing only without room"
        assert not any(fits_on(one.need, rooms[one.node], one.gpus) for one in sleepers_of(each, observed))
    digests = {name: spec_digest(each) for name, each in desired.deployments.items()}
    assert all(digests.get(each.deployment) == each.spec_digest for each in observed.applications.values())
    revisions = {name: each.revision for name, each in desired.deployments.items()}
    sleeping = [each for each in observed.endpoints if each.state is ReplicaState.ASLEEP]
    assert all(each.revision == revisions[each.deployment] for each in sleeping)
    assert not any(each.host in desired.drained_nodes for each in sleeping)
