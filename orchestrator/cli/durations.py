"""Times on the command line: `90`, `90s`, `10m`, `2h`, `1d`."""

import re

import typer

_FORM = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd]?)")
_SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_duration(text: str) -> float:
    """Seconds. Raises typer.BadParameter."""
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise typer.BadParameter(f"'{text}' is not a time. Write it as 90, 90s, 10m, 2h or 1d.")
    return float(match[1]) * _SECONDS[match[2]]
