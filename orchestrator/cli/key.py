"""`roundhouse key …`: keys for clients."""

from typing import Annotated, Literal

import typer

from orchestrator.cli.output import AsJson, age, connect, console, path_of, show

app = typer.Typer(help="Keys for clients.", no_args_is_help=True)


@app.command("create")
def create_key(
    name: Annotated[str, typer.Argument(help="Whose key it is.")],
    role: Annotated[Literal["user", "admin"], typer.Option(help="`user` may use models; `admin` everything.")] = "user",
    tenant: Annotated[str, typer.Option(help="Keys of one tenant share one fair share of the queue.")] = "",
    weight: Annotated[float, typer.Option(min=0, help="Size of that share relative to other tenants'.")] = 1,
    max_priority: Annotated[
        Literal["low", "normal", "high"], typer.Option(help="Highest priority that its requests may ask for.")
    ] = "normal",
) -> None:
    """Create a key and print it. It is shown this once; only its digest is kept."""
    body = {"name": name, "role": role, "tenant": tenant, "weight": weight, "max_priority": max_priority}
    with connect() as api:
        typer.echo(api.post("/keys", body)["key"])


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
            ("tenant", lambda row: row["tenant"]),
            ("weight#", lambda row: f"{row['weight']:g}"),
            ("up to", lambda row: row["max_priority"]),
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
