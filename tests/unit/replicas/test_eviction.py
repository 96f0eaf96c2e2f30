from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicas.weights.eviction import CachedRevision, Eviction, NoRoom, plan_eviction

SIZES = {name: size for size, name in enumerate("abcdefgh", start=1)}
"""Bytes of each content that there is."""


def cached(name: str, contents: str, last_used_at: float, *, in_use: bool = False) -> CachedRevision:
    sizes = {each: SIZES[each] for each in contents}
    return CachedRevision(revision=name, contents=sizes, last_used_at=last_used_at, in_use=in_use)


def union_bytes(*parts: str) -> int:
    return sum(SIZES[each] for each in set("".join(parts)))


OLD, NEW = cached("old", "ab", 1.0), cached("new", "gh", 2.0)


@pytest.mark.parametrize(
    ("revisions", "wanted", "capacity", "expected"),
    [
        ([OLD, NEW], "c", 21, ()),
        ([OLD, NEW], "c", 20, ("old",)),
        ([NEW, OLD], "c", 20, ("old",)),
        ([OLD, NEW], "cdef", 20, ("old", "new")),
        ([OLD, NEW], "ab", 18, ()),
        ([cached("old", "ab", 1.0, in_use=True), NEW], "c", 20, ("new",)),
        # The oldest shares all that it has with one in use: that it goes frees nothing, so it stays.
        (
            [cached("old", "gh", 1.0), cached("used", "gh", 2.0, in_use=True), cached("next", "f", 3.0)],
            "a",
            16,
            ("next",),
        ),
        # Two that share everything go together or not at all.
        ([cached("one", "gh", 1.0), cached("two", "gh", 2.0)], "f", 10, ("one", "two")),
        ([cached("small", "a", 1.0), cached("large", "h", 2.0)], "g", 8, ("large",)),
        ([], "", 0, ()),
    ],
)
def test_plan_evicts_the_least_recently_used_until_there_is_room(
    revisions: list[CachedRevision], wanted: str, capacity: int, expected: tuple[str, ...]
) -> None:
    assert plan_eviction(revisions, {each: SIZES[each] for each in wanted}, capacity) == Eviction(expected)


def test_plan_refuses_when_what_is_in_use_leaves_no_room() -> None:
    used = cached("used", "gh", 1.0, in_use=True)
    plan = plan_eviction([used, cached("other", "a", 2.0)], {"g": 7, "c": 3}, 15)
    assert plan == NoRoom(wanted_bytes=10, in_use_bytes=8, capacity_bytes=15)


CONTENTS = st.sets(st.sampled_from(sorted(SIZES)), min_size=1).map("".join)


@st.composite
def caches(draw: st.DrawFn) -> list[CachedRevision]:
    rows = draw(st.lists(st.tuples(CONTENTS, st.integers(0, 3), st.booleans()), max_size=6))
    return [cached(f"r{i}", contents, float(at), in_use=used) for i, (contents, at, used) in enumerate(rows)]


def left_bytes(revisions: list[CachedRevision], wanted: str, gone: set[str]) -> int:
    return union_bytes(wanted, *("".join(each.contents) for each in revisions if each.revision not in gone))


@given(revisions=caches(), wanted=CONTENTS, capacity=st.integers(0, 40))
def test_plan_keeps_what_is_in_use_and_evicts_no_more_than_it_must(
    revisions: list[CachedRevision], wanted: str, capacity: int
) -> None:
    plan = plan_eviction(revisions, {each: SIZES[each] for each in wanted}, capacity)
    idle = {each.revision for each in revisions if not each.in_use}
    if isinstance(plan, NoRoom):
        assert left_bytes(revisions, wanted, idle) > capacity
        return
    gone = set(plan.revisions)
    assert gone <= idle
    assert left_bytes(revisions, wanted, gone) <= capacity
    assert all(left_bytes(revisions, wanted, gone - {each}) > capacity for each in gone)


@given(revisions=caches(), wanted=CONTENTS, capacity=st.integers(0, 40))
def test_plan_never_evicts_a_more_recent_one_where_older_ones_would_do(
    revisions: list[CachedRevision], wanted: str, capacity: int
) -> None:
    plan = plan_eviction(revisions, {each: SIZES[each] for each in wanted}, capacity)
    if isinstance(plan, NoRoom) or not plan.revisions:
        return
    order = sorted((each for each in revisions if not each.in_use), key=lambda each: (each.last_used_at, each.revision))
    newest = max(index for index, each in enumerate(order) if each.revision in plan.revisions)
    older = [each.revision for each in order[:newest]]
    subsets = (set(some) for count in range(len(older) + 1) for some in combinations(older, count))
    assert all(left_bytes(revisions, wanted, some) > capacity for some in subsets)
