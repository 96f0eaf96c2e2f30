"""What a hub or a bucket would send, and which of it is fetched. PURE."""

import hashlib
import re
from collections.abc import Iterable
from fnmatch import fnmatch

from msgspec import Struct

from orchestrator.errors import ModelRejectedError
from orchestrator.library.verification.paths import duplicate, path_fault
from orchestrator.sentences import Saying, say

_ALLOWED = (
    "*.safetensors", "*.json", "*.jinja", "*.model", "*.tiktoken", "*.txt", "LICENSE*", "README.md",
)  # fmt: skip
"""What an engine needs; never pickles or code."""
_IGNORED = ("original/*", "metal/*", "onnx/*", "*.gguf")
_SPLIT = re.compile(r"-\d{5}-of-(\d{5})\.gguf$")
_NAMED_AT_MOST = 12


class RemoteFile(Struct, frozen=True):
    path: str
    """Relative to the repository or the prefix."""
    size_bytes: int
    etag: str = ""
    """What changes when the content does, where the source tells it."""


class Listing(Struct, frozen=True, kw_only=True):
    commit: str
    """What the files are pinned to: a hub's commit, else the digest of `files`."""
    revision: str = ""
    """What they are fetched at: the commit, else the branch or tag that was asked for, if any."""
    files: tuple[RemoteFile, ...]
    """What is fetched."""

    @property
    def total_bytes(self) -> int:
        return sum(each.size_bytes for each in self.files)

    @property
    def weights_bytes(self) -> int:
        return sum(each.size_bytes for each in self.files if each.path.endswith((".safetensors", ".gguf")))


def choose(there: Iterable[RemoteFile], file: str, where: str) -> tuple[RemoteFile, ...]:
    """What to fetch of `there`: the allowed files, or one GGUF file: `file`, or the only one where there are no
    safetensors. `where` names the source, as a person would type it.

    Raises ModelRejectedError: no weights, several GGUF files, or a path that cannot be stored.
    """
    there = tuple(there)
    wanted = tuple(each for each in there if _is_wanted(each.path))
    if file or not any(each.path.endswith(".safetensors") for each in wanted):
        packed = [each for each in there if each.path.endswith(".gguf")]
        name = choose_gguf([each.path for each in packed], file, where)
        wanted = tuple(each for each in packed if each.path == name)
    for each in wanted:
        fault = path_fault(each.path)
        if fault is not None:
            raise ModelRejectedError(f"{each.path[:100]!r} in {where} {fault}. Rename the file there.")
    clash = duplicate(each.path for each in wanted)
    if clash is not None:
        raise ModelRejectedError(say(Saying.NAMES_DIFFER_IN_CASE, one=clash[0], other=clash[1], source=where))
    return wanted


def choose_gguf(paths: list[str], file: str, where: str) -> str:
    """The GGUF file that stands for a model, out of `paths`. Raises ModelRejectedError saying how to pick one."""
    if file and file not in paths:
        if not paths:
            raise ModelRejectedError(say(Saying.NO_FILE_THERE, source=where, file=file))
        raise ModelRejectedError(say(Saying.OTHER_FILES_THERE, source=where, file=file, files=_named(paths)))
    if not paths:
        raise ModelRejectedError(say(Saying.NO_WEIGHTS_THERE, source=where))
    if not file and len(paths) > 1 and len({_SPLIT.sub("", path) for path in paths}) > 1:
        choice = f"{where}#{_best(paths)}"
        said = say(Saying.SEVERAL_GGUF_FILES, source=where, number=len(paths), choice=choice, files=_named(paths))
        raise ModelRejectedError(said)
    path = file or min(paths)
    refuse_split(path)
    return path


def refuse_split(path: str) -> None:
    """Raises ModelRejectedError for a part of a GGUF file that was split."""
    parts = _SPLIT.search(path)
    if parts is not None and int(parts[1]) > 1:
        raise ModelRejectedError(say(Saying.GGUF_FILE_IS_SPLIT, file=path, parts=int(parts[1])))


def digest(files: Iterable[RemoteFile]) -> str:
    """Stands in for a commit where the source has none: it changes when any file does."""
    lines = sorted(f"{each.path}\0{each.size_bytes}\0{each.etag}\n" for each in files)
    return f"sha256:{hashlib.sha256(''.join(lines).encode(errors='surrogatepass')).hexdigest()}"


def _is_wanted(path: str) -> bool:
    return any(fnmatch(path, each) for each in _ALLOWED) and not any(fnmatch(path, each) for each in _IGNORED)


def _best(paths: list[str]) -> str:
    """A good example to pick: of what is usual the one that loses least, since it becomes bfloat16 in any case."""
    for kind in ("Q8_0", "Q6_K", "Q5_K", "Q4_K"):
        for path in sorted(paths):
            if kind in path.upper():
                return path
    return min(paths)


def _named(paths: list[str]) -> str:
    shown = ", ".join(sorted(paths)[:_NAMED_AT_MOST])
    return shown if len(paths) <= _NAMED_AT_MOST else f"{shown} and {len(paths) - _NAMED_AT_MOST} more"
