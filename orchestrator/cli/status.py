"""`roundhouse status`: what is served, how much waits, and whether all is well."""

import json
import os
from typing import Any

import typer
from rich.text import Text

from orchestrator.cli.output import AsJson, age, connect, console, show, state
from orchestrator.host.home import Home

_MARKS = {"simulated": " (SIMULATED)", "external": " (outside)"}
_UNKNOWN = "–"


def status(as_json: AsJson = False) -> None:
    """Show what is served, how much waits, and whether all is well."""
    home = Home.of_environment()
    instance = home.instance()
    if not os.environ.get("ROUNDHOUSE_URL") and (instance is None or not home.is_locked()):
        if as_json:
            typer.echo(json.dumps({"running": False, "home": str(home.root)}))
        else:
            console.print(f"Not running (home {home.root}). Start it with `roundhouse up`.")
        raise typer.Exit(3)
    with connect() as api:
        system, deployments, load = api.get("/system"), api.get("/deployments"), api.get("/load")
        replicas, seen = api.get("/replicas"), api.public_models()
    if as_json:
        lists = {"deployments": deployments, "replicas": replicas, "load": load}
        typer.echo(json.dumps({"running": True, "url": api.url, **system, **lists}, indent=2, ensure_ascii=False))
        return
    console.print(f"{api.url}  up {age(system['started_at'])}  serving on the {system['devices'].upper()}")
    for problem in system["problems"]:
        console.print(Text.assemble(("●", "red"), f" {problem}"))
    if not load["routers"]:
        console.print(Text.assemble(("●", "yellow"), " No router reports its load. See the router's log, or start it."))
    _show_deployments([_as_routers_see_it(each, seen.get(each["name"])) for each in deployments], load)


def _as_routers_see_it(row: dict[str, Any], word: str | None) -> dict[str, Any]:
    """Only routers ask engines outside whether they answer: without one that does, ready is not ready."""
    if row["state"] != "ready" or row["ready_replicas"] or word in (None, "ready"):
        return row
    return row | {"state": word, "reason": f"{row['reason']}, which does not answer"}


def _show_deployments(deployments: list[dict[str, Any]], load: dict[str, Any]) -> None:
    loads = {each["model"]: each for each in load["models"]} if load["routers"] else {}

    def of(row: dict[str, Any], figure: str) -> Any:
        return loads[row["name"]][figure] if row["name"] in loads else None

    show(
        deployments,
        [
            ("model", lambda row: row["name"] + _MARKS.get(row["engine"], "")),
            ("state", lambda row: state(row["state"])),
            ("replicas#", replicas_of),
            ("queued#", lambda row: _count(of(row, "queued"))),
            ("oldest wait#", lambda row: _wait(of(row, "oldest_wait_s"))),
            ("in flight#", lambda row: _count(of(row, "in_flight"))),
            ("", lambda row: row["reason"]),
        ],
        False,
        "Nothing is deployed. `roundhouse deploy` serves a model of the library.",
    )


def replicas_of(row: dict[str, Any]) -> str:
    """Ready and wanted replicas; a dash where engines outside alone serve."""
    return _UNKNOWN if row["engine"] == "external" else f"{row['ready_replicas']}/{row['replicas']}"


def _count(number: int | None) -> str:
    return _UNKNOWN if number is None else str(number)


def _wait(seconds: float | None) -> str:
    """Nobody waits: a dash."""
    return f"{seconds:.1f} s" if seconds else _UNKNOWN
