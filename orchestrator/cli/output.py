"""How commands find the server and print what it says."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from orchestrator.client import AdminClient
from orchestrator.errors import HostError
from orchestrator.host.home import Home
from orchestrator.host.progress import duration

_PIPED_WIDTH = 240
"""Columns of a table that nobody looks at: wide enough that no name is cut off."""
console = Console(soft_wrap=True, width=None if sys.stdout.isatty() else _PIPED_WIDTH)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]

Column = tuple[str, Callable[[Any], str | Text]]


def connect() -> AdminClient:
    """The server of ROUNDHOUSE_URL and ROUNDHOUSE_KEY, else the one that runs from this home."""
    url, key = os.environ.get("ROUNDHOUSE_URL"), os.environ.get("ROUNDHOUSE_KEY")
    home = Home.of_environment()
    if url is None:
        instance = home.instance()
        if instance is None:
            raise HostError(
                f"No Roundhouse runs from {home.root}. Start it with `roundhouse up`, or name another one with "
                "ROUNDHOUSE_URL and ROUNDHOUSE_KEY."
            )
        url = instance.url
    elif key is None:
        raise HostError("ROUNDHOUSE_URL names another Roundhouse; set ROUNDHOUSE_KEY to a key of that one.")
    if key is None:
        try:
            key = home.admin_key.read_text().strip()
        except OSError as error:
            raise HostError(f"There is no key at {home.admin_key}. Set ROUNDHOUSE_KEY.") from error
    return AdminClient(url, key)


def show(rows: Sequence[Any], columns: Iterable[Column], as_json: bool, empty: str) -> None:
    """Print rows as a table, as JSON, or say what to do when there are none."""
    if as_json:
        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    if not rows:
        console.print(empty)
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    parts = list(columns)
    for index, (title, _) in enumerate(parts):
        numeric = title.endswith(("#", "size"))
        # Names stay whole to be copied; the last column, which holds sentences, gives way.
        last = index == len(parts) - 1
        table.add_column(
            title.rstrip("#"),
            justify="right" if numeric else "left",
            no_wrap=index == 0,
            overflow="fold",
            ratio=1 if last else None,
        )
    for row in rows:
        # A cell is Text when it has a style; a plain one may hold anything and is shown as it is.
        table.add_row(*(Text(text) if isinstance(text := cell(row), str) else text for _, cell in parts))
    console.print(table, highlight=False)


def state(word: str) -> Text:
    colour = {
        "ready": "green", "alive": "green", "gone": "red",
        "starting": "yellow", "receiving": "yellow", "verifying": "yellow", "degraded": "yellow",
        "draining": "yellow", "cordoned": "yellow", "failed": "red", "rejected": "red", "swapping": "yellow",
        "done": "green", "queued": "yellow", "preparing": "yellow", "first": "yellow", "rolling": "yellow",
        "canary": "yellow", "returning": "yellow",
        "restarting": "yellow", "undoing": "yellow",
    }.get(word, "dim")  # fmt: skip
    return Text.assemble(("●", colour), f" {word}")


def path_of(collection: str, name: str, *more: str) -> str:
    """Path of one resource; whatever stands in `name` stays one segment."""
    return "/".join(["", collection, quote(name, safe=""), *more])


def whole_digest(model: dict[str, Any], beginning: str) -> str:
    """The revision of `model` that is meant, by as much of its digest as tells it from the others. What is not found
    is left for the server to say."""
    digits = beginning.removeprefix("sha256:")
    known = [each["digest"] for each in model["revisions"]]
    found = [digest for digest in known if digest.removeprefix("sha256:").startswith(digits)]
    return str(found[0]) if len(found) == 1 else beginning


def age(at: float) -> str:
    return duration(max(0.0, time.time() - at))


def size(count: int) -> str:
    return f"{count / 2**30:.2f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"
