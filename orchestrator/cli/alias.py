"""`roundhouse alias …`: public names whose requests go to deployments by weight."""

from typing import Annotated

import typer

from orchestrator.cli.output import AsJson, connect, console, path_of, show, state
from orchestrator.errors import InvalidRequestError

app = typer.Typer(help="Names whose requests go to deployments by weight.", no_args_is_help=True)


@app.command("set")
def set_alias(
    name: Annotated[str, typer.Argument(help="Public name that clients use.")],
    targets: Annotated[list[str], typer.Argument(metavar="DEPLOYMENT=WEIGHT...", help="As in A=90 B=10.")],
) -> None:
    """Create an alias or change where its requests go. A session stays where it is as far as the weights allow."""
    body = {"targets": [_target(each) for each in targets]}
    with connect() as api:
        made = api.put(path_of("aliases", name), body)
    shares = ", ".join(f"{each['share']:.0%} {each['model']}" for each in made["targets"])
    console.print(f"{name} → {shares}", highlight=False)


@app.command("list")
def list_aliases(as_json: AsJson = False) -> None:
    """List aliases."""
    with connect() as api:
        aliases = api.get("/aliases")
    show(
        aliases,
        [
            ("name", lambda row: row["name"]),
            ("state", lambda row: state(row["status"])),
            ("goes to", lambda row: ", ".join(f"{each['share']:.0%} {each['model']}" for each in row["targets"])),
        ],
        as_json,
        "There are no aliases. `roundhouse alias set NAME A=90 B=10` makes one.",
    )


@app.command("rm")
def remove_alias(name: Annotated[str, typer.Argument(help="Public name that clients use.")]) -> None:
    """Remove an alias; its deployments stay."""
    with connect() as api:
        api.delete(path_of("aliases", name))
    console.print(f"{name} is not an alias any more.")


def _target(text: str) -> dict[str, str | float]:
    """Raises InvalidRequestError."""
    model, _, weight = text.rpartition("=")
    try:
        return {"model": model, "weight": float(weight)} if model else {"model": text, "weight": 1.0}
    except ValueError:
        raise InvalidRequestError(
            f"{text!r} is not DEPLOYMENT=WEIGHT, as in chat=90. The weight is a number."
        ) from None
