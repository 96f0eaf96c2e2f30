"""`scale`, `scaling`: how many replicas, and why."""

import json
import time
from datetime import datetime
from typing import Annotated, Any

import typer

from orchestrator.cli.durations import parse_duration
from orchestrator.cli.output import AsJson, age, connect, console, path_of, show
from orchestrator.errors import InvalidRequestError
from orchestrator.host.progress import duration

_SHOWN = 20


def scale(
    name: Annotated[str, typer.Argument(help="Public name of the deployment.")],
    replicas: Annotated[int | None, typer.Argument(min=0, help="Left out with --auto.")] = None,
    for_s: Annotated[
        float | None,
        typer.Option("--for", parser=parse_duration, metavar="TIME", help="Then the load decides again, like 2h."),
    ] = None,
    auto: Annotated[bool, typer.Option("--auto", help="Take back what was set by hand: the load decides.")] = False,
) -> None:
    """Set the number of replicas, or let it follow the load again."""
    if auto is (replicas is not None):
        raise InvalidRequestError(
            f"Say either how many replicas (`roundhouse scale {name} 2`) or `roundhouse scale {name} --auto`."
        )
    with connect() as api:
        changed = api.post(path_of("deployments", name, "scale"), {"replicas": replicas, "for_s": for_s, "auto": auto})
    if auto:
        console.print(f"{name}: the load decides, {_bounds(changed['scaling'])}.")
    else:
        console.print(f"{name}: {replicas} replicas wanted{_until(changed['override'])}.")


def show_scaling(
    name: Annotated[str, typer.Argument(help="Public name of the deployment.")], as_json: AsJson = False
) -> None:
    """Show the last decisions of the autoscaler, with their reasons; with --json all of them and their figures."""
    with connect() as api:
        scaling = api.get(path_of("deployments", name, "scaling"))
    if as_json:
        typer.echo(json.dumps(scaling, indent=2, ensure_ascii=False))
        return
    console.print(f"{name}: {scaling['replicas']} replicas wanted, {_in_words(scaling)}")
    show(
        scaling["records"][-_SHOWN:],
        [
            ("age", lambda row: age(row["at"])),
            ("replicas", lambda row: f"{row['before']} → {row['granted']}"),
            ("", lambda row: row["reason"] + (f" Short of room: {row['shortage']}." if row["shortage"] else "")),
        ],
        False,
        "Nothing was decided yet.",
    )


def _in_words(scaling: dict[str, Any]) -> str:
    if scaling["scaling"] is None:
        return "a fixed number. `roundhouse deploy` with --max-replicas makes it follow the load."
    if scaling["override"] is None:
        return f"by the load, {_bounds(scaling['scaling'])}."
    return f"set by hand{_until(scaling['override'])}; `roundhouse scale {scaling['deployment']} --auto` takes it back."


def _bounds(scaling: dict[str, Any]) -> str:
    return f"from {scaling['min_replicas']} to {scaling['max_replicas']}"


def _until(override: dict[str, Any] | None) -> str:
    if override is None or override["until"] is None:
        return ""
    at = datetime.fromtimestamp(override["until"]).astimezone()
    return f" until {at:%H:%M} (in {duration(override['until'] - time.time())})"
