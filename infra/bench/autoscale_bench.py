"""The autoscaler beside Ray Serve's, a queue target, a fixed fleet and foresight, in virtual time.

Production `decide`, `allocate` and dispatcher before simulated engines that start and stop; `tests/simulation/scaling`
is the simulation. Engines are simulated, so this says how well it is decided, not how fast anything is. Nothing here
depends on the machine: the same seeds give the same figures.
"""

import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from infra.bench.command import bench_parser, length_of, run_bench, write_json
from infra.bench.report import Floor, print_floors, print_table
from tests.simulation.scaling.cases import BUILDERS
from tests.simulation.scaling.metrics import Score
from tests.simulation.scaling.others import OTHERS
from tests.simulation.scaling.study import RAY_TUNED, Row, measure, measure_wrong

LENGTHS = {
    "quick": (("cards",), 1200.0, (1,), False),
    "usual": (("cards",), 1800.0, (1,), True),
    "full": (("cards", "large"), 3600.0, (1, 2), True),
}
"""Fleets, seconds of each case, seeds, and whether foresight is asked."""
WRONG_KINDS = {"quick": ("steps",), "usual": ("steady", "steps"), "full": ("steady", "steps", "waves")}
MOST_TO_LEAST = 1.35
MOST_REVERSALS_PER_H = 2.0


def _print(row: Row) -> None:
    least = row.least
    rows = [(name, *_cells(each)) for name, each in row.scores.items()]
    if least is not None:
        rows.append(("foresight", *_cells(least)))
    columns = ("", "violation s", "late", "p99 wait s", "replica-s", "reversals/h", "lost")
    ratio = "" if row.to_least is None else f"; ours ÷ foresight {row.to_least:.2f}"
    print_table(f"{row.case}, {row.fleet}, seed {row.seed}: {row.requests:,} requests{ratio}", columns, rows)


def _cells(each: Score) -> tuple[str, ...]:
    return (
        f"{each.violation_s:,.0f}", f"{each.late:.1%}", f"{each.p99_wait_s:.1f}", f"{each.replica_s:,.0f}",
        f"{each.reversals_per_h:.1f}", str(each.lost),
    )  # fmt: skip


def _print_wrong(kind: str, scores: Mapping[str, Score]) -> None:
    columns = ("", "violation s", "late", "p99 wait s", "replica-s", "reversals/h", "lost")
    print_table(f"{kind}, where we are wrong", columns, [(name, *_cells(each)) for name, each in scores.items()])


def _floors(rows: Sequence[Row], wrong: Mapping[str, Mapping[str, Score]]) -> list[Floor]:
    floors = [Floor("requests lost", 0, float(sum(row.ours.lost for row in rows)), at_most=True)]
    for row in rows:
        where = f"{row.case}, {row.fleet}, {row.seed}"
        tuned = row.scores[RAY_TUNED]
        floors += [
            Floor(f"{where}: violation beside Ray tuned", tuned.violation_s, row.ours.violation_s, "s", at_most=True),
            Floor(f"{where}: replica-s beside Ray tuned", tuned.replica_s, row.ours.replica_s, "s", at_most=True),
        ]
        if row.to_least is not None:
            floors.append(Floor(f"{where}: ÷ foresight", MOST_TO_LEAST, row.to_least, at_most=True))
        if row.stationary:
            floors.append(
                Floor(f"{where}: reversals", MOST_REVERSALS_PER_H, row.ours.reversals_per_h, "/h", at_most=True)
            )
    for name, each in wrong.get("steady", {}).items():
        floors.append(
            Floor(f"steady, {name}: reversals", MOST_REVERSALS_PER_H, each.reversals_per_h, "/h", at_most=True)
        )
    return floors


def main() -> None:
    """Runs, prints, writes the JSON."""
    options = _parse()
    length = length_of(options)
    fleets, duration_s, usual_seeds, foresight = LENGTHS[length]
    seeds = options.seeds or usual_seeds
    rows: list[Row] = []
    for fleet in fleets:
        for kind in options.only or (OTHERS if options.others else BUILDERS):
            for seed in seeds:
                print(f"{kind}, {fleet}, seed {seed}", file=sys.stderr, flush=True)
                rows.append(measure(kind, fleet, duration_s, seed, foresight=foresight))
                _print(rows[-1])
                write_json(options.json, _report(rows, {}))
    named = options.only or options.others
    wrong = {} if named else {kind: measure_wrong(kind, "cards", duration_s, 1) for kind in WRONG_KINDS[length]}
    for kind, scores in wrong.items():
        _print_wrong(kind, scores)
    print_floors(_floors(rows, wrong))
    write_json(options.json, _report(rows, wrong))


def _report(rows: Sequence[Row], wrong: Mapping[str, Mapping[str, Score]]) -> dict[str, Any]:
    floors = [floor.as_json() for floor in _floors(rows, wrong)]
    return {"rows": msgspec.to_builtins(rows), "wrong": msgspec.to_builtins(wrong), "floors": floors}


def _parse() -> Namespace:
    parser = bench_parser(
        "autoscale", __doc__, quick="short cases, without foresight", full="two fleets, an hour each, two seeds"
    )
    parser.add_argument(
        "--only", nargs="+", choices=[*BUILDERS, *OTHERS], metavar="KIND", help="these kinds of traffic"
    )
    parser.add_argument("--others", action="store_true", help="other kinds of traffic, drawn at random, in their place")
    parser.add_argument("--seeds", nargs="+", type=int, metavar="N", help="other seeds")
    return parser.parse_args()


if __name__ == "__main__":
    run_bench(main)
