"""One hostile folder, and how it is made out of an honest one."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from msgspec import Struct

from tests.honest_models import LLAMA, write_model

Spoil = Callable[[Path], object]


class Hostile(Struct, frozen=True):
    name: str
    code: str
    """The reason for which it must be refused, one of `refusal.Code`."""
    file: str
    """How the file ends that the refusal must name; empty if any of several, or a name that is shown escaped."""
    make: Spoil
    """Makes the folder, which does not exist yet."""
    needs_limits: bool = False
    """It is dangerous to examine without limits on memory: only in a process of its own."""

    def __str__(self) -> str:
        return self.name


def honest(spoil: Spoil) -> Spoil:
    """`spoil` applied to a new honest folder."""

    def make(folder: Path) -> None:
        write_model(folder)
        spoil(folder)

    return make


def written(path: str, data: bytes) -> Spoil:
    """One file more, or another in its place."""

    @honest
    def spoil(folder: Path) -> None:
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)

    return spoil


def edited(path: str, **changes: Any) -> Spoil:
    """A JSON file with some settings changed; None removes one."""

    @honest
    def spoil(folder: Path) -> None:
        value = json.loads((folder / path).read_text()) | changes
        (folder / path).write_text(json.dumps({key: each for key, each in value.items() if each is not None}))

    return spoil


def configured(**changes: Any) -> Spoil:
    """An honest folder whose configuration lies."""
    config = {key: value for key, value in (LLAMA | changes).items() if value is not None}
    return lambda folder: write_model(folder, config)
