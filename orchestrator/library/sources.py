"""Where weights come from, read off what a person typed. PURE but for a look whether a path exists."""

import re
from enum import StrEnum
from pathlib import Path

from msgspec import Struct

from orchestrator.errors import InvalidRequestError
from orchestrator.library.verification.paths import path_fault
from orchestrator.sentences import Saying, say

BUILTIN_SMOLLM2 = "builtin:smollm2"
DEFAULT_GPU_MODEL = "openai/gpt-oss-20b"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_REVISION = re.compile(r"\w[\w.+-]*(/\w[\w.+-]*)*")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]")
_DIGEST = r"sha256:[0-9a-f]{64}"
_S3 = re.compile(rf"(?P<place>.*?)(@(?P<revision>{_DIGEST}))?(#(?P<file>[^#]+\.gguf))?", re.DOTALL)
_NAME = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST_REVISION = 250
_LONGEST_KEY_BYTES = 1024


class SourceKind(StrEnum):
    BUILTIN = "builtin"
    HUGGING_FACE = "hf"
    MODELSCOPE = "modelscope"
    ANY_HUB = "hub"
    S3 = "s3"
    FOLDER = "folder"
    GGUF = "gguf"


_ON_THIS_HOST = (SourceKind.BUILTIN, SourceKind.FOLDER, SourceKind.GGUF)


class Source(Struct, frozen=True):
    kind: SourceKind
    id: str
    """A hub's OWNER/NAME, BUCKET/PREFIX, the absolute path of a folder or a GGUF file, or a built-in model's name."""
    name: str
    """The name it gets when nobody gives it one."""
    revision: str = ""
    """A hub's branch, tag or commit, or the digest of what a bucket held; empty for the newest."""
    file: str = ""
    """The one GGUF file that is meant, where there are several; empty where nobody said."""

    @property
    def text(self) -> str:
        plain = {
            SourceKind.FOLDER: self.id,
            SourceKind.GGUF: self.id,
            SourceKind.ANY_HUB: self.id,
            SourceKind.S3: f"s3://{self.id}",
        }.get(self.kind, f"{self.kind}:{self.id}")
        revision = f"@{self.revision}" if self.revision else ""
        return plain + revision + (f"#{self.file}" if self.file else "")

    def pinned(self, commit: str) -> str:
        """The text of this source at `commit`: what to import to get the same files once more."""
        if self.kind in _ON_THIS_HOST or not commit:
            return self.text
        return Source(self.kind, self.id, self.name, commit, self.file).text

    def gave(self, text: str) -> bool:
        """Whether weights whose source is `text` came from here, at whatever commit if none is asked for."""
        if text == self.text:
            return True
        hubs = (SourceKind.HUGGING_FACE, SourceKind.MODELSCOPE) if self.kind is SourceKind.ANY_HUB else (self.kind,)
        places = [Source(kind, self.id, self.name).text for kind in hubs]
        return any(text.startswith(f"{place}@{self.revision}") for place in places)


def is_hub_id(text: str) -> bool:
    """Whether `text` is an OWNER/NAME."""
    return bool(_HUB_ID.fullmatch(text)) and ".." not in text


def parse_source(text: str) -> Source:
    """Raises InvalidRequestError with what would have been understood."""
    text = text.strip()
    if text == BUILTIN_SMOLLM2:
        return Source(SourceKind.BUILTIN, "smollm2", "SmolLM2-135M-Instruct")
    if text.startswith("s3://"):
        return _s3(text.removeprefix("s3://"))
    for kind in (SourceKind.HUGGING_FACE, SourceKind.MODELSCOPE):
        if text.startswith(f"{kind}:"):
            return _hub(kind, text.removeprefix(f"{kind}:"))
    return _on_this_host(text) or _hub(SourceKind.ANY_HUB, text)


def _on_this_host(text: str) -> Source | None:
    path = Path(text).expanduser()
    if text and path.is_dir():
        return Source(SourceKind.FOLDER, str(path.resolve()), _name(path.resolve().name))
    if path.suffix == ".gguf" and path.is_file():
        return Source(SourceKind.GGUF, str(path.resolve()), _name(path.resolve().stem))
    if not text.startswith(("/", "./", "../", "~")):
        return None
    if path.is_file():
        raise InvalidRequestError(say(Saying.SOURCE_IS_FILE, source=text))
    raise InvalidRequestError(say(Saying.SOURCE_MISSING, source=text))


def _hub(kind: SourceKind, text: str) -> Source:
    place, _, file = text.partition("#")
    id_, at, revision = place.partition("@")
    if not is_hub_id(id_):
        raise InvalidRequestError(say(Saying.SOURCE_UNKNOWN, source=id_))
    if at and not _is_revision(revision):
        raise InvalidRequestError(say(Saying.NO_HUB_REVISION, revision=revision))
    return Source(kind, id_, id_.split("/")[1], revision, _file(text, file))


def _is_revision(text: str) -> bool:
    known = _REVISION.fullmatch(text) or re.fullmatch(_DIGEST, text)
    return bool(known) and len(text) <= _LONGEST_REVISION and ".." not in text


def _s3(text: str) -> Source:
    match = _S3.fullmatch(text)
    assert match is not None  # noqa: S101 - every part of the pattern may be empty
    bucket, _, prefix = match["place"].partition("/")
    prefix, file = prefix.removesuffix("/"), match["file"] or ""
    if prefix.endswith(".gguf") and not file:
        prefix, _, file = prefix.rpartition("/")
    if not _BUCKET.fullmatch(bucket):
        raise InvalidRequestError(say(Saying.NO_BUCKET, bucket=bucket))
    if prefix and not _is_key(prefix):
        raise InvalidRequestError(say(Saying.NO_FOLDER_IN_BUCKET, folder=prefix[:80]))
    id_ = f"{bucket}/{prefix}" if prefix else bucket
    return Source(SourceKind.S3, id_, _name(id_.rpartition("/")[2]), match["revision"] or "", _file(text, file))


def _is_key(prefix: str) -> bool:
    whole = all(part not in ("", ".", "..") for part in prefix.split("/"))
    return whole and prefix.isprintable() and len(prefix.encode()) <= _LONGEST_KEY_BYTES


def _file(text: str, file: str) -> str:
    fault = path_fault(file) if file else None
    if fault is None and file and not file.endswith(".gguf"):
        fault = "is no GGUF file"
    if fault is None and text.endswith("#"):
        fault = "is empty"
    if fault is not None:
        raise InvalidRequestError(f"{file[:80]!r} {fault}. After # stands the path of one .gguf file.")
    return file


def _name(text: str) -> str:
    return _NAME.sub("-", text) or "model"
