"""What is wrong, rule by rule."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.history import ModelPoint, Point
from orchestrator.problems import Fix, Problem, Remedy, Severity, Situation, problems_in
from orchestrator.scaling.types import ScalingSettings
from orchestrator.sentences import Saying, heard, say
from orchestrator.swap_types import Swap, SwapStep, SwapStrategy
from orchestrator.types import Deployment, DeploymentState, DeploymentStatus, Model, ObservedState, Weights
from replicas.host_types import HostRecord
from replicas.types import ReplicaState
from router.types import Credential, CredentialKind, ModelLoad, Role
from tests.unit.orchestrator.builders import deployment, endpoint, failure, node, outside

NOW = 100_000.0
GB = 10**9


def status(state: DeploymentState, reason: str = "because", **changes: Any) -> DeploymentStatus:
    values: dict[str, Any] = {"ready_replicas": 0, "starting_replicas": 0, "described_at": 100.0}
    return DeploymentStatus(state=state, reason=heard(reason), **(values | changes))


def host(**changes: Any) -> HostRecord:
    values: dict[str, Any] = {
        "address": "127.0.0.1", "port": 1, "token": "", "hostname": "h", "folder": "", "started_at": 0.0,
        "disk_free_bytes": 500 * GB,
    }  # fmt: skip
    return HostRecord(**(values | changes))


def seen(*deployments: Deployment, **changes: Any) -> Situation:
    """A cluster of one host in good order."""
    values: dict[str, Any] = {
        "now": NOW,
        "started_at": 0.0,
        "deployments": {each.name: each for each in deployments},
        "statuses": {each.name: status(DeploymentState.READY, ready_replicas=each.replicas) for each in deployments},
        "observed": observed(),
    }
    return Situation(**(values | changes))


def observed(**changes: Any) -> ObservedState:
    return ObservedState(**({"nodes": (node(),), "hosts": (host(),)} | changes))


def only(situation: Situation) -> Problem:
    (problem,) = problems_in(situation)
    return problem


def recently(**figures: Any) -> Point:
    return Point(at=NOW - 120, span_s=120, models={"chat": ModelPoint(**figures)})


def swap(step: SwapStep, ended_at: float | None) -> Swap:
    weights = Weights("sha256:a", "")
    return Swap(
        id="s", deployment="chat", before=weights, after=weights, strategy=SwapStrategy.IN_PLACE, step=step,
        why=say(Saying.ASKED_FOR), reason=heard("The proof failed."), started_at=0, step_since=0, ended_at=ended_at,
    )  # fmt: skip


def key(expires_at: float | None) -> Credential:
    return Credential(id="k", name="team", role=Role.USER, kind=CredentialKind.KEY, created_at=0, expires_at=expires_at)


def test_cluster_in_good_order_has_no_problem() -> None:
    assert problems_in(seen(deployment(), swaps={"chat": [swap(SwapStep.DONE, NOW)]}, keys=[key(None)])) == ()


FAILED = {"chat": status(DeploymentState.FAILED, "no memory.")}
HOMELESS = {"chat": status(DeploymentState.STARTING, "no room")}
DEGRADED = {"chat": status(DeploymentState.DEGRADED, ready_replicas=1)}
WAITING = {"chat": ModelLoad(queued=7, oldest_wait_s=12.0)}
SLOW = recently(requests=50, queue_s=(0,) * 17 + (50,))
SCALE_TO_2 = Fix(remedy=Remedy.SCALE, name="chat", replicas=2)


@pytest.mark.parametrize(
    ("situation", "kind", "severity", "fix", "words"),
    [
        (seen(ray_connected=False), "ray_away", "bad", "nodes", "Ray cannot be reached"),
        (seen(cluster_problem="It went wrong."), "cluster", "bad", None, "It went wrong."),
        (seen(routers=0), "no_router", "bad", None, "No router"),
        (seen(observed=observed(nodes=(node(alive=False),))), "node_lost", "bad", "nodes", "is lost"),
        (seen(observed=observed(hosts=())), "node_silent", "warning", "nodes", "does not tell"),
        (seen(observed=observed(hosts=(host(disk_free_bytes=7 * GB),))), "disk_low", "warning", "models", "7 GB"),
        (seen(observed=observed(hosts=(host(disk_free_bytes=GB),))), "disk_low", "bad", "models", "1 GB"),
        (
            seen(deployment(replicas=3), statuses=FAILED),
            "deployment_failed",
            "bad",
            Fix(remedy=Remedy.RETRY, name="chat"),
            "chat could not start: no memory.",
        ),
        (
            seen(deployment(replicas=2), statuses=DEGRADED, observed=observed(failures={"chat": failure()})),
            "deployment_degraded",
            "warning",
            None,
            "1 of 2",
        ),
        (seen(deployment(gpus_per_replica=1), statuses=HOMELESS), "no_room", "bad", "deployments", "No host has room"),
        (
            seen(deployment(), statuses={"chat": status(DeploymentState.STOPPED)}, loads=WAITING),
            "asked_while_stopped",
            "bad",
            Fix(remedy=Remedy.SCALE, name="chat", replicas=1),
            "7 requests wait for chat, which is stopped",
        ),
        (seen(deployment(), loads=WAITING), "queue_grows", "warning", SCALE_TO_2, "the oldest for 12 s"),
        (
            seen(deployment(gpus_per_replica=1), loads=WAITING),
            "queue_grows",
            "warning",
            "nodes",
            "7 requests wait",
        ),
        (seen(deployment(), recent=recently(requests=40, errors=10)), "errors", "bad", "replicas", "25%"),
        (seen(deployment(), recent=SLOW), "slow", "warning", SCALE_TO_2, "within 2 s"),
        (
            seen(
                deployment(),
                observed=observed(endpoints=(endpoint(state=ReplicaState.STARTING, state_since=NOW - 400),)),
            ),
            "start_is_long",
            "warning",
            None,
            "for 6 min",
        ),
        (
            seen(deployment(), swaps={"chat": [swap(SwapStep.FAILED, NOW - 60)]}),
            "swap_failed",
            "warning",
            "deployments?swap=chat",
            "The proof failed.",
        ),
        (
            seen(models={"m": Model(name="m", created_at=0, failure=heard("Not found."))}),
            "import_failed",
            "warning",
            "models",
            "import of m failed: Not found.",
        ),
        (seen(keys=[key(NOW + 3 * 86400 + 5)]), "key_ends", "warning", "keys", "in 3 days"),
        (
            seen(deployment(), observed=observed(endpoints=(endpoint(),)), cordons=frozenset({"chat-1"})),
            "all_cordoned",
            "bad",
            Fix(remedy=Remedy.UNCORDON, name="chat-1"),
            "is cordoned",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_problem_says_what_is_wrong_and_offers_what_mends_it(
    situation: Situation, kind: str, severity: str, fix: Fix | str | None, words: str
) -> None:
    problem = only(situation)
    assert (problem.kind, problem.severity) == (kind, severity)
    assert problem.fix == (Fix(remedy=Remedy.OPEN, page=fix) if isinstance(fix, str) else fix)
    assert words in problem.message


@pytest.mark.parametrize(
    "situation",
    [
        seen(ray_connected=False, routers=0, started_at=NOW - 5),
        seen(deployment(updated_at=101.0), statuses=FAILED),
        seen(deployment(), statuses={"chat": status(DeploymentState.STARTING, starting_replicas=1)}),
        seen(deployment(), statuses=HOMELESS),
        seen(deployment(), loads={"chat": ModelLoad(queued=7, oldest_wait_s=1.0)}),
        seen(deployment(replicas=2), statuses=DEGRADED, loads=WAITING),
        seen(deployment(), recent=recently(requests=19, errors=19)),
        seen(deployment(), recent=recently(requests=100, errors=5, first_token_s=(100,))),
        seen(deployment(), swaps={"chat": [swap(SwapStep.FAILED, NOW - 2 * 86400)]}),
        seen(deployment(), swaps={"chat": [swap(SwapStep.FAILED, 5), swap(SwapStep.DONE, 6)]}),
        seen(keys=[key(NOW + 30 * 86400)]),
        seen(
            deployment(),
            observed=observed(endpoints=(endpoint(), endpoint(number=2))),
            cordons=frozenset({"chat-1"}),
        ),
    ],
    ids=[
        "just started", "of an older wish", "starting", "room is there", "short wait", "more are coming",
        "too few requests", "few errors", "old swap", "later swap", "key lasts", "one serves",
    ],
)  # fmt: skip
def test_nothing_is_said_where_nothing_is_wrong(situation: Situation) -> None:
    assert problems_in(situation) == ()


@pytest.mark.parametrize("statuses", [FAILED, DEGRADED])
def test_problem_of_a_replica_that_failed_leads_to_its_last_words(statuses: dict[str, DeploymentStatus]) -> None:
    failed = observed(failures={"chat": failure(replica_id="chat-9")})
    assert only(seen(deployment(replicas=2), statuses=statuses, observed=failed)).log == "chat-9"


def test_engines_outside_are_not_offered_another_replica() -> None:
    far = deployment(engine=None, replicas=0, external=(outside(),))
    ready = {"chat": status(DeploymentState.READY)}
    assert only(seen(far, statuses=ready, loads=WAITING)).fix is None


BACK = (node(alive=False, id="before"), node())


@pytest.mark.parametrize("leaving", [frozenset({"127.0.0.1"}), frozenset()], ids=["went on purpose", "came back"])
def test_host_that_is_not_missed_is_not_reported_lost(leaving: frozenset[str]) -> None:
    nodes = BACK[:1] if leaving else BACK
    assert problems_in(seen(observed=observed(nodes=nodes), leaving=leaving)) == ()


def test_host_that_was_lost_more_than_once_is_reported_once() -> None:
    nodes = (node(alive=False, id="before"), node(alive=False))
    assert only(seen(observed=observed(nodes=nodes))).kind == "node_lost"


@pytest.mark.parametrize(
    ("state", "loads", "recent"),
    [
        (DeploymentState.STOPPED, WAITING, None),
        (DeploymentState.READY, WAITING, None),
        (DeploymentState.READY, {}, SLOW),
    ],
)
def test_deployment_that_scales_by_rules_is_led_to_them_instead_of_being_set_by_hand(
    state: DeploymentState, loads: dict[str, ModelLoad], recent: Point | None
) -> None:
    scaled = deployment(scaling=ScalingSettings(min_replicas=1, max_replicas=3))
    situation = seen(scaled, statuses={"chat": status(state, ready_replicas=1)}, loads=loads, recent=recent)
    assert only(situation).fix == Fix(remedy=Remedy.OPEN, page="deployments?scaling=chat")


@given(st.permutations([0, 1, 2]))
def test_worst_comes_first(order: list[int]) -> None:
    hosts = [host(hostname=str(each), disk_free_bytes=each * 4 * GB) for each in order]
    found = problems_in(seen(observed=observed(hosts=tuple(hosts))))
    assert [each.severity for each in found] == [Severity.BAD, Severity.WARNING, Severity.WARNING]
