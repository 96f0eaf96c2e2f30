"""`roundhouse model prefetch` against an API that tells of a fetch step by step."""

from dataclasses import dataclass, field
from typing import Any, Self

import pytest
from typer.testing import CliRunner, Result

from orchestrator.cli import prefetch
from orchestrator.cli.app import app

DIGEST = "sha256:" + "a" * 64
PATH = f"/models/tiny/revisions/{DIGEST}/prefetch"


def node(
    address: str, *, done_bytes: int | None = None, has: bool = False, refused_at: float | None = None
) -> dict[str, Any]:
    fetches = [] if done_bytes is None else [{"revision": DIGEST, "done_bytes": done_bytes, "total_bytes": 10}]
    refusals = [] if refused_at is None else [{"revision": DIGEST, "reason": "The disk is full.", "at": refused_at}]
    weights = {"revisions": [DIGEST] if has else [], "fetches": fetches, "refusals": refusals}
    return {"address": address, "weights": weights}


@dataclass
class TellingApi:
    """Each look at the nodes shows the next of `looks`."""

    said: list[dict[str, str]]
    looks: list[list[dict[str, Any]]]
    sent: list[tuple[str, Any]] = field(default_factory=list)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def get(self, path: str) -> Any:
        return {"revision": DIGEST} if path == "/models/tiny" else self.looks.pop(0)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        self.sent.append((path, body))
        return self.said


def said(**states: str) -> list[dict[str, str]]:
    return [
        {"node": address, "state": state, "reason": "It is away." if state == "refused" else ""}
        for address, state in states.items()
    ]


def run(monkeypatch: pytest.MonkeyPatch, api: TellingApi, *words: str) -> Result:
    monkeypatch.setattr(prefetch, "connect", lambda: api)
    monkeypatch.setattr(prefetch, "_POLL_S", 0.0)
    return CliRunner().invoke(app, ["model", "prefetch", "tiny", *words])


def test_prefetch_follows_every_node_until_it_has_the_revision(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = [
        [node("a", done_bytes=5), node("b")],
        [node("a", has=True), node("b", done_bytes=9)],
        [node("b", has=True)],
    ]
    api = TellingApi(said(a="fetching", b="fetching", c="present"), looks)
    result = run(monkeypatch, api)
    assert result.exit_code == 0, result.output
    assert f"3 of 3 nodes have {DIGEST}" in result.output
    assert api.sent == [(PATH, {"nodes": None})]
    assert api.looks == []


def test_prefetch_tells_which_nodes_cannot_have_it_and_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = [
        [node("a", refused_at=1.0), node("b")],
        [node("a", refused_at=1.0), node("b", done_bytes=1)],
        [node("a", refused_at=0.5), node("b", has=True)],
    ]
    api = TellingApi(said(a="fetching", b="fetching", c="refused"), looks)
    result = run(monkeypatch, api, "--node", "a", "--node", "b", "--node", "c", "--revision", DIGEST)
    assert result.exit_code == 1
    assert "a: The disk is full." in result.output
    assert "c: It is away." in result.output
    assert "1 of 3 nodes" in result.output
    assert api.sent == [(PATH, {"nodes": ["a", "b", "c"]})]


def test_prefetch_ends_when_a_node_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(monkeypatch, TellingApi(said(a="fetching"), [[], [{"address": "a", "weights": None}]]))
    assert result.exit_code == 1
    assert "does not report any more" in result.output
