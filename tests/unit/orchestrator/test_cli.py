"""Commands against an API that only remembers what it was asked."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pytest
from typer.main import get_command
from typer.testing import CliRunner, Result

from orchestrator.cli import deploy, key, status
from orchestrator.cli.app import app
from orchestrator.errors import HostError, InvalidRequestError
from orchestrator.host.home import Home

URL = "https://far.example/v1"
LOAD = {"routers": 2, "models": [{"model": "chat", "queued": 3, "oldest_wait_s": 1.25, "in_flight": 7}]}
DEPLOYMENTS = [
    {"name": "chat", "engine": "simulated", "state": "ready", "reason": "", "ready_replicas": 1, "replicas": 2},
    {"name": "far", "engine": "external", "state": "ready", "reason": "outside", "ready_replicas": 0, "replicas": 0},
]


@dataclass
class RecordingApi:
    """Stands in for `AdminClient`."""

    answers: dict[str, Any]
    sent: list[tuple[str, str, Any]] = field(default_factory=list)
    statuses: dict[str, str] = field(default_factory=dict)
    url: str = "http://house"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def get(self, path: str) -> Any:
        return self.answers[path]

    def put(self, path: str, body: dict[str, Any]) -> Any:
        self.sent.append(("PUT", path, body))
        shown = {"replicas": body.get("replicas") or (0 if body["engine"] == "external" else 1)}
        return body | shown

    def post(self, path: str, body: dict[str, Any]) -> Any:
        self.sent.append(("POST", path, body))
        return {"key": "rh-secret"}

    def public_models(self) -> dict[str, str]:
        return self.statuses


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> RecordingApi:
    made = RecordingApi({
        "/models": [{"name": "tiny"}],
        "/deployments/tiny": {"ready_replicas": 1},
        "/deployments": DEPLOYMENTS,
        "/replicas": [],
        "/load": LOAD,
        "/system": {"started_at": 0.0, "devices": "cpu", "problems": []},
        "/keys": [
            {"id": "1", "name": "bob", "role": "user", "hint": "rh-a…", "created_at": 0.0, "tenant": "acme",
             "weight": 2.5, "max_priority": "high"}
        ],
    })  # fmt: skip
    for module in (deploy, key, status):
        monkeypatch.setattr(module, "connect", lambda: made)
    monkeypatch.setenv("ROUNDHOUSE_URL", made.url)
    monkeypatch.setenv("ROUNDHOUSE_HOME", str(tmp_path))
    return made


def call(*words: str, stdin: str = "") -> Result:
    return CliRunner().invoke(app, list(words), input=stdin)


def put_body(api: RecordingApi, path: str) -> dict[str, Any]:
    ((method, sent_to, body),) = api.sent
    assert (method, sent_to) == ("PUT", path)
    return dict(body)


@pytest.mark.parametrize(
    ("words", "routing"),
    [
        ([], {}),
        (["--policy", "least-loaded"], {"policy": "least-loaded"}),
        (["--policy", "power-of-two", "--target-ttft", "0.5"], {"policy": "power-of-two", "target_ttft_s": 0.5}),
        (["--max-in-flight", "3", "--queue-requests", "0"], {"max_in_flight": 3, "queue_requests": 0}),
        (["--queue-timeout", "5"], {"queue_timeout_s": 5.0}),
        (["--cold-start-timeout", "60"], {"cold_start_timeout_s": 60.0}),
        (["--continue-streams"], {"continue_streams": True}),
        (["--no-continue-streams"], {"continue_streams": False}),
    ],
)
def test_deploy_sends_the_routing_options_that_were_given_and_no_others(
    api: RecordingApi, words: list[str], routing: dict[str, Any]
) -> None:
    done = call("deploy", "tiny", *words)
    assert done.exit_code == 0, done.output
    body = put_body(api, "/deployments/tiny")
    assert json.loads(json.dumps(body["routing"])) == routing
    assert (body["model"], body["engine"], body["external"]) == ("tiny", "vllm", [])


def test_deploy_of_own_replicas_sends_their_options_by_their_names_in_the_api(api: RecordingApi) -> None:
    words = ["--replicas", "2", "--gpus", "0.5", "--max-model-len", "512", "--drain-deadline", "7"]
    assert call("deploy", "tiny", *words, "--engine-args", '{"seed": 1}').exit_code == 0
    body = put_body(api, "/deployments/tiny")
    own = {"replicas": 2, "gpus_per_replica": 0.5, "max_model_len": 512, "drain_deadline_s": 7.0}
    assert {name: body[name] for name in own} == own
    assert body["engine_args"] == {"seed": 1}


def test_deploy_of_an_engine_outside_under_a_name_of_its_own_has_no_model(api: RecordingApi) -> None:
    api.statuses["big"] = "ready"
    done = call("deploy", "big", "--external", URL, "--external-model", "gpt", "--external-limit", "9")
    assert (done.exit_code, "big is ready" in done.output) == (0, True), done.output
    body = put_body(api, "/deployments/big")
    assert (body["engine"], "model" in body, body["replicas"]) == ("external", False, None)
    assert body["external"] == [{"name": "far.example", "url": URL, "model": "gpt", "max_in_flight": 9}]


@pytest.mark.parametrize(
    ("words", "engine"),
    [([], "vllm"), (["--engine", "simulated"], "simulated"), (["--engine", "external"], "external")],
)
def test_deploy_of_a_model_of_the_library_with_an_engine_outside_has_both_unless_told_otherwise(
    api: RecordingApi, words: list[str], engine: str
) -> None:
    api.statuses["tiny"] = "ready"
    assert call("deploy", "tiny", "--external", URL, "--external-weight", "0.5", *words).exit_code == 0
    body = put_body(api, "/deployments/tiny")
    assert body["engine"] == engine
    assert body["external"] == [{"name": "far.example", "url": URL, "weight": 0.5}]


def test_deploy_waits_for_the_engine_outside_to_answer_a_router(
    api: RecordingApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.statuses["big"] = "starting"
    monkeypatch.setattr(deploy, "_ANSWERED_WITHIN_S", 0.0)
    done = call("deploy", "big", "--external", URL)
    assert isinstance(done.exception, HostError)
    assert "has not answered yet" in done.exception.message
    assert call("deploy", "big", "--external", URL, "--no-wait").exit_code == 0


@pytest.mark.parametrize("way", ["file", "stdin"])
def test_deploy_reads_the_key_of_an_engine_outside_and_never_prints_it(
    api: RecordingApi, tmp_path: Path, way: str
) -> None:
    (tmp_path / "key").write_text("sk-secret\n")
    file, stdin = (str(tmp_path / "key"), "") if way == "file" else ("-", "sk-secret\n")
    done = call("deploy", "big", "--external", URL, "--external-key-file", file, "--no-wait", stdin=stdin)
    assert put_body(api, "/deployments/big")["external"][0]["key"] == "sk-secret"
    assert "sk-secret" not in done.output


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--external-model", "gpt"], "--external-model needs --external"),
        (["--external-key-file", "/k"], "--external-key-file needs --external"),
        (["--external", URL, "--external-key-file", "/no/such/file"], "cannot be read"),
        (["--external", URL, "--external-key-file", "-"], "no key in what came on stdin"),
    ],
)
def test_deploy_with_options_that_do_not_fit_says_so_before_anything_is_sent(
    api: RecordingApi, words: list[str], reason: str
) -> None:
    done = call("deploy", "big", *words)
    assert isinstance(done.exception, InvalidRequestError)
    assert reason in done.exception.message
    assert api.sent == []


def test_status_shows_who_waits_and_how_long(api: RecordingApi) -> None:
    lines = call("status").output.splitlines()
    heads, chat, far = next(
        (line, *lines[number + 1 : number + 3]) for number, line in enumerate(lines) if line.startswith("model")
    )
    assert [word for word in ("queued", "oldest wait", "in flight") if word in heads] == [
        "queued",
        "oldest wait",
        "in flight",
    ]
    assert chat.split() == ["chat", "(SIMULATED)", "●", "ready", "1/2", "3", "1.2", "s", "7"]
    assert far.split() == ["far", "(outside)", "●", "ready", "–", "–", "–", "–", "outside"]


@pytest.mark.parametrize(
    ("seen", "shown"),
    [
        ({"chat": "ready", "far": "ready"}, ["● ready", "outside"]),
        ({"chat": "ready", "far": "starting"}, ["● starting", "outside, which does not answer"]),
        ({}, ["● ready", "outside"]),
    ],
)
def test_status_of_an_engine_outside_is_what_routers_see(
    api: RecordingApi, seen: dict[str, str], shown: list[str]
) -> None:
    api.statuses |= seen
    far = next(line for line in call("status").output.splitlines() if line.startswith("far"))
    assert [each for each in shown if each in far] == shown
    assert ("does not answer" in far) is ("starting" in shown[0])


def test_status_without_a_router_knows_nothing_of_the_load(api: RecordingApi) -> None:
    api.answers["/load"] = {"routers": 0, "models": LOAD["models"]}
    done = call("status")
    assert "No router reports" in done.output
    chat = next(line for line in done.output.splitlines() if line.startswith("chat"))
    assert chat.split() == ["chat", "(SIMULATED)", "●", "ready", "1/2", "–", "–", "–"]


def test_status_as_json_holds_the_load(api: RecordingApi) -> None:
    told = json.loads(call("status", "--json").output)
    assert (told["running"], told["load"], told["deployments"]) == (True, LOAD, DEPLOYMENTS)


def test_status_of_a_home_where_nothing_runs_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("ROUNDHOUSE_URL", raising=False)
    monkeypatch.setenv("ROUNDHOUSE_HOME", str(tmp_path))
    assert Home.of_environment().instance() is None
    assert call("status").exit_code == 3


@pytest.mark.parametrize(
    ("words", "share"),
    [
        ([], {"tenant": "", "weight": 1.0, "max_priority": "normal"}),
        (
            ["--tenant", "acme", "--weight", "2.5", "--max-priority", "high"],
            {"tenant": "acme", "weight": 2.5, "max_priority": "high"},
        ),
    ],
)
def test_key_is_created_with_its_share(api: RecordingApi, words: list[str], share: dict[str, Any]) -> None:
    assert call("key", "create", "bob", *words).output.strip() == "rh-secret"
    assert api.sent == [("POST", "/keys", {"name": "bob", "role": "user", **share})]


def test_keys_are_listed_with_their_share(api: RecordingApi) -> None:
    row = call("key", "list").output.splitlines()[1]
    assert row.split()[:7] == ["1", "bob", "user", "rh-a…", "acme", "2.5", "high"]


def test_every_option_of_deploy_has_a_name_of_its_own_and_a_description() -> None:
    parameters = get_command(app).commands["deploy"].params  # type: ignore[attr-defined]
    names = [name for each in parameters for name in (*each.opts, *each.secondary_opts)]
    assert len(names) == len(set(names))
    assert {"--policy", "--no-continue-streams", "--external-key-file", "--drain-deadline"} <= set(names)
    assert [each.name for each in parameters if not each.help] == []
