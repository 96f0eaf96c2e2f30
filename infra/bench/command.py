"""What every bench has as a command: its options, its JSON, its end by Ctrl-C."""

import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


def bench_parser(
    name: str, doc: str | None, *, quick: str = "to see that it works, not to quote", full: str = "to quote"
) -> ArgumentParser:
    """Options of `infra/bench/NAME` that every bench takes; `quick` and `full` say what is special about them."""
    parser = ArgumentParser(prog=f"infra/bench/{name}", description=doc)
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--quick", action="store_true", help=quick)
    length.add_argument("--full", action="store_true", help=full)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    return parser


def length_of(options: Namespace) -> str:
    """`quick`, `usual` or `full`."""
    return "quick" if options.quick else "full" if options.full else "usual"


def write_json(file: Path | None, report: Mapping[str, Any]) -> None:
    """Where a file was asked for."""
    if file is not None:
        file.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n")


def run_bench(main: Callable[[], None]) -> None:
    """Ctrl-C is an end like another."""
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
