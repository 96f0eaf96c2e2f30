import errno
from pathlib import Path

import pytest

from orchestrator.errors import ModelRejectedError
from orchestrator.library.adopt import adopt
from replicas.weights.contents import Contents
from tests.unit.replicas.test_contents import FIRST, content, folder


@pytest.mark.parametrize("link", [False, True])
def test_adopt_of_a_folder_stages_its_files_and_tells_how_far_it_is(tmp_path: Path, link: bool) -> None:
    source, _ = folder(tmp_path / "host", FIRST | {".cache/x": b"hidden"})
    told: list[int] = []
    manifest = adopt(source, tmp_path / "staging", told.append, link=link)
    assert content(tmp_path / "staging") == FIRST
    assert told[-1] == manifest.total_bytes == 10_002
    assert (source / "config.json").samefile(tmp_path / "staging" / "config.json") is link
    contents = Contents(tmp_path / "library")
    assert content(contents.publish(tmp_path / "staging", manifest)) == FIRST


def test_adopt_that_fails_leaves_no_staging(tmp_path: Path) -> None:
    source, _ = folder(tmp_path / "host", FIRST)

    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    with pytest.raises(OSError, match="full"):
        adopt(source, tmp_path / "staging", fail, link=False)
    assert not (tmp_path / "staging").exists()
    with pytest.raises(ModelRejectedError, match="no folder"):
        adopt(tmp_path / "nowhere", tmp_path / "staging", fail, link=False)
