"""`roundhouse model …`: the library of weights."""

import time
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from orchestrator.cli.output import AsJson, connect, console, path_of, show, size, state
from orchestrator.client import AdminClient
from orchestrator.errors import ModelRejectedError

app = typer.Typer(help="The library of weights.", no_args_is_help=True)


@app.command("import")
def import_model(
    source: Annotated[str, typer.Argument(help="A folder, OWNER/NAME, hf:OWNER/NAME, modelscope:OWNER/NAME.")],
    name: Annotated[str | None, typer.Option(help="Name in the library.")] = None,
) -> None:
    """Bring weights in: from a folder of the orchestrator's host, Hugging Face or ModelScope."""
    with connect() as api:
        model = follow_import(api, api.post("/models", {"source": source, "name": name}))
    console.print(
        f"{model['name']} is ready: {model['architecture']}, {size(model['size_bytes'])}, {model['revision']}"
    )


def follow_import(api: AdminClient, model: dict[str, Any]) -> dict[str, Any]:
    """Show the import until the model is ready. Raises ModelRejectedError with the reason."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
        task = progress.add_task("starting", total=None)
        while model["state"] in ("receiving", "verifying"):
            told = model["progress"]
            if told is not None:
                progress.update(task, description=told["phase"], completed=told["done"], total=told["total"] or None)
            time.sleep(0.3)
            model = api.get(path_of("models", model["name"]))
    if model["state"] == "rejected":
        raise ModelRejectedError(model["reason"])
    return model


@app.command("list")
def list_models(as_json: AsJson = False) -> None:
    """List the library."""
    with connect() as api:
        models = api.get("/models")
    show(
        models,
        [
            ("name", lambda row: row["name"]),
            ("state", lambda row: state(row["state"])),
            ("size", lambda row: size(row["size_bytes"])),
            ("architecture", lambda row: row["architecture"]),
            ("revision", lambda row: row["revision"][:19]),
            ("deployed as", lambda row: ", ".join(row["deployments"])),
            ("", lambda row: row["reason"]),
        ],
        as_json,
        "The library is empty. `roundhouse model import` brings a model in.",
    )


@app.command("rm")
def remove_model(name: str) -> None:
    """Remove a model that nothing is deployed from."""
    with connect() as api:
        api.delete(path_of("models", name))
    console.print(f"{name} is removed.")
