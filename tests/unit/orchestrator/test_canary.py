"""The replicas that a canary has of its own, its way to routers, its strategy, its counts, its commands."""

from typing import Any

import pytest
from typer.testing import CliRunner

from orchestrator.application_names import application_name
from orchestrator.canary import beside, replicas_for, split_of, with_canaries
from orchestrator.cli import alias, swap
from orchestrator.cli.app import app
from orchestrator.load import total_canary
from orchestrator.reconcile import plan, spec_digest
from orchestrator.swap_strategy import Revised, choose_for_canary
from orchestrator.swap_types import SwapStrategy
from orchestrator.types import DeployedCanary, DesiredState, ObservedState, StartApplication, Weights
from replicas.weights.manifest import Manifest
from router.types import Canary, CanaryCounts, RevisionCounts, RouterReport
from tests.unit.orchestrator.builders import application, deployment, node

NEW = Weights("sha256:b", "/b")
ALONE = Revised(Manifest(()), {"hidden_size": 8})
OTHER = Revised(Manifest(()), {"hidden_size": 16})


def on_trial(**fields: Any) -> DeployedCanary:
    given: dict[str, Any] = {"id": "s", "weights": NEW, "share": 0.1}
    return DeployedCanary(**(given | fields))


def test_canary_in_place_has_no_replicas_of_its_own() -> None:
    it = deployment(canary=on_trial())
    assert beside(it) is None
    assert split_of(it) == Canary(id="s", revision="sha256:b", share=0.1)
    assert split_of(deployment()) is None


def test_canary_of_its_own_replicas_runs_beside_its_deployment_and_is_ended_with_it() -> None:
    it = deployment(replicas=1, canary=on_trial(replicas=2))
    own = beside(it)
    assert own is not None
    assert (own.name, own.revision, own.weights_path, own.replicas) == ("chat+canary", "sha256:b", "/b", 2)
    desired, observed = DesiredState(deployments={"chat": it}), ObservedState(nodes=(node(),))
    started = [each for each in plan(with_canaries(desired), observed, 0.0) if isinstance(each, StartApplication)]
    assert [each.deployment.name for each in started] == ["chat", "chat+canary", "chat+canary"]
    name = application_name(own.name, spec_digest(own), 0)
    running = ObservedState(nodes=(node(),), applications={name: application(own.name, spec_digest(own))})
    actions = plan(with_canaries(DesiredState(deployments={"chat": deployment(replicas=0)})), running, 0.0)
    assert [each.name for each in actions if not isinstance(each, StartApplication)] == [name]


def test_replicas_of_a_canary_do_not_start_again_when_those_of_its_deployment_are_replaced() -> None:
    before, after = (beside(deployment(generation=each, canary=on_trial(replicas=1))) for each in (1, 2))
    assert before is not None
    assert after is not None
    assert spec_digest(before) == spec_digest(after)


@pytest.mark.parametrize(
    ("share", "of", "wanted"), [(0.1, 1, 1), (0.1, 10, 1), (0.1, 11, 2), (0.5, 3, 2), (0.3, 10, 3)]
)
def test_canary_has_enough_replicas_for_its_share(share: float, of: int, wanted: int) -> None:
    assert replicas_for(share, of) == wanted


@pytest.mark.parametrize(
    ("after", "replicas", "spare", "strategy", "why"),
    [
        (ALONE, 2, False, SwapStrategy.IN_PLACE, "same architecture"),
        (ALONE, 1, True, SwapStrategy.SURGE, "there is one replica alone, and there is room"),
        (ALONE, 1, False, None, "there is one replica alone, and there is no room"),
        (OTHER, 2, True, SwapStrategy.SURGE, "config.json differs (hidden_size), and there is room"),
        (OTHER, 2, False, None, "config.json differs (hidden_size), and there is no room"),
        (ALONE, 0, True, None, "there is no replica to compare it with"),
    ],
)
def test_strategy_of_a_canary_has_both_revisions_side_by_side(
    after: Revised, replicas: int, spare: bool, strategy: SwapStrategy | None, why: str
) -> None:
    chosen, said = choose_for_canary(ALONE, after, replicas=replicas, spare=spare)
    assert chosen is strategy
    assert why in str(said)


def test_counts_of_a_canary_are_added_up_over_the_routers_that_know_it() -> None:
    one = RevisionCounts(answered=2, failed=1, refused=1, finishes={"stop": 2}, first_token_s=(0, 2))
    two = RevisionCounts(answered=3, finishes={"stop": 1, "length": 2}, first_token_s=(1, 0, 2))

    def report(router: str, canary_id: str, new: RevisionCounts) -> RouterReport:
        return RouterReport(router_id=router, at=1.0, models={}, canaries={"chat": CanaryCounts(id=canary_id, new=new)})

    reports = [report("a", "s", one), report("b", "s", two), report("c", "before", two)]
    total = total_canary([*reports, RouterReport(router_id="d", at=1.0, models={})], "chat", "s")
    assert total == CanaryCounts(
        id="s",
        new=RevisionCounts(answered=5, failed=1, refused=1, finishes={"stop": 3, "length": 2}, first_token_s=(1, 2, 2)),
    )


class RecordingApi:
    """Stands in for `AdminClient`."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Any]] = []

    def __enter__(self) -> "RecordingApi":
        return self

    def __exit__(self, *_: object) -> None: ...

    def get(self, _path: str) -> Any:
        return {"model": ""}

    def post(self, path: str, body: dict[str, Any]) -> Any:
        self.sent.append((path, body))
        return {"active": False, "reason": "told", "deployment": "chat"}

    def put(self, path: str, body: dict[str, Any]) -> Any:
        self.sent.append((path, body))
        total = sum(each["weight"] for each in body["targets"])
        return {"targets": [each | {"share": each["weight"] / total} for each in body["targets"]]}


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> RecordingApi:
    made = RecordingApi()
    for module in (alias, swap):
        monkeypatch.setattr(module, "connect", lambda: made)
    return made


@pytest.mark.parametrize(
    ("words", "canary"),
    [
        ([], None),
        (["--canary", "10%"], {"share": 0.1}),
        (["--canary", "0.25", "--canary-for", "2m"], {"share": 0.25, "for_s": 120.0}),
        (["--canary", "50%", "--canary-requests", "7"], {"share": 0.5, "requests": 7}),
    ],
)
def test_swap_sends_the_canary_that_was_asked_for(api: RecordingApi, words: list[str], canary: Any) -> None:
    done = CliRunner().invoke(app, ["swap", "chat", "sha256:b", *words])
    assert done.exit_code == 0, done.output
    ((path, body),) = api.sent
    assert (path, body["canary"]) == ("/deployments/chat/swap", canary)


@pytest.mark.parametrize("words", [["--canary", "0%"], ["--canary", "100%"], ["--canary", "x"], ["--canary-for", "5m"]])
def test_canary_that_is_none_is_refused_before_anything_is_sent(api: RecordingApi, words: list[str]) -> None:
    assert CliRunner().invoke(app, ["swap", "chat", "sha256:b", *words]).exit_code != 0
    assert api.sent == []


def test_rollback_of_a_canary_that_has_gone_back_is_no_failure(
    api: RecordingApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    swap_view = {"id": "s", "deployment": "chat", "from_revision": "sha256:a", "detail": "", "reason": "It was."}
    monkeypatch.setattr(api, "post", lambda *_: swap_view | {"active": True, "step": "returning"})
    monkeypatch.setattr(api, "get", lambda _: [swap_view | {"active": False, "step": "failed"}])
    done = CliRunner().invoke(app, ["rollback", "chat"])
    assert (done.exit_code, "chat goes back to sha256:a" in done.output) == (0, True), done.output


def test_alias_set_sends_weights_and_says_shares(api: RecordingApi) -> None:
    done = CliRunner().invoke(app, ["alias", "set", "gpt", "a=90", "b=10"])
    assert (done.exit_code, "gpt → 90% a, 10% b" in done.output) == (0, True), done.output
    assert api.sent == [("/aliases/gpt", {"targets": [{"model": "a", "weight": 90}, {"model": "b", "weight": 10}]})]
    assert CliRunner().invoke(app, ["alias", "set", "gpt", "a=much"]).exit_code != 0
    assert len(api.sent) == 1
