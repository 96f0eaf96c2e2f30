"""`roundhouse model diff`: what differs between two revisions."""

import json
from collections.abc import Iterator
from typing import Annotated, Any
from urllib.parse import urlencode

import typer
from rich.text import Text

from orchestrator.cli.output import connect, console, path_of, size, whole_digest
from orchestrator.errors import ConflictError

_STYLES = {"-": "red", "+": "green", "@": "dim"}
_SIDES = (("-", "before"), ("+", "after"))


def diff_model(
    name: Annotated[str, typer.Argument(help="A model of the library.")],
    before: Annotated[
        str | None, typer.Argument(help="Digest of a revision, or its beginning; left out: the one before AFTER.")
    ] = None,
    after: Annotated[str | None, typer.Argument(help="Left out: the newest that is ready.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what differs between two revisions: settings, texts, other files, weights."""
    with connect() as api:
        model = api.get(path_of("models", name))
        ready = [each["digest"] for each in model["revisions"] if each["state"] == "ready"]
        if not ready:
            raise ConflictError(f"Model {name!r} has no revision that is ready.")
        newer = ready[-1] if after is None else whole_digest(model, after)
        query = "" if before is None else f"?{urlencode({'since': whole_digest(model, before)})}"
        found = api.get(f"{path_of('models', name, 'revisions', newer, 'changes')}{query}")
    if as_json:
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    for line in _lines(found):
        # Names and values may hold anything: only the first character says how a line looks.
        console.print(Text(line, style=_STYLES.get(line[:1], "")))


def _lines(found: dict[str, Any]) -> Iterator[str]:
    yield f"{found['before']} → {found['after']}"
    if found["equal"]:
        yield "Nothing differs."
    for file in found["settings"]:
        yield from ("", file["path"])
        for each in file["changes"]:
            yield from (f"{sign} {each['key']}: {each[side]}" for sign, side in _SIDES if each[side] is not None)
        yield from _more(file["more"], "settings")
    for file in found["texts"]:
        yield from ("", file["path"], *file["lines"])
        yield from _more(file["more"], "lines")
    if found["files"]:
        yield from ("", "other files")
        for each in found["files"]:
            yield from (
                f"{sign} {each['path']} ({_bytes(each[f'{side}_bytes'])})"
                for sign, side in _SIDES
                if each[f"{side}_bytes"] is not None
            )
    yield from _weights(found["weights"])


def _weights(told: dict[str, int]) -> Iterator[str]:
    if not (told["before_files"] or told["after_files"]):
        yield from ("", "The weights are the same.")
        return
    yield from ("", f"weights (files that are the same: {told['same_files']})")
    for sign, side in _SIDES:
        yield f"{sign} files: {told[f'{side}_files']} ({_bytes(told[f'{side}_bytes'])})"


def _more(count: int, what: str) -> Iterator[str]:
    if count:
        yield f"… {count} more {what}"


def _bytes(count: int) -> str:
    return size(count) if count >= 2**20 else f"{count} bytes"
