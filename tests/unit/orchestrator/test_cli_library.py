"""`roundhouse model diff` and `model search` against an API that only remembers what it was asked."""

import json
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import pytest
from typer.testing import CliRunner, Result

from orchestrator.cli import comparison, search
from orchestrator.cli.app import app
from orchestrator.errors import ConflictError

FIRST, SECOND, BROKEN, THIRD = ("sha256:" + each * 64 for each in ("a1", "b2", "c3", "d4"))
STATES = {FIRST: "ready", SECOND: "ready", BROKEN: "rejected", THIRD: "ready"}
SAME = {"same_files": 1, "before_files": 0, "before_bytes": 0, "after_files": 0, "after_bytes": 0}
FOUND = {
    "before": SECOND, "after": THIRD, "equal": False,
    "settings": [
        {"path": "config.json", "changes": [{"key": "[red]k", "before": "1", "after": None}], "more": 3},
    ],
    "texts": [{"path": "chat_template.jinja", "lines": ["@@ -1 +1 @@", "-a", "+b"], "more": 0}],
    "files": [{"path": "vocab.txt", "before_bytes": None, "after_bytes": 7}],
    "weights": SAME | {"before_files": 1, "before_bytes": 100, "after_files": 2, "after_bytes": 2**30},
}  # fmt: skip
LISTED = {
    "id": "Qwen/Qwen3-0.6B", "source": "hf:Qwen/Qwen3-0.6B", "task": "text-generation", "parameters": 596049920,
    "licence": "apache-2.0", "downloads": 1234, "likes": 7, "updated_at": 1767225600.0, "gated": True,
    "in_library": "small",
}  # fmt: skip


@dataclass
class RecordingApi:
    answer: Any
    states: dict[str, str] = field(default_factory=lambda: STATES)
    asked: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def get(self, path: str) -> Any:
        if path == "/models/tiny":
            return {"revisions": [{"digest": digest, "state": state} for digest, state in self.states.items()]}
        self.asked.append(path)
        return self.answer


def run(monkeypatch: pytest.MonkeyPatch, api: RecordingApi, *words: str) -> Result:
    for module in (comparison, search):
        monkeypatch.setattr(module, "connect", lambda: api)
    return CliRunner().invoke(app, ["model", *words])


@pytest.mark.parametrize(
    ("words", "after", "since"),
    [
        ([], THIRD, None),
        (["a1"], THIRD, FIRST),
        (["sha256:a1a1", "b2"], SECOND, FIRST),
        ([FIRST, BROKEN], BROKEN, FIRST),
        (["nothing"], THIRD, "nothing"),
    ],
)
def test_diff_asks_for_the_revisions_that_are_meant(
    monkeypatch: pytest.MonkeyPatch, words: list[str], after: str, since: str | None
) -> None:
    api = RecordingApi(FOUND)
    assert run(monkeypatch, api, "diff", "tiny", *words).exit_code == 0
    (path,) = map(urlsplit, api.asked)
    assert path.path == f"/models/tiny/revisions/{after}/changes"
    assert parse_qs(path.query) == ({} if since is None else {"since": [since]})


def test_diff_prints_what_differs_and_takes_no_name_for_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = run(monkeypatch, RecordingApi(FOUND), "diff", "tiny").output.splitlines()
    assert [line for line in lines if line] == [
        f"{SECOND} → {THIRD}", "config.json", "- [red]k: 1", "… 3 more settings",
        "chat_template.jinja", "@@ -1 +1 @@", "-a", "+b", "other files", "+ vocab.txt (7 bytes)",
        "weights (files that are the same: 1)", "- files: 1 (100 bytes)", "+ files: 2 (1.00 GiB)",
    ]  # fmt: skip


def test_diff_of_equal_revisions_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    same = FOUND | {"equal": True, "settings": [], "texts": [], "files": [], "weights": SAME}
    output = run(monkeypatch, RecordingApi(same), "diff", "tiny").output
    assert "Nothing differs." in output
    assert "The weights are the same." in output


def test_diff_as_json_is_what_the_api_says(monkeypatch: pytest.MonkeyPatch) -> None:
    assert json.loads(run(monkeypatch, RecordingApi(FOUND), "diff", "tiny", "--json").output) == FOUND


def test_diff_of_a_model_without_a_ready_revision_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    done = run(monkeypatch, RecordingApi(FOUND, {BROKEN: "rejected"}), "diff", "tiny")
    assert isinstance(done.exception, ConflictError)


@pytest.mark.parametrize(("words", "hub"), [([], "hf"), (["--hub", "modelscope"], "modelscope")])
def test_search_asks_the_hub_for_all_the_words(monkeypatch: pytest.MonkeyPatch, words: list[str], hub: str) -> None:
    api = RecordingApi([LISTED])
    output = run(monkeypatch, api, "search", "qwen3", "0.6b", *words).output
    assert api.asked == [f"/hubs/{hub}/models?query=qwen3+0.6b"]
    for shown in ("hf:Qwen/Qwen3-0.6B", "596M", "1.23k", "2026-01-01", "in the library as small", "needs a token"):
        assert shown in output


def test_search_that_finds_nothing_says_what_to_try(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "--hub" in run(monkeypatch, RecordingApi([]), "search", "nothing").output


def test_search_shows_what_the_hub_does_not_tell_as_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    untold = LISTED | {"parameters": None, "downloads": None, "likes": None, "updated_at": None, "gated": False}
    row = run(monkeypatch, RecordingApi([untold | {"in_library": ""}]), "search", "qwen3").output.splitlines()[-1]
    assert row.split() == ["hf:Qwen/Qwen3-0.6B", "text-generation", "apache-2.0"]
