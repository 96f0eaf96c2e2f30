"""What all routers together see of the load. PURE."""

from collections.abc import Iterable, Mapping

from msgspec import structs

from router.types import ModelLoad, RouterReport

_HIGHEST = frozenset({"oldest_wait_s"})
"""The figures of which the largest counts; all others add up."""


def total_load(reports: Iterable[RouterReport]) -> Mapping[str, ModelLoad]:
    """The load of each model, by name, over the routers that reported. A model without traffic is not in it."""
    total: dict[str, ModelLoad] = {}
    for report in reports:
        for name, load in report.models.items():
            total[name] = _sum(total[name], load) if name in total else load
    return total


def _sum(one: ModelLoad, other: ModelLoad) -> ModelLoad:
    first, second = structs.asdict(one), structs.asdict(other)
    return ModelLoad(
        **{name: max(first[name], second[name]) if name in _HIGHEST else first[name] + second[name] for name in first}
    )
