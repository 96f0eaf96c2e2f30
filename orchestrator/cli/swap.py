"""`swap`, `rollback`, `swaps`: other weights under a public name."""

import time
from typing import Annotated, Any, Literal

import typer

from orchestrator.cli.output import AsJson, age, connect, console, path_of, show, state
from orchestrator.client import AdminClient
from orchestrator.errors import SwapFailedError

Deadline = Annotated[
    float | None, typer.Option("--deadline", min=0, help="Seconds for requests in flight to end; then they are cut.")
]
Wait = Annotated[bool, typer.Option(help="Return when it is done.")]


def swap(
    name: Annotated[str, typer.Argument(help="Public name of the deployment.")],
    revision: Annotated[
        str | None, typer.Argument(help="Digest of a revision of its model, or its beginning; left out: the newest.")
    ] = None,
    strategy: Annotated[
        Literal["in-place", "surge", "restart"] | None,
        typer.Option(help="Left out: what the two revisions and the free hardware allow."),
    ] = None,
    deadline: Deadline = None,
    queue: Annotated[bool, typer.Option("--queue", help="Behind a swap that is on.")] = False,
    wait: Wait = True,
) -> None:
    """Serve another revision under the same name, under load, without a failed request."""
    with connect() as api:
        body = {
            "revision": _revision(api, name, revision),
            "strategy": strategy,
            "deadline_s": deadline,
            "queue": queue,
        }
        _follow(api, api.post(path_of("deployments", name, "swap"), body), wait=wait)


def rollback(name: Annotated[str, typer.Argument(help="Public name of the deployment.")], wait: Wait = True) -> None:
    """Go back to the revision from before the last swap."""
    with connect() as api:
        _follow(api, api.post(path_of("deployments", name, "rollback")), wait=wait)


def list_swaps(
    name: Annotated[str, typer.Argument(help="Public name of the deployment.")], as_json: AsJson = False
) -> None:
    """List the last swaps of a deployment, oldest first."""
    with connect() as api:
        found = api.get(path_of("deployments", name, "swaps"))
    show(
        found,
        [
            ("to revision", lambda row: row["to_revision"][:19]),
            ("from", lambda row: row["from_revision"][:19]),
            ("state", lambda row: state(row["step"])),
            ("how", lambda row: row["strategy"]),
            ("age", lambda row: age(row["started_at"])),
            ("took", lambda row: f"{row['ended_at'] - row['started_at']:.1f} s" if row["ended_at"] else ""),
            ("by", lambda row: row["by"]),
            ("", lambda row: row["reason"] or row["detail"]),
        ],
        as_json,
        f"{name} was never swapped. `roundhouse swap {name} REVISION` serves other weights.",
    )


def _revision(api: AdminClient, name: str, wanted: str | None) -> str:
    """The whole digest. What is not found is left for the server to say."""
    deployment = api.get(path_of("deployments", name))
    if not deployment["model"]:
        return wanted or ""
    model = api.get(path_of("models", deployment["model"]))
    if wanted is None:
        return str(model["revision"])
    digits = wanted.removeprefix("sha256:")
    found = [each["digest"] for each in model["revisions"] if each["digest"].removeprefix("sha256:").startswith(digits)]
    return str(found[0]) if len(found) == 1 else wanted


def _follow(api: AdminClient, begun: dict[str, Any], *, wait: bool) -> None:
    """Show how far it is until it has ended. Raises SwapFailedError with the reason."""
    if not begun["active"]:
        console.print(begun["reason"])
        return
    console.print(f"{begun['deployment']} → {begun['to_revision']}, {begun['strategy']}: {begun['why']}")
    swap, path = begun, path_of("deployments", begun["deployment"], "swaps")
    with console.status(swap["detail"] or swap["step"]) as display:
        while wait and swap["active"]:
            time.sleep(0.2)
            swap = next(each for each in api.get(path) if each["id"] == begun["id"])
            display.update(swap["detail"] or swap["step"])
    if swap["step"] == "failed":
        raise SwapFailedError(swap["reason"])
    if wait:
        took_s = swap["ended_at"] - swap["started_at"]
        console.print(f"Done in {took_s:.1f} s. `roundhouse rollback {swap['deployment']}` goes back.")
