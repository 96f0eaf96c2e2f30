"""The routing-quality study: all policies under all loads, several seeds each.

    python -m tests.simulation.study [--quick] [--json FILE] [--loads a,b] [--levels near] [--policies x,y]

Prints a table for each load and level. Figures are means over seeds with half of a 95 % confidence interval; ratios are
taken seed by seed, for a seed is a load. `--quick` is two seeds of short loads, to see that everything works.
"""

import argparse
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from pathlib import Path
from statistics import fmean

import msgspec
from msgspec import Struct

from tests.simulation.baselines import BASELINES, ORACLES
from tests.simulation.bounds import ReuseBounds, reuse_bounds
from tests.simulation.cases import CASES, LEVELS, load_of
from tests.simulation.harness import run
from tests.simulation.metrics import Estimate, Figures, estimate, figures, ratio

ORACLE = "oracle"
"""The best of `ORACLES`, by mean goodput under a load."""


class Cell(Struct):
    """One load at one level: figures by policy, one for each seed."""

    load: str
    level: str
    bounds: list[ReuseBounds]
    figures: dict[str, list[Figures]]

    def goodput(self, policy: str) -> list[float]:
        """By seed."""
        return [each.goodput for each in self.figures[self._name(policy)]]

    def hit_rate(self, policy: str) -> list[float]:
        """By seed."""
        return [each.hit_rate for each in self.figures[self._name(policy)]]

    def _name(self, policy: str) -> str:
        if policy != ORACLE or ORACLE in self.figures:
            return policy
        return max(self.oracles, key=lambda name: fmean(each.goodput for each in self.figures[name]))

    @property
    def oracles(self) -> list[str]:
        """Those that were run."""
        return [name for name in ORACLES if name in self.figures]

    @property
    def reachable(self) -> list[float]:
        """By seed, the hit rate that can be reached with these caches: the best of those who know what is in them,
        but not more than one pooled cache would give."""
        known = zip(*(self.hit_rate(name) for name in self.oracles), strict=True)
        return [min(bounds.pooled, max(rates)) for bounds, rates in zip(self.bounds, known, strict=True)]

    def goodput_to(self, policy: str, other: str) -> Estimate:
        """Goodput of one policy relative to another's, seed by seed."""
        return ratio(self.goodput(policy), self.goodput(other))

    def hits_to_reachable(self, policy: str) -> Estimate:
        """Hit rate relative to what can be reached, seed by seed."""
        return ratio(self.hit_rate(policy), self.reachable)


def measure(load: str, level: str, policies: Iterable[str], seeds: Iterable[int], requests: int) -> Cell:
    """Runs every policy under one load, with the same arrivals for all of them."""
    known = {**BASELINES, **ORACLES}
    cell = Cell(load, level, [], {name: [] for name in policies})
    for seed in seeds:
        made = load_of(load, LEVELS[level], seed, requests)
        cell.bounds.append(reuse_bounds(made))
        for name, found in cell.figures.items():
            found.append(figures(run(made, known[name], seed)))
    return cell


_COLUMNS = (
    ("goodput/s", 12),
    ("of offered", 11),
    ("of oracle", 12),
    ("TTFT p50", 10),
    ("TTFT p99", 11),
    ("ITL ms", 10),
    ("hits", 13),
    ("of infinite", 12),
    ("of reachable", 13),
    ("imbalance", 10),
    ("refused", 8),
)


def table(cell: Cell) -> Iterator[str]:
    """Lines of a cell's table."""
    pooled, infinite = (fmean(getattr(each, name) for each in cell.bounds) for name in ("pooled", "infinite"))
    yield f"\n{cell.load}, {cell.level}: hits with an infinite cache {infinite:.3f}, with one pooled cache {pooled:.3f}"
    yield " " * 17 + "".join(f"{name:>{width}}" for name, width in _COLUMNS)
    shown = [name for name in cell.figures if name not in ORACLES] + ([ORACLE] if cell.oracles else [])
    for name in shown:
        yield f"{name:17}" + "".join(
            f"{text:>{width}}" for text, (_, width) in zip(_row(cell, name), _COLUMNS, strict=True)
        )


def _row(cell: Cell, policy: str) -> Sequence[str]:
    found = cell.figures[cell._name(policy)]
    share = fmean(each.goodput / each.offered for each in found)
    hits = estimate([each.hit_rate for each in found])
    infinite = [bounds.infinite for bounds in cell.bounds]
    reuse = any(infinite)
    return (
        str(estimate(cell.goodput(policy))),
        f"{share:.1%}",
        _of_oracle(cell, policy),
        f"{fmean(each.ttft_p50_s for each in found):.2f}",
        f"{fmean(each.ttft_p99_s for each in found):.2f}",
        f"{fmean(each.itl_s for each in found) * 1000:.1f}",
        str(hits),
        f"{ratio(cell.hit_rate(policy), infinite).mean:.1%}" if reuse else "-",
        f"{cell.hits_to_reachable(policy).mean:.1%}" if reuse and cell.oracles else "-",
        f"{fmean(each.imbalance for each in found):.2f}",
        f"{fmean(each.refused for each in found):.1%}",
    )


def _of_oracle(cell: Cell, policy: str) -> str:
    if not cell.oracles:
        return "-"
    found = cell.goodput_to(policy, ORACLE)
    return f"{found.mean:.1%} ±{found.half:.1%}"


def main(arguments: Sequence[str] | None = None) -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--loads", type=lambda given: given.split(","), default=list(CASES))
    parser.add_argument("--levels", type=lambda given: given.split(","), default=list(LEVELS))
    parser.add_argument("--policies", type=lambda given: given.split(","), default=[*BASELINES, *ORACLES])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=2500)
    given = parser.parse_args(arguments)
    seeds, requests = (2, 500) if given.quick else (given.seeds, given.requests)
    began, cells = time.monotonic(), []
    for load, level in product(given.loads, given.levels):
        cells.append(measure(load, level, given.policies, range(1, seeds + 1), requests))
        print(*table(cells[-1]), sep="\n", flush=True)  # noqa: T201
        if given.json is not None:
            given.json.write_bytes(msgspec.json.format(msgspec.json.encode(cells)))
    sys.stderr.write(f"{time.monotonic() - began:.0f} s\n")


if __name__ == "__main__":
    main()
