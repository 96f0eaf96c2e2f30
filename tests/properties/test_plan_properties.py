"""Properties of `plan` over generated clusters."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from orchestrator.application_names import application_name
from orchestrator.placement import place
from orchestrator.reconcile import applications_of, plan, spec_digest
from orchestrator.rooms import free_rooms
from orchestrator.types import (
    Action,
    Deployment,
    DesiredState,
    Need,
    ObservedApplication,
    ObservedState,
    SleepReplica,
    StartApplication,
    StopApplication,
    WakeReplica,
)
from router.types import ExternalEngine, PolicyName, RoutingSettings
from tests.unit.orchestrator.builders import endpoint, node

NAMES = st.sampled_from(["a", "b", "c", "d"])
ROUTING = st.builds(
    RoutingSettings,
    policy=st.sampled_from(PolicyName),
    target_ttft_s=st.floats(0.1, 600),
    max_in_flight=st.none() | st.integers(1, 100),
    queue_requests=st.integers(0, 100),
    continue_streams=st.booleans(),
)
ENGINES = st.lists(
    st.builds(ExternalEngine, name=NAMES, url=st.just("http://far"), key=st.text(), weight=st.floats(0, 9)), max_size=2
).map(tuple)
NODES = (
    node(gpus=2.0),
    node(id="n2", address="10.0.0.2", gpus=4.0),
    node(id="n9", address="10.0.0.9", gpus=8.0, alive=False),
)
SHARES = st.sampled_from([0.0, 0.5, 1.0, 2.0])
STATUSES = st.sampled_from(["DEPLOYING", "RUNNING", "UNHEALTHY", "DEPLOY_FAILED", "DELETING"])


@st.composite
def deployments(draw: st.DrawFn) -> dict[str, Deployment]:
    names = draw(st.sets(NAMES))
    return {
        name: Deployment(
            name=name,
            model=name,
            replicas=draw(st.integers(0, 4)),
            generation=draw(st.integers(1, 3)),
            gpus_per_replica=draw(SHARES),
            routing=draw(ROUTING),
            external=draw(ENGINES),
            created_at=0,
            updated_at=0,
        )
        for name in names
    }


@st.composite
def clusters(draw: st.DrawFn) -> tuple[DesiredState, ObservedState]:
    desired = draw(deployments())
    digests = st.sampled_from([*(spec_digest(each) for each in desired.values()), "ffffffff"])
    names = draw(st.sets(st.tuples(NAMES, digests, st.integers(0, 4))))
    applications = [
        ObservedApplication(
            name=application_name(name, digest, slot),
            deployment=name,
            spec_digest=digest,
            slot=slot,
            node=draw(st.sampled_from(["127.0.0.1", "10.0.0.2", "10.0.0.9", ""])),
            need=Need(gpus=draw(SHARES)),
            status=draw(STATUSES),
        )
        for name, digest, slot in names
    ]
    return DesiredState(deployments=desired), ObservedState(
        applications={each.name: each for each in applications}, nodes=NODES
    )


def applied(observed: ObservedState, actions: tuple[Action, ...]) -> ObservedState:
    """What Serve shows when every action has done all that it does."""
    applications = dict(observed.applications)
    for action in actions:
        match action:
            case StartApplication(deployment=deployment, spec_digest=digest, slot=slot, node=node):
                name = application_name(deployment.name, digest, slot)
                assert name not in applications
                applications[name] = ObservedApplication(
                    name=name,
                    deployment=deployment.name,
                    spec_digest=digest,
                    slot=slot,
                    node=node,
                    need=deployment.need,
                    status="RUNNING",
                )
            case StopApplication(name=name):
                del applications[name]
    return structs.replace(observed, applications=applications)


def finished_deleting(observed: ObservedState) -> ObservedState:
    kept = {name: each for name, each in observed.applications.items() if each.status != "DELETING"}
    return structs.replace(observed, applications=kept)


@given(clusters())
def test_plan_with_deletions_under_way_settles_in_two_rounds(cluster: tuple[DesiredState, ObservedState]) -> None:
    desired, observed = cluster
    first = finished_deleting(applied(observed, plan(desired, observed, 0.0)))
    second = applied(first, plan(desired, first, 1.0))
    assert plan(desired, second, 2.0) == ()
    for wanted in desired.deployments.values():
        there = applications_of(wanted, second)
        assert len(there) <= wanted.replicas
        if len(there) < wanted.replicas:
            rooms = tuple(free_rooms(wanted, desired, second).values())
            assert place(wanted.need, rooms, wanted.placement) is None, "a replica is missing only without room"
    assert all(each.deployment in desired.deployments for each in second.applications.values())


@given(clusters(), st.sets(st.sampled_from([each.address for each in NODES])))
def test_plan_starts_only_where_there_is_room(cluster: tuple[DesiredState, ObservedState], cordoned: set[str]) -> None:
    desired, observed = cluster
    desired = structs.replace(desired, cordoned_nodes=frozenset(cordoned))
    starts = [each for each in plan(desired, observed, 0.0) if isinstance(each, StartApplication)]
    assert not cordoned & {each.node for each in starts}
    for each_node in NODES:
        needs = [each.need for each in observed.applications.values() if each.node == each_node.address]
        before = sum(need.gpus for need in needs)
        after = before + sum(each.deployment.need.gpus for each in starts if each.node == each_node.address)
        assert after <= max(before, each_node.gpus) + 1e-6


@given(clusters(), st.data())
def test_plan_of_a_surge_ends_one_old_replica_for_each_new_one_that_is_ready(
    cluster: tuple[DesiredState, ObservedState], data: st.DataObject
) -> None:
    desired, observed = cluster
    surging = {name: structs.replace(each, surge=True) for name, each in desired.deployments.items()}
    ready = {name: data.draw(st.integers(0, 5)) for name in surging}
    endpoints = tuple(
        endpoint(name, number, spec_digest=spec_digest(surging[name]))
        for name in surging
        for number in range(ready[name])
    )
    seen = structs.replace(observed, endpoints=endpoints)
    stopped = {
        each.name for each in plan(DesiredState(deployments=surging), seen, 0.0) if isinstance(each, StopApplication)
    }
    for name, deployment in surging.items():
        old = {
            each.name
            for each in observed.applications.values()
            if each.deployment == name and each.spec_digest != spec_digest(deployment) and each.status != "DELETING"
        }
        assert len(old - stopped) == min(len(old), max(0, deployment.replicas - ready[name]))


@given(clusters())
def test_plan_of_a_deployment_scaled_to_zero_starts_nothing(cluster: tuple[DesiredState, ObservedState]) -> None:
    desired, observed = cluster
    zero = DesiredState(
        deployments={name: structs.replace(each, replicas=0) for name, each in desired.deployments.items()}
    )
    assert all(isinstance(action, StopApplication) for action in plan(zero, observed, 0.0))


@given(clusters())
def test_plan_touches_each_application_at_most_once_and_stops_first(
    cluster: tuple[DesiredState, ObservedState],
) -> None:
    desired, observed = cluster
    actions = plan(desired, observed, 0.0)
    names = [
        application_name(action.deployment.name, action.spec_digest, action.slot)
        if isinstance(action, StartApplication)
        else action.name
        for action in actions
    ]
    assert len(names) == len(set(names))
    stops = [isinstance(action, StopApplication) for action in actions]
    assert stops == sorted(stops, reverse=True), "stops come first: they free what starts need"


@given(clusters(), ROUTING, ENGINES)
def test_plan_is_the_same_whatever_routers_are_told(
    cluster: tuple[DesiredState, ObservedState], routing: RoutingSettings, external: tuple[ExternalEngine, ...]
) -> None:
    desired, observed = cluster
    told = DesiredState(
        deployments={
            name: structs.replace(each, routing=routing, external=external)
            for name, each in desired.deployments.items()
        }
    )
    actions, others = plan(desired, observed, 0.0), plan(told, observed, 0.0)
    assert [_outline(action) for action in actions] == [_outline(action) for action in others]


def _outline(action: Action) -> tuple[str, ...]:
    match action:
        case StartApplication(deployment=deployment, spec_digest=digest, slot=slot, node=node):
            return ("start", deployment.name, digest, str(slot), node)
        case StopApplication(name=name):
            return ("stop", name)
        case SleepReplica(name=name):
            return ("sleep", name)
        case WakeReplica(name=name):
            return ("wake", name)
