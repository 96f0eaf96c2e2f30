"""Which model a request to an alias goes to."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.alias import best_status, target_of
from router.types import Alias, AliasTarget, ModelStatus

READY, STARTING, STOPPED, FAILED = (
    ModelStatus.READY,
    ModelStatus.STARTING,
    ModelStatus.STOPPED,
    ModelStatus.FAILED,
)
SESSIONS = [f"session-{number}".encode() for number in range(4000)]


def alias(**weights: float) -> Alias:
    targets = tuple(AliasTarget(model, weight) for model, weight in weights.items())
    return Alias(name="gpt", targets=targets, created_at=1.0, updated_at=1.0)


def placed(it: Alias, **statuses: ModelStatus) -> dict[bytes, str | None]:
    known = {target.model: statuses.get(target.model, READY) for target in it.targets}
    return {session: target_of(it, known, session, 0.5) for session in SESSIONS}


def test_alias_shares_sessions_by_weight() -> None:
    counts = Counter(placed(alias(a=90, b=10)).values())
    assert abs(counts["b"] - 400) < 80, "more than four standard deviations"
    assert counts["a"] + counts["b"] == len(SESSIONS)


def test_alias_without_session_follows_the_draw() -> None:
    it, known = alias(a=3, b=1), {"a": READY, "b": READY}
    assert [target_of(it, known, b"", draw) for draw in (0.0, 0.74, 0.76, 0.999999)] == ["a", "a", "b", "b"]


@given(st.integers(1, 100), st.integers(1, 100), st.integers(1, 100), st.integers(1, 50))
def test_alias_whose_target_gains_weight_moves_sessions_to_that_target_alone(a: int, b: int, c: int, more: int) -> None:
    known = dict.fromkeys("abc", READY)
    for session in SESSIONS[:50]:
        before = target_of(alias(a=a, b=b, c=c), known, session, 0.5)
        after = target_of(alias(a=a, b=b + more, c=c), known, session, 0.5)
        assert after in (before, "b")


def test_alias_moves_no_more_sessions_than_the_weights_ask_for() -> None:
    before, after = placed(alias(a=90, b=10)), placed(alias(a=80, b=20))
    moved = sum(before[session] != after[session] for session in SESSIONS)
    assert abs(moved - 400) < 80


def test_target_that_fails_gives_its_sessions_away_and_the_others_keep_theirs() -> None:
    it = alias(a=50, b=30, c=20)
    before, after = placed(it), placed(it, b=FAILED)
    assert {after[session] for session in SESSIONS if before[session] == "b"} == {"a", "c"}
    assert all(after[session] == before[session] for session in SESSIONS if before[session] != "b")


@pytest.mark.parametrize(
    ("a", "b", "chosen"),
    [
        (READY, STARTING, {"a"}),
        (READY, ModelStatus.SWAPPING, {"a", "b"}),
        (READY, ModelStatus.ASLEEP, {"a", "b"}),
        (STARTING, ModelStatus.ASLEEP, {"b"}),
        (STARTING, STOPPED, {"a"}),
        (FAILED, STOPPED, {"a", "b"}),
    ],
)
def test_targets_that_serve_go_before_those_that_start_and_these_before_the_rest(
    a: ModelStatus, b: ModelStatus, chosen: set[str]
) -> None:
    assert set(placed(alias(a=1, b=1), a=a, b=b).values()) == chosen


def test_alias_of_models_that_are_not_there_has_no_target() -> None:
    assert target_of(alias(a=1), {}, b"s", 0.5) is None
    assert target_of(alias(a=1, b=1), {"b": FAILED}, b"s", 0.5) == "b"


def test_alias_is_as_good_as_the_best_of_its_targets() -> None:
    assert best_status([FAILED, STARTING, READY]) is READY
    assert best_status([STOPPED, STARTING]) is STARTING
    assert best_status([]) is FAILED
