"""One entry of an archive, and the refusal that names it."""

from collections.abc import Iterator

from msgspec import Struct

from orchestrator.errors import ModelRejectedError

_SHOWN_CHARACTERS = 120


class Member(Struct, frozen=True, kw_only=True):
    """A file or folder, in the archive's order."""

    name: str
    folder: bool
    size_bytes: int
    """As the archive says it."""
    pieces: Iterator[bytes]
    """The content, to be read before the next member is asked for; what is not read is skipped."""


def shown(name: str) -> str:
    """A name from an archive as it may stand in a sentence: short, on one line, nothing invisible."""
    text = name if len(name) <= _SHOWN_CHARACTERS else name[:_SHOWN_CHARACTERS] + "…"
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


def refused(name: str, why: str) -> ModelRejectedError:
    """`why` is the sentence's rest after the name."""
    return ModelRejectedError(f"{shown(name)} in the archive {why}")
