"""`roundhouse key …`: keys for clients."""

from typing import Annotated, Literal

import typer

from orchestrator.cli.output import AsJson, age, connect, console, path_of, show

app = typer.Typer(help="Keys for clients.", no_args_is_help=True)


@app.command("create")
def create_key(
    name: Annotated[str, typer.Argument(help="Whose key it is.")],
    role: Annotated[Literal["user", "admin"], typer.Option(help="`user` may use models; `admin` everything.")] = "user",
) -> None:
    """Create a key and print it. It is shown this once; only its digest is kept."""
    with connect() as api:
        typer.echo(api.post("/keys", {"name": name, "role": role})["key"])


@app.command("list")
def list_keys(as_json: AsJson = False) -> None:
    """List keys by their first characters."""
    with connect() as api:
        keys = api.get("/keys")
    show(
        keys,
        [
            ("id", lambda row: row["id"]),
            ("name", lambda row: row["name"]),
            ("role", lambda row: row["role"]),
            ("key", lambda row: row["hint"]),
            ("age#", lambda row: age(row["created_at"])),
        ],
        as_json,
        "There are no keys.",
    )


@app.command("revoke")
def revoke_key(key: Annotated[str, typer.Argument(help="Id or name.")]) -> None:
    """Revoke a key everywhere, within a second."""
    with connect() as api:
        api.delete(path_of("keys", key))
    console.print(f"{key} is revoked.")
