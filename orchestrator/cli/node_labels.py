"""Labels of hosts, by which deployments can ask for certain ones."""

import re
from collections.abc import Iterable
from typing import Annotated

import typer

from orchestrator.errors import InvalidRequestError

NodeLabels = Annotated[
    list[str] | None,
    typer.Option(help="NAME=VALUE that this machine carries, for `deploy --node-label`; may be given again."),
]
_FORM = re.compile(r"([A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?)=([A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?)")


def labels_of(texts: Iterable[str]) -> dict[str, str]:
    """Labels from `NAME=VALUE`. Raises InvalidRequestError."""
    labels = {}
    for text in texts:
        match = _FORM.fullmatch(text)
        if match is None:
            raise InvalidRequestError(
                f"{text!r} is not a label. Write NAME=VALUE in letters, digits, `-`, `_` and `.`, like gpu=4090d."
            )
        labels[match[1]] = match[2]
    return labels
