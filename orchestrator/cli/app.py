"""All commands in one place, each in the file of its noun."""

import typer

from orchestrator import __version__
from orchestrator.cli import (
    alias,
    chat,
    comparison,
    deploy,
    key,
    model,
    node,
    prefetch,
    run,
    scaling,
    search,
    status,
    swap,
)

app = typer.Typer(
    help="Serve models on your own GPUs: one endpoint, many replicas, weights swapped under traffic.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(run.up)
app.command()(run.down)
app.command()(status.status)
app.command()(run.doctor)
app.command()(run.login)
app.command()(node.join)
app.command()(deploy.deploy)
app.command()(deploy.undeploy)
app.command()(scaling.scale)
app.command("scaling")(scaling.show_scaling)
app.command()(swap.swap)
app.command()(swap.rollback)
app.command("swaps")(swap.list_swaps)
app.command()(chat.chat)
model.app.command("search")(search.search_hub)
model.app.command("diff")(comparison.diff_model)
model.app.command("prefetch")(prefetch.prefetch_model)
app.add_typer(model.app, name="model")
app.add_typer(alias.app, name="alias")
app.add_typer(key.app, name="key")
app.add_typer(node.app, name="node")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"roundhouse {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: bool = typer.Option(False, "--version", help="Print the version.", callback=_version, is_eager=True),
) -> None:
    """Options before a command."""
