"""How well the production autoscaler decides, in virtual time: short forms of the study, with its floors.

`infra/bench/autoscale` has all cases, scalers and foresight; the figures in docs/benchmarks.md are its.
"""

import pytest

from tests.simulation.scaling.cases import build
from tests.simulation.scaling.metrics import reversals, score
from tests.simulation.scaling.scalers import Roundhouse
from tests.simulation.scaling.study import OURS, RAY_TUNED, WRONGS, measure
from tests.simulation.scaling.world import run

HELD_OUT = 7
"""A seed that nothing was tuned on."""


@pytest.mark.full
@pytest.mark.parametrize("kind", ["azure x1.6", "bursts"])
def test_target_is_missed_less_and_for_less_than_by_rays_formula_with_tuned_windows(kind: str) -> None:
    row = measure(kind, "cards", 1800.0, HELD_OUT, foresight=False, only=(OURS, RAY_TUNED))
    ours, tuned = row.ours, row.scores[RAY_TUNED]
    assert ours.violation_s < tuned.violation_s
    assert ours.replica_s < tuned.replica_s
    assert not ours.lost


def test_nothing_is_lost_from_zero_and_back() -> None:
    world = run(build("idle", "cards", 900.0, HELD_OUT), Roundhouse())
    assert not score(world).lost
    assert {0, 1} <= {target for _, target in world.models[0].targets}
    assert world.models[0].targets[-1][1] == 0


@pytest.mark.parametrize("wrong", list(WRONGS))
def test_steady_load_is_left_at_rest_even_where_we_are_wrong(wrong: str) -> None:
    world = run(WRONGS[wrong](build("steady", "cards", 300.0, HELD_OUT)), Roundhouse())
    outcome = score(world)
    assert reversals([target for _, target in world.models[0].targets]) <= 2
    assert outcome.late < 0.1
    assert not outcome.lost


def test_gpus_of_two_models_are_never_given_twice() -> None:
    world = run(build("antiphase", "cards", 300.0, HELD_OUT), Roundhouse())
    assert world.most_gpus <= world.case.fleet.gpus
    assert not score(world).lost
