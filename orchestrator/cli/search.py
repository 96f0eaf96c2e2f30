"""`roundhouse model search`: what a hub has."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

import typer

from orchestrator.cli.output import AsJson, connect, show


def search_hub(
    words: Annotated[list[str], typer.Argument(help="As typed into the hub's own search.")],
    hub: Annotated[Literal["hf", "modelscope"], typer.Option(help="Hugging Face or ModelScope.")] = "hf",
    as_json: AsJson = False,
) -> None:
    """Search a hub for models that can be served here; `roundhouse model import SOURCE` brings one in."""
    with connect() as api:
        found = api.get(f"/hubs/{hub}/models?{urlencode({'query': ' '.join(words)})}")
    show(
        found,
        [
            ("source", lambda row: row["source"]),
            ("task", lambda row: row["task"]),
            ("parameters#", lambda row: _compact(row["parameters"])),
            ("licence", lambda row: row["licence"]),
            ("downloads#", lambda row: _compact(row["downloads"])),
            ("likes#", lambda row: _compact(row["likes"])),
            ("updated", lambda row: _day(row["updated_at"])),
            ("", _remark),
        ],
        as_json,
        "The hub has no model of that name that can be served here. Try fewer words, or the other hub with --hub.",
    )


def _remark(row: dict[str, Any]) -> str:
    known = f"in the library as {row['in_library']}" if row["in_library"] else ""
    return ", ".join(filter(None, (known, "gated: needs a token" if row["gated"] else "")))


def _compact(count: int | None) -> str:
    """596049920 → 596M."""
    if count is None:
        return ""
    for unit, letter in ((10**9, "B"), (10**6, "M"), (10**3, "k")):
        if count >= unit:
            return f"{count / unit:.3g}{letter}"
    return str(count)


def _day(at: float | None) -> str:
    return "" if at is None else datetime.fromtimestamp(at, UTC).date().isoformat()
