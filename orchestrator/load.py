"""What all routers together see of the load. PURE."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from msgspec import structs

from router.histogram import Counts, added
from router.types import CanaryCounts, ModelLoad, RevisionCounts, RouterReport

_HIGHEST = frozenset({"oldest_wait_s"})
"""The figures of which the largest counts; all others add up."""


def total_load(reports: Iterable[RouterReport]) -> Mapping[str, ModelLoad]:
    """The load of each model, by name, over the routers that reported. A model without traffic is not in it."""
    total: dict[str, ModelLoad] = {}
    for report in reports:
        for name, load in report.models.items():
            total[name] = _sum(total[name], load) if name in total else load
    return total


def total_canary(reports: Iterable[RouterReport], model: str, canary_id: str) -> CanaryCounts:
    """How both revisions of a model fare by all routers together, since the canary of this id began."""
    told = [each.canaries[model] for each in reports if model in each.canaries]
    mine = [each for each in told if each.id == canary_id]
    return CanaryCounts(
        id=canary_id, old=_counts([each.old for each in mine]), new=_counts([each.new for each in mine])
    )


def _counts(parts: Sequence[RevisionCounts]) -> RevisionCounts:
    finishes: Counter[str] = Counter()
    first_token: Counts = ()
    whole: Counts = ()
    for part in parts:
        finishes.update(part.finishes)
        first_token, whole = added(first_token, part.first_token_s), added(whole, part.whole_s)
    return RevisionCounts(
        answered=sum(part.answered for part in parts),
        failed=sum(part.failed for part in parts),
        refused=sum(part.refused for part in parts),
        finishes=dict(finishes),
        first_token_s=first_token,
        whole_s=whole,
    )


def _sum(one: ModelLoad, other: ModelLoad) -> ModelLoad:
    first, second = structs.asdict(one), structs.asdict(other)
    return ModelLoad(
        **{name: max(first[name], second[name]) if name in _HIGHEST else first[name] + second[name] for name in first}
    )
