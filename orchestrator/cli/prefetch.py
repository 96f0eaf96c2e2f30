"""`roundhouse model prefetch`: weights brought to nodes before they are needed."""

import time
from typing import Annotated, Any

import typer
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from orchestrator.cli.output import connect, console, path_of
from orchestrator.client import AdminClient
from orchestrator.errors import ConflictError

_POLL_S = 0.5


def prefetch_model(
    name: Annotated[str, typer.Argument(help="A model of the library.")],
    revision: Annotated[str | None, typer.Option(help="sha256:…; left out: what the model stands for.")] = None,
    node: Annotated[list[str] | None, typer.Option(help="Address of a node, repeatable; left out: every node.")] = None,
) -> None:
    """Bring a revision to nodes, so that a swap or a new replica there need not wait for it."""
    with connect() as api:
        digest = revision or api.get(path_of("models", name))["revision"]
        if not digest:
            raise ConflictError(f"Model {name!r} has no revision that is ready.")
        known = {address: _refusals(weights, digest) for address, weights in _nodes(api).items()}
        said = api.post(path_of("models", name, "revisions", digest, "prefetch"), {"nodes": node or None})
        refused = {each["node"]: each["reason"] for each in said if each["state"] == "refused"}
        refused |= _follow(api, digest, [each["node"] for each in said if each["state"] == "fetching"], known)
    for address, reason in refused.items():
        console.print(f"{address}: {reason}", style="red")
    console.print(f"{len(said) - len(refused)} of {len(said)} nodes have {digest}")
    if refused:
        raise typer.Exit(1)


def _follow(api: AdminClient, digest: str, addresses: list[str], known: dict[str, dict[float, str]]) -> dict[str, str]:
    """Show the fetches until each has ended; the reasons of those that failed, by address. `known`: older reasons."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    waiting, refused = set(addresses), {}
    with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
        tasks = {address: progress.add_task(address, total=None) for address in addresses}
        while waiting:
            nodes = _nodes(api)
            for address in sorted(waiting):
                weights = nodes.get(address)
                if weights is None:
                    refused[address] = "The node does not report any more. Look at `roundhouse node list`."
                elif reasons := _refusals(weights, digest).items() - known.get(address, {}).items():
                    # The clocks of machines differ: what is new is what was not there before.
                    refused[address] = max(reasons)[1]
                elif digest not in weights["revisions"]:
                    _show(progress, tasks[address], weights, digest)
                    continue
                waiting.discard(address)
                progress.stop_task(tasks[address])
            if waiting:
                time.sleep(_POLL_S)
    return refused


def _show(progress: Progress, task: TaskID, weights: dict[str, Any], digest: str) -> None:
    for fetch in weights["fetches"]:
        if fetch["revision"] == digest:
            progress.update(task, completed=fetch["done_bytes"], total=fetch["total_bytes"] or None)


def _nodes(api: AdminClient) -> dict[str, dict[str, Any] | None]:
    """What each node tells of its weights, by address."""
    return {each["address"]: each["weights"] for each in api.get("/nodes")}


def _refusals(weights: dict[str, Any] | None, digest: str) -> dict[float, str]:
    """Why the node could not have the revision, by the time at which that was."""
    refusals = weights["refusals"] if weights else []
    return {each["at"]: each["reason"] for each in refusals if each["revision"] == digest}
