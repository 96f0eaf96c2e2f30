"""How well the production router chooses, in virtual time: short forms of the study, with its targets.

`python -m tests.simulation.study` has all loads, levels and policies; the figures in docs/benchmarks.md are its.
"""

import pytest

from tests.simulation.baselines import ORACLES
from tests.simulation.study import ORACLE, Cell, measure

SHORT = 700
"""Requests of one run."""
SEEDS = range(1, 3)


@pytest.fixture(scope="module")
def conversation() -> Cell:
    """Mooncake's conversation trace near what the fleet can bear."""
    return measure("mooncake", "near", ["prefix-aware", "random", *ORACLES], SEEDS, SHORT)


def test_goodput_is_near_the_oracles_on_a_trace_with_reuse(conversation: Cell) -> None:
    assert conversation.goodput_to("prefix-aware", ORACLE).mean >= 0.9
    assert conversation.goodput_to("prefix-aware", "random").mean >= 1.0


def test_hits_are_near_what_the_caches_can_give(conversation: Cell) -> None:
    assert conversation.hits_to_reachable("prefix-aware").mean >= 0.85
    assert conversation.hits_to_reachable("random").mean < 0.6, "or the load has nothing to tell policies apart by"


def test_load_without_reuse_is_served_as_by_least_loaded() -> None:
    cell = measure("azure", "near", ["prefix-aware", "least-loaded"], SEEDS, SHORT)
    assert cell.goodput_to("prefix-aware", "least-loaded").mean == pytest.approx(1.0, abs=0.02)


def test_conversations_go_back_to_caches_that_cannot_keep_them_all() -> None:
    cell = measure("chats", "near", ["prefix-aware", "ray"], (11, 14), 2000)
    assert cell.goodput_to("prefix-aware", "ray").mean >= 0.9


@pytest.mark.parametrize("load", ["chats", "tenants"])
def test_reuse_is_worth_more_than_even_load(load: str) -> None:
    cell = measure(load, "near", ["prefix-aware", "least-loaded"], SEEDS, SHORT)
    assert cell.goodput_to("prefix-aware", "least-loaded").mean >= 0.99
