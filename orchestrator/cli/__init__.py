"""The command `roundhouse`."""

import sys

from rich.console import Console
from rich.markup import escape

from orchestrator.cli.app import app
from orchestrator.errors import RoundhouseError


def main() -> None:
    """Run a command. An error of ours is one sentence on stderr and exit status 1, never a traceback."""
    try:
        app()
    except RoundhouseError as error:
        text = f"[bold red]Error:[/] {escape(error.message)}"
        Console(stderr=True).print(text, highlight=False, soft_wrap=True)
        sys.exit(1)
