"""The examination of whole folders, in this process: every hostile one is refused for its own reason."""

from pathlib import Path

import pytest

from orchestrator.library.verification.examine import examine
from orchestrator.library.verification.refusal import Refusal
from tests.hostile_case import Hostile
from tests.hostile_models import CASES


@pytest.mark.parametrize("case", [case for case in CASES if not case.needs_limits], ids=str)
def test_examine_refuses_for_the_right_reason_when_folder_is_hostile(tmp_path: Path, case: Hostile) -> None:
    folder = tmp_path / "model"
    case.make(folder)
    with pytest.raises(Refusal) as refused:
        examine(folder)
    assert refused.value.code == case.code, str(refused.value)
    assert refused.value.file.endswith(case.file[-160:]), str(refused.value)
    assert str(refused.value).startswith(refused.value.file)
    assert str(refused.value).isprintable()
