"""`roundhouse model …`: the library of weights."""

import json
import time
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from orchestrator.cli.output import AsJson, age, connect, console, path_of, show, size, state
from orchestrator.client import AdminClient
from orchestrator.errors import ModelRejectedError
from orchestrator.library.uploads.push import Push, PushProgress

app = typer.Typer(help="The library of weights.", no_args_is_help=True)


@app.command("import")
def import_model(
    source: Annotated[
        str,
        typer.Argument(
            help="OWNER/NAME, hf:OWNER/NAME or modelscope:OWNER/NAME, each with @REVISION and #FILE.gguf where one is "
            "meant; s3://BUCKET/PREFIX; a folder or .gguf file of the orchestrator's host."
        ),
    ],
    name: Annotated[str | None, typer.Option(help="Name in the library; left out: the source's.")] = None,
    description: Annotated[str, typer.Option(help="What the model is for.")] = "",
    notes: Annotated[str, typer.Option(help="What is new in this revision.")] = "",
    link: Annotated[
        bool, typer.Option("--link", help="Share a folder's files instead of copying; do not write to them any more.")
    ] = False,
    anyway: Annotated[bool, typer.Option("--anyway", help="Fetch also what no machine here could serve.")] = False,
) -> None:
    """Bring weights in: from Hugging Face, ModelScope, S3, or a folder of the orchestrator's host."""
    body = {"source": source, "name": name, "description": description, "notes": notes}
    with connect() as api:
        started = api.post("/models", {**body, "link": link, "even_if_too_large": anyway})
        model = follow_import(api, started)
    console.print(f"{model['name']} is ready: {model['architecture']}, {size(model['size_bytes'])}")
    console.print(f"revision {model['revision']}")


def follow_import(api: AdminClient, model: dict[str, Any]) -> dict[str, Any]:
    """Show the import until it has ended. Raises ModelRejectedError with the reason."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
        task = progress.add_task("starting", total=None)
        while (told := model["progress"]) is not None:
            progress.update(task, description=told["phase"], completed=told["done"], total=told["total"] or None)
            time.sleep(0.3)
            model = api.get(path_of("models", model["name"]))
    if model["reason"]:
        raise ModelRejectedError(model["reason"])
    return model


@app.command("push")
def push_model(
    source: Annotated[Path, typer.Argument(exists=True, help="A folder, or one .tar, .tar.gz or .zip.")],
    name: Annotated[str | None, typer.Option(help="Name in the library; left out: the folder's.")] = None,
    description: Annotated[str, typer.Option(help="What the model is for.")] = "",
    notes: Annotated[str, typer.Option(help="What is new in this revision.")] = "",
) -> None:
    """Upload weights as a new revision. Goes on by itself after cuts; started again, it goes on where it was."""
    name = name or source.resolve().name
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with connect() as api, Progress(*columns, TimeRemainingColumn(), console=console) as progress:
        task = progress.add_task("looking at the files", total=None)

        def show_it(told: PushProgress) -> None:
            what = f"{'reading' if told.hashing else 'sending'} {told.path}"
            progress.update(task, description=what, completed=told.done_bytes, total=told.total_bytes)

        with Push(f"{api.url}/api/v1", api.authorization, progress=show_it) as push:
            pushed = push.run(source, name, description=description, notes=notes)
    with connect() as api, console.status("verifying"):
        revision = wait_verified(api, name, pushed.revision)
    sent = "nothing had to be sent" if not pushed.sent_bytes else f"{size(pushed.sent_bytes)} sent"
    console.print(f"{name} is ready: {revision['architecture']}, {size(revision['size_bytes'])} ({sent})")
    console.print(f"revision {pushed.revision}")
    for warning in revision["warnings"]:
        console.print(f"note: {warning}")


def wait_verified(api: AdminClient, name: str, digest: str) -> dict[str, Any]:
    """The revision, once it is ready. Raises ModelRejectedError with the reason."""
    while True:
        found = [each for each in api.get(path_of("models", name))["revisions"] if each["digest"] == digest]
        if found and found[0]["state"] == "ready":
            return dict(found[0])
        if found and found[0]["state"] == "rejected":
            raise ModelRejectedError(found[0]["reason"])
        time.sleep(0.3)


@app.command("revisions")
def list_revisions(name: str, as_json: AsJson = False) -> None:
    """List the revisions of a model, oldest first."""
    with connect() as api:
        model = api.get(path_of("models", name))
    show(
        model["revisions"],
        [
            ("revision", lambda row: row["digest"]),
            ("state", lambda row: state(row["state"])),
            ("size", lambda row: size(row["size_bytes"])),
            ("age", lambda row: age(row["created_at"])),
            ("source", lambda row: row["source"]),
            ("author", lambda row: row["author"]),
            ("deployed as", lambda row: ", ".join(row["deployments"])),
            ("", lambda row: row["reason"] or row["notes"]),
        ],
        as_json,
        f"{name} has no revision yet.",
    )


@app.command("fit")
def fit_model(
    name: str,
    revision: Annotated[str | None, typer.Option(help="Digest; left out: the newest.")] = None,
    context: Annotated[int | None, typer.Option(min=1, help="Tokens of a request; left out: all it reads.")] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Requests of that length at once.")] = 1,
    gpus: Annotated[
        float | None, typer.Option(min=0, help="GPUs per replica; left out: 1 where there are any.")
    ] = None,
    kv_dtype: Annotated[Literal["auto", "fp8"], typer.Option(help="Of the KV cache.")] = "auto",
    as_json: AsJson = False,
) -> None:
    """Say whether a model fits into the memory that is free, and what would fit instead."""
    asked = {
        "revision": revision,
        "context_tokens": context,
        "concurrency": concurrency,
        "gpus_per_replica": gpus,
        "kv_dtype": kv_dtype,
    }
    query = urlencode({key: value for key, value in asked.items() if value is not None})
    with connect() as api:
        fit = api.get(f"{path_of('models', name, 'fit')}?{query}")
    if as_json:
        typer.echo(json.dumps(fit))
        return
    console.print(fit["reason"])
    parts = [("weights", "weights"), ("activations", "activation"), ("engine", "engine"), ("KV cache", "kv_cache")]
    show(
        [{"part": part, "bytes": fit[f"{field}_bytes"]} for part, field in parts],
        [("part", lambda row: row["part"]), ("size#", lambda row: size(row["bytes"]))],
        False,
        "",
    )
    measured = "measured" if fit["calibrated"] else "not measured"
    console.print(f"The estimate may be wrong by {fit['error']:.0%} ({measured}).", style="dim")
    for assumption in fit["assumptions"]:
        console.print(f"note: {assumption}", style="dim")


@app.command("describe")
def describe_model(
    name: str,
    description: Annotated[str | None, typer.Option(help="What the model is for.")] = None,
    tags: Annotated[str | None, typer.Option(help="Separated by commas; empty removes them.")] = None,
    licence: Annotated[str | None, typer.Option(help="Under which it may be used.")] = None,
    task: Annotated[str | None, typer.Option(help="Empty: what the architecture tells.")] = None,
) -> None:
    """Change what the library says of a model."""
    words = None if tags is None else [word.strip() for word in tags.split(",") if word.strip()]
    said = {"description": description, "tags": words, "licence": licence, "task": task}
    with connect() as api:
        model = api.patch(path_of("models", name), {key: value for key, value in said.items() if value is not None})
    console.print(
        f"{model['name']}: {model['description'] or 'no description'}; task {model['task'] or 'unknown'}; "
        f"licence {model['licence'] or 'unknown'}; tags {', '.join(model['tags']) or 'none'}"
    )


@app.command("cancel")
def cancel_import(name: str) -> None:
    """End a running import and remove what it fetched."""
    with connect() as api:
        api.delete(path_of("models", name, "import"))
    console.print(f"Nothing is being imported as {name} any more.")


@app.command("gc")
def collect_garbage(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be freed.")] = False,
) -> None:
    """Free the disk of what no model and no deployment needs."""
    with connect() as api:
        report = api.post(f"/library/gc?dry_run={str(dry_run).lower()}")
    verb = "would be freed" if dry_run else "freed"
    console.print(f"{size(report['freed_bytes'])} {verb}: {report['contents']} files, {report['partial']} left-overs")


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
def remove_model(
    name: str, revision: Annotated[str | None, typer.Option(help="Remove only this revision.")] = None
) -> None:
    """Remove a model that nothing is deployed from, or one of its revisions."""
    more = () if revision is None else ("revisions", revision)
    with connect() as api:
        api.delete(path_of("models", name, *more))
    console.print(f"{revision or name} is removed. `roundhouse model gc` frees the disk of what was uploaded.")
