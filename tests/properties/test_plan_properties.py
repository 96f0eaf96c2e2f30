"""Properties of `plan` over generated clusters."""

from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec import structs

from orchestrator.reconcile import application_name, plan, spec_digest
from orchestrator.types import (
    Action,
    Deployment,
    DesiredState,
    ObservedApplication,
    ObservedState,
    ScaleApplication,
    StartApplication,
    StopApplication,
)
from router.types import ExternalEngine, PolicyName, RoutingSettings
from tests.unit.orchestrator.builders import endpoint

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
            gpus_per_replica=draw(st.sampled_from([0, 0.5, 1, 2])),
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
    names = draw(st.sets(st.tuples(NAMES, digests)))
    applications = {
        application_name(name, digest): ObservedApplication(
            name=application_name(name, digest),
            deployment=name,
            spec_digest=digest,
            target_replicas=draw(st.integers(0, 4)),
            status=draw(STATUSES),
        )
        for name, digest in names
    }
    return DesiredState(deployments=desired), ObservedState(applications=applications)


def applied(observed: ObservedState, actions: tuple[Action, ...]) -> ObservedState:
    """What Serve shows when every action has done all that it does."""
    applications = dict(observed.applications)
    for action in actions:
        match action:
            case StartApplication(deployment=deployment, spec_digest=digest):
                name = application_name(deployment.name, digest)
                applications[name] = ObservedApplication(
                    name=name,
                    deployment=deployment.name,
                    spec_digest=digest,
                    target_replicas=deployment.replicas,
                    status="RUNNING",
                )
            case ScaleApplication(name=name, replicas=replicas):
                applications[name] = structs.replace(applications[name], target_replicas=replicas)
            case StopApplication(name=name):
                del applications[name]
    return ObservedState(applications=applications)


def finished_deleting(observed: ObservedState) -> ObservedState:
    return ObservedState(
        applications={name: each for name, each in observed.applications.items() if each.status != "DELETING"}
    )


@given(clusters())
def test_plan_after_a_full_apply_plans_nothing(cluster: tuple[DesiredState, ObservedState]) -> None:
    desired, observed = cluster
    # What Serve gave up on is stopped first and started in the next round, as the property below says.
    assume(all(each.status != "DEPLOY_FAILED" for each in observed.applications.values()))
    settled = applied(observed, plan(desired, observed, 0.0))
    if settled == finished_deleting(settled):
        assert plan(desired, settled, 1.0) == ()


@given(clusters())
def test_plan_with_deletions_under_way_settles_in_two_rounds(cluster: tuple[DesiredState, ObservedState]) -> None:
    desired, observed = cluster
    first = finished_deleting(applied(observed, plan(desired, observed, 0.0)))
    second = applied(first, plan(desired, first, 1.0))
    assert plan(desired, second, 2.0) == ()
    assert {name: each.target_replicas for name, each in second.applications.items()} == {
        application_name(name, spec_digest(each)): each.replicas
        for name, each in desired.deployments.items()
        if each.replicas
    }


@given(clusters(), st.data())
def test_plan_of_a_surge_stops_the_old_replicas_only_once_the_new_ones_are_ready(
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
    for name, each in observed.applications.items():
        deployment = surging.get(each.deployment)
        if deployment is None or each.status == "DELETING" or each.spec_digest == spec_digest(deployment):
            continue
        assert (name in stopped) is (ready[each.deployment] >= deployment.replicas or not deployment.replicas)


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
        application_name(action.deployment.name, action.spec_digest)
        if isinstance(action, StartApplication)
        else action.name
        for action in actions
    ]
    assert len(names) == len(set(names))
    wanted = {application_name(name, spec_digest(each)) for name, each in desired.deployments.items()}
    freeing = [place for place, name in enumerate(names) if name not in wanted]
    assert freeing == list(range(len(freeing))), "what is stopped for good comes first: it frees what starts need"


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
        case StartApplication(deployment=deployment, spec_digest=digest):
            return ("start", deployment.name, digest)
        case ScaleApplication(name=name, spec_digest=digest, replicas=replicas):
            return ("scale", name, digest, str(replicas))
        case StopApplication(name=name):
            return ("stop", name)
