from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from orchestrator.application_names import application_name
from orchestrator.reconcile import spec_digest
from orchestrator.scaling.types import Override, ScalingSettings
from orchestrator.sentences import Sentence
from orchestrator.sharing import Ask, divide
from orchestrator.types import Deployment, DesiredState, Need, ObservedApplication, ObservedNode, ObservedState
from replicas.types import Endpoint
from tests.unit.orchestrator.builders import application, deployment, endpoint, failure, node

SCALED = ScalingSettings(min_replicas=0, max_replicas=8)


def ask(one: Deployment, wanted: int, needed: int | None = None, **more: Any) -> Ask:
    return Ask(
        deployment=one, wanted=wanted, needed=wanted if needed is None else needed, **({"cold_start_s": 30.0} | more)
    )


def scaled(name: str, **changes: Any) -> Deployment:
    return deployment(name, **({"scaling": SCALED, "gpus_per_replica": 1.0, "replicas": 0} | changes))


def running(one: Deployment, slot: int = 0, at: str = "127.0.0.1") -> ObservedApplication:
    return application(one.name, spec_digest(one), slot, node=at, need=one.need)


def serving(one: Deployment, slot: int = 0, **changes: Any) -> Endpoint:
    digest = spec_digest(one)
    told = {"spec_digest": digest, "application": application_name(one.name, digest, slot)}
    return endpoint(one.name, slot, **(told | changes))


def shares(
    asks: list[Ask],
    *applications: ObservedApplication,
    endpoints: tuple[Endpoint, ...] = (),
    nodes: tuple[ObservedNode, ...] = (node(gpus=1.0),),
    now: float = 1000.0,
    **more: Any,
) -> dict[str, tuple[int, Sentence | None]]:
    desired = DesiredState(deployments={each.deployment.name: each.deployment for each in asks})
    observed = ObservedState(
        applications={each.name: each for each in applications}, endpoints=endpoints, nodes=nodes, **more
    )
    return {name: (each.replicas, each.shortage) for name, each in divide(asks, desired, observed, now).items()}


def test_deployment_alone_gets_what_it_wants_up_to_what_there_is() -> None:
    assert shares([ask(scaled("a"), 1)]) == {"a": (1, None)}
    replicas, shortage = shares([ask(scaled("a"), 3)])["a"]
    assert (replicas, str(shortage)) == (1, "a replica needs 1 GPU; free: 0")


def test_idle_model_gives_way_to_one_that_is_asked_for_and_says_which_replica_goes() -> None:
    idle, busy = scaled("idle", replicas=1), scaled("busy")
    asks = [ask(idle, 1, 0), ask(busy, 1, oldest_wait_s=2.0)]
    app = running(idle)
    desired = DesiredState(deployments={"idle": idle, "busy": busy})
    observed = ObservedState(
        applications={app.name: app}, endpoints=(serving(idle, state_since=500.0),), nodes=(node(gpus=1.0),)
    )
    found = divide(asks, desired, observed, 1000.0)
    assert (found["idle"].replicas, found["idle"].leaving, found["busy"].replicas) == (0, (app.name,), 1)


def test_model_that_has_just_started_is_not_taken_away_again() -> None:
    new, waiting = scaled("new", replicas=1), scaled("waiting")
    asks = [ask(new, 1, oldest_wait_s=0.5), ask(waiting, 1, oldest_wait_s=20.0)]
    fresh = (serving(new, state_since=990.0),)
    assert {name: each for name, (each, _) in shares(asks, running(new), endpoints=fresh).items()} == {
        "new": 1, "waiting": 0,
    }  # fmt: skip
    stayed = (serving(new, state_since=500.0),)
    assert {name: each for name, (each, _) in shares(asks, running(new), endpoints=stayed).items()} == {
        "new": 0, "waiting": 1,
    }  # fmt: skip


def test_fixed_number_and_one_set_by_hand_go_before_what_the_load_wants() -> None:
    auto = scaled("auto", replicas=1)
    asks = [ask(auto, 1), ask(deployment("fixed", gpus_per_replica=1.0), 1)]
    there = (serving(auto, state_since=0.0),)
    granted = shares(asks, running(auto), endpoints=there)
    assert {name: each for name, (each, _) in granted.items()} == {"auto": 0, "fixed": 1}
    by_hand = [ask(auto, 1), ask(scaled("hand", override=Override(replicas=1)), 1)]
    granted = shares(by_hand, running(auto), endpoints=there)
    assert {name: each for name, (each, _) in granted.items()} == {"auto": 0, "hand": 1}


def test_deployments_without_gpus_share_the_cpus_that_those_with_gpus_leave() -> None:
    on_gpu = scaled("gpu", replicas=1)
    on_cpu = [ask(scaled(name, gpus_per_replica=0.0), 2) for name in ("a", "b")]
    found = shares([ask(on_gpu, 1), *on_cpu], running(on_gpu), nodes=(node(gpus=1.0, cpus=4.0),))
    assert found["gpu"] == (1, None)
    assert sum(replicas for name, (replicas, _) in found.items() if name != "gpu") == 3


def test_deployment_that_cannot_start_holds_no_room() -> None:
    broken, other = scaled("broken"), scaled("other")
    told = failure("broken", permanent=True, spec_digest=spec_digest(broken))
    found = shares([ask(broken, 1, oldest_wait_s=9.0), ask(other, 1)], failures={"broken": told})
    assert (found["broken"][0], found["other"][0]) == (0, 1)


def test_cluster_that_grows_has_room_for_all() -> None:
    desired = DesiredState(deployments={}, can_grow=True)
    found = divide([ask(scaled("a"), 9)], desired, ObservedState(nodes=(node(gpus=1.0),)), 0.0)
    assert found["a"].replicas == 9


@st.composite
def fleets(draw: st.DrawFn) -> tuple[list[Ask], tuple[ObservedApplication, ...], tuple[Endpoint, ...]]:
    asks, applications, endpoints = [], [], []
    used = 0.0
    for name in "abc":
        gpus = draw(st.sampled_from([0.5, 1.0, 2.0]))
        least = draw(st.integers(0, 1))
        one = scaled(name, gpus_per_replica=gpus, scaling=structs.replace(SCALED, min_replicas=least))
        wanted = draw(st.integers(least, 4))
        asks.append(ask(one, wanted, draw(st.integers(0, wanted)), oldest_wait_s=draw(st.sampled_from([0.0, 5.0]))))
        for slot in range(draw(st.integers(0, 2))):
            if used + gpus <= 4:
                used += max(1.0, gpus)
                applications.append(running(one, slot))
                endpoints.append(serving(one, slot, state_since=draw(st.sampled_from([0.0, 995.0]))))
    return asks, tuple(applications), tuple(endpoints)


@given(fleets())
def test_shares_never_add_up_to_more_than_the_gpus(
    fleet: tuple[list[Ask], tuple[ObservedApplication, ...], tuple[Endpoint, ...]],
) -> None:
    asks, applications, endpoints = fleet
    found = shares(
        asks, *applications, endpoints=endpoints, nodes=(node(gpus=4.0), node(id="2", address="2", gpus=2.0))
    )
    used = sum(found[each.deployment.name][0] * each.deployment.need.gpus for each in asks)
    assert used <= 6 + 1e-6
    for each in asks:
        assert 0 <= found[each.deployment.name][0] <= each.wanted


def test_needs_of_others_are_left_to_them() -> None:
    foreign = ObservedApplication(
        name="x~y~0", deployment="x", spec_digest="y", slot=0, node="127.0.0.1", need=Need(gpus=1.0), status="RUNNING"
    )
    assert shares([ask(scaled("a"), 1)], foreign)["a"][0] == 0
