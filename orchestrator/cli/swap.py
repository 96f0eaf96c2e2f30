"""`swap`, `rollback`, `swaps`: other weights under a public name."""

import time
from typing import Annotated, Any, Literal

import typer

from orchestrator.cli.durations import parse_duration
from orchestrator.cli.output import AsJson, age, connect, console, path_of, show, state, whole_digest
from orchestrator.client import AdminClient
from orchestrator.errors import InvalidRequestError, SwapFailedError


def _share(text: str) -> float:
    """0 to 1, from `10%` or `0.1`. Raises BadParameter."""
    number, percent, _ = text.strip().partition("%")
    try:
        share = float(number) / (100 if percent else 1)
    except ValueError:
        share = 0.0
    if not 0 < share < 1:
        raise typer.BadParameter(f"{text!r} is not a share between 0% and 100%, as in 10%.")
    return share


Deadline = Annotated[
    float | None, typer.Option("--deadline", min=0, help="Seconds for requests in flight to end; then they are cut.")
]
Canary = Annotated[
    float | None,
    typer.Option(
        "--canary",
        parser=_share,
        metavar="PERCENT",
        help="Try it on so many of the sessions first, as 10%; it then follows or goes back by how it fares.",
    ),
]
CanaryFor = Annotated[
    float | None,
    typer.Option("--canary-for", parser=parse_duration, metavar="TIME", help="Shortest trial; 10m without it."),
]
CanaryRequests = Annotated[
    int | None, typer.Option(min=1, help="Answers that each revision must have given by its end; 100 without it.")
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
    canary: Canary = None,
    canary_for: CanaryFor = None,
    canary_requests: CanaryRequests = None,
    queue: Annotated[bool, typer.Option("--queue", help="Behind a swap that is on.")] = False,
    wait: Wait = True,
) -> None:
    """Serve another revision under the same name, under load, without a failed request."""
    with connect() as api:
        body = {
            "revision": _revision(api, name, revision),
            "strategy": strategy,
            "deadline_s": deadline,
            "canary": _canary(canary, canary_for, canary_requests),
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
            ("", lambda row: row["reason"] or row["detail"] or row["verdict"]),
        ],
        as_json,
        f"{name} was never swapped. `roundhouse swap {name} REVISION` serves other weights.",
    )


def _canary(share: float | None, for_s: float | None, requests: int | None) -> dict[str, float] | None:
    """`canary` of the body. Raises InvalidRequestError."""
    if share is None and (for_s is not None or requests is not None):
        raise InvalidRequestError("Say also how large the canary is, as in `--canary 10%`.")
    said = {"share": share, "for_s": for_s, "requests": requests}
    return None if share is None else {name: value for name, value in said.items() if value is not None}


def _revision(api: AdminClient, name: str, wanted: str | None) -> str:
    """The whole digest. What is not found is left for the server to say."""
    deployment = api.get(path_of("deployments", name))
    if not deployment["model"]:
        return wanted or ""
    model = api.get(path_of("models", deployment["model"]))
    return str(model["revision"]) if wanted is None else whole_digest(model, wanted)


def _follow(api: AdminClient, begun: dict[str, Any], *, wait: bool) -> None:
    """Show how far it is until it has ended. Raises SwapFailedError with the reason."""
    if not begun["active"]:
        console.print(begun["reason"])
        return
    goes_back = begun["step"] in ("returning", "undoing")
    if goes_back:
        console.print(f"{begun['deployment']} goes back to {begun['from_revision']}")
    else:
        console.print(f"{begun['deployment']} → {begun['to_revision']}, {begun['strategy']}: {begun['why']}")
    swap, path = begun, path_of("deployments", begun["deployment"], "swaps")
    with console.status(swap["detail"] or swap["step"]) as display:
        while wait and swap["active"]:
            time.sleep(0.2)
            swap = next(each for each in api.get(path) if each["id"] == begun["id"])
            display.update(swap["detail"] or swap["step"])
    if goes_back and not swap["active"]:
        console.print("Done.")
        return
    if swap["step"] == "failed":
        raise SwapFailedError(swap["reason"])
    if wait:
        if swap["verdict"]:
            console.print(f"Promoted: {swap['verdict']}.", highlight=False)
        took_s = swap["ended_at"] - swap["started_at"]
        console.print(f"Done in {took_s:.1f} s. `roundhouse rollback {swap['deployment']}` goes back.")
