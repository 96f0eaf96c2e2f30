"""Which revisions leave a full cache. PURE."""

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

Contents = Mapping[str, int]
"""Size in bytes of each content, by its SHA-256."""


class CachedRevision(Struct, frozen=True, kw_only=True):
    revision: str
    contents: Contents
    last_used_at: float
    """Unix seconds."""
    in_use: bool


class Eviction(Struct, frozen=True):
    revisions: tuple[str, ...]
    """May go, least recently used first. Empty: there is room as it is."""


class NoRoom(Struct, frozen=True, kw_only=True):
    """Not even removing all that nobody uses would make room."""

    wanted_bytes: int
    in_use_bytes: int
    """Of what cannot go and is not wanted itself."""
    capacity_bytes: int


def plan_eviction(cached: Sequence[CachedRevision], wanted: Contents, capacity_bytes: int) -> Eviction | NoRoom:
    """What must go so that what stays and `wanted`, each content counted once, is at most `capacity_bytes`.

    Least recently used first, never what is in use; nothing goes whose going is not needed.
    """
    free_to_go = sorted((each for each in cached if not each.in_use), key=_order)
    fixed = [each for each in cached if each.in_use]
    staying = _Union([wanted, *(each.contents for each in cached)])
    evicted: list[CachedRevision] = []
    for each in free_to_go:
        if staying.total_bytes <= capacity_bytes:
            break
        staying.remove(each.contents)
        evicted.append(each)
    if staying.total_bytes > capacity_bytes:
        wanted_bytes = sum(wanted.values())
        needed_bytes = _Union([wanted, *(each.contents for each in fixed)]).total_bytes
        return NoRoom(
            wanted_bytes=wanted_bytes, in_use_bytes=needed_bytes - wanted_bytes, capacity_bytes=capacity_bytes
        )
    return Eviction(tuple(each.revision for each in _needed(evicted, staying, capacity_bytes)))


def _needed(evicted: Sequence[CachedRevision], staying: "_Union", capacity_bytes: int) -> list[CachedRevision]:
    """`evicted` without those that may stay after all, because others freed enough; the most recent ones stay first."""
    needed = []
    for each in reversed(evicted):
        staying.add(each.contents)
        if staying.total_bytes > capacity_bytes:
            staying.remove(each.contents)
            needed.append(each)
    return needed[::-1]


def _order(each: CachedRevision) -> tuple[float, str]:
    return each.last_used_at, each.revision


class _Union:
    """Contents of several sets, each counted once."""

    def __init__(self, parts: Iterable[Contents]) -> None:
        self._sharers: dict[str, int] = {}
        self.total_bytes = 0
        for part in parts:
            self.add(part)

    def add(self, part: Contents) -> None:
        for sha256, size_bytes in part.items():
            sharers = self._sharers.get(sha256, 0)
            self.total_bytes += 0 if sharers else size_bytes
            self._sharers[sha256] = sharers + 1

    def remove(self, part: Contents) -> None:
        for sha256, size_bytes in part.items():
            self._sharers[sha256] -= 1
            self.total_bytes -= 0 if self._sharers[sha256] else size_bytes
