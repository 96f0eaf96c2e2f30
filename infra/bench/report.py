"""Tables on the terminal, and floors: what the project promises against what was seen."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from infra.bench.processes import CoreUse

DISTURBED_FROM = 0.05
"""Share of a core's time that others may take without a word."""
_VOID = "void: requests failed"


@dataclass(frozen=True)
class Floor:
    """One promise and what became of it."""

    what: str
    wanted: float
    seen: float | None
    """None when it could not be measured."""
    unit: str = ""
    at_most: bool = False
    """True for a ceiling."""
    void: bool = False
    """Requests failed: the figure counts for nothing."""
    disturbed: bool = False
    """Other programs or the host took part of the time: the figure counts for little."""

    @property
    def met(self) -> bool | None:
        """None when nothing can be said."""
        if self.seen is None or self.void:
            return None
        return self.seen <= self.wanted if self.at_most else self.seen >= self.wanted

    @property
    def verdict(self) -> str:
        """In words."""
        if self.seen is None:
            return "not measured"
        if self.void:
            return _VOID
        return f"{self._comparison} (disturbed)" if self.disturbed else self._comparison

    @property
    def _comparison(self) -> str:
        assert self.seen is not None
        if self.met:
            return "met"
        if not self.wanted:
            return f"{self.seen:g} too many"
        if self.at_most:
            return f"over by {self.seen / self.wanted - 1:.0%}"
        return f"short by {1 - self.seen / self.wanted:.0%}"

    def as_json(self) -> dict[str, object]:
        """The figures and the verdict."""
        fields = {"what": self.what, "wanted": self.wanted, "seen": self.seen, "unit": self.unit}
        return fields | {"at_most": self.at_most, "met": self.met, "disturbed": self.disturbed, "verdict": self.verdict}


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """The first column is a name, the others are numbers."""
    table = [list(columns), *map(list, rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(columns))]
    print(f"\n{title}")
    for row in table:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        print("  " + "   ".join(cells).rstrip())


def print_floors(floors: Sequence[Floor]) -> None:
    """Every promise of this run beside what was seen."""

    def number(value: float | None) -> str:
        if value is None:
            return "-"
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"

    rows = []
    for floor in floors:
        wanted = ("≤ " if floor.at_most else "≥ ") + number(floor.wanted)
        rows.append((floor.what, wanted, number(floor.seen), floor.unit, floor.verdict))
    print_table("Floors", ("", "wanted", "seen", "", "verdict"), rows)


def middle(values: Iterable[float]) -> float:
    """The median; 0 of nothing."""
    known = list(values)
    return median(known) if known else 0.0


def ratio_of_rounds(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Median of the rounds' ratios: a machine that drifts between rounds does not drift between neighbours."""
    return middle(one / other for one, other in zip(ours, theirs, strict=True) if other)


def percent(share: float) -> str:
    """A share from 0 to 1, without decimals."""
    return f"{share:.0%}"


def cores_columns(uses: Sequence[CoreUse]) -> tuple[str, str, str]:
    """Median busy share of the system's and of the load's core, and what was stolen of each (median)."""
    stolen = (middle(use.system_stolen for use in uses), middle(use.load_stolen for use in uses))
    busy = (middle(use.system_busy for use in uses), middle(use.load_busy for use in uses))
    return percent(busy[0]), percent(busy[1]), " / ".join(map(percent, stolen))


def foreign_remark(shares: Iterable[float]) -> str:
    """Says if other programs disturbed the system under test; `shares` of core 0 by round."""
    worst = max(shares, default=0.0)
    return f"others took up to {worst:.0%} of core 0" if worst > DISTURBED_FROM else ""


def remarks(*each: str) -> str:
    """What makes a row worth less, in one cell."""
    return "; ".join(filter(None, each))


CORES_HEADINGS = ("core 0 busy", "core 1 busy", "stolen 0 / 1")


def cores_json(uses: Sequence[CoreUse]) -> list[dict[str, float]]:
    """One object a round."""
    return [{name: round(value, 4) for name, value in vars(use).items()} for use in uses]
