"""Where weights come from, read off what a person typed. PURE but for a look whether a folder exists."""

import re
from enum import StrEnum
from pathlib import Path

from msgspec import Struct

from orchestrator.errors import InvalidRequestError

BUILTIN_SMOLLM2 = "builtin:smollm2"
DEFAULT_GPU_MODEL = "openai/gpt-oss-20b"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_NAME = re.compile(r"[^A-Za-z0-9._-]+")


class SourceKind(StrEnum):
    BUILTIN = "builtin"
    HUGGING_FACE = "hf"
    MODELSCOPE = "modelscope"
    ANY_HUB = "hub"
    FOLDER = "folder"


class Source(Struct, frozen=True):
    kind: SourceKind
    id: str
    """A hub's OWNER/NAME, a folder's absolute path, or a built-in model's name."""
    name: str
    """The name it gets when nobody gives it one."""

    @property
    def text(self) -> str:
        return self.id if self.kind in (SourceKind.FOLDER, SourceKind.ANY_HUB) else f"{self.kind}:{self.id}"


def parse_source(text: str) -> Source:
    """Raises InvalidRequestError with what would have been understood."""
    text = text.strip()
    if text == BUILTIN_SMOLLM2:
        return Source(SourceKind.BUILTIN, "smollm2", "SmolLM2-135M-Instruct")
    for kind in (SourceKind.HUGGING_FACE, SourceKind.MODELSCOPE):
        if text.startswith(f"{kind}:"):
            return _hub(kind, text.removeprefix(f"{kind}:"))
    path = Path(text).expanduser()
    if text and path.is_dir():
        return Source(SourceKind.FOLDER, str(path.resolve()), _NAME.sub("-", path.resolve().name) or "model")
    if text.startswith(("/", "./", "../", "~")):
        raise InvalidRequestError(f"There is no folder {text!r} on the orchestrator's host. Check the path.")
    return _hub(SourceKind.ANY_HUB, text)


def _hub(kind: SourceKind, id_: str) -> Source:
    if not _HUB_ID.fullmatch(id_) or ".." in id_:
        raise InvalidRequestError(
            f"{id_!r} is neither a folder here nor a model's id. An id has the form OWNER/NAME, "
            "optionally after `hf:` or `modelscope:`."
        )
    return Source(kind, id_, id_.split("/")[1])
