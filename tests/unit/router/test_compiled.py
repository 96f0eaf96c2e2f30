"""Whether a build of the hot modules is taken."""

import os
import sys
from pathlib import Path

import pytest

from router.compiled import HOT, PACKAGE, folder, use


@pytest.fixture(autouse=True)
def own_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delenv("ROUNDHOUSE_INTERPRETED", raising=False)


def test_build_of_these_sources_stands_before_them(tmp_path: Path) -> None:
    folder(tmp_path).mkdir()
    found = ["the sources"]
    assert use(found, tmp_path)
    assert found == [str(folder(tmp_path) / "router"), "the sources"]
    assert sys.path[-1] == str(folder(tmp_path))


@pytest.mark.parametrize("builds", [[], ["0123456789abcdef"]], ids=["none", "of other sources"])
def test_sources_run_where_there_is_no_build_of_them(tmp_path: Path, builds: list[str]) -> None:
    for name in builds:
        (tmp_path / name).mkdir()
    found = ["the sources"]
    assert not use(found, tmp_path)
    assert found == ["the sources"]


def test_sources_run_when_it_is_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder(tmp_path).mkdir()
    monkeypatch.setitem(os.environ, "ROUNDHOUSE_INTERPRETED", "1")
    assert not use([], tmp_path)


def test_every_hot_module_is_there_once() -> None:
    assert [name for name in HOT if not (PACKAGE / f"{name}.py").is_file()] == []
    assert len(set(HOT)) == len(HOT)
