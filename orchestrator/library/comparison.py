"""What differs between two revisions: settings by their keys, texts by their lines, other files by their size. PURE."""

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from itertools import takewhile
from typing import Any

from msgspec import Struct

from orchestrator.library.verification.kinds import Kind, kind_of
from orchestrator.library.verification.refusal import Refusal
from orchestrator.library.verification.strict_json import JsonFaultError, decode
from replicas.weights.manifest import Manifest, ManifestFile

LARGEST_READ_BYTES = 256 * 1024
"""Of larger files it is only said that they differ."""
MOST_SETTINGS = 200
"""Of each file."""
MOST_LINES = 200
"""Of each file's difference."""
LONGEST_VALUE = 160
LONGEST_LINE = 2000
"""Characters. Chat templates are often one long line."""

_LONGEST_TEXT = 4000
"""Lines. Comparing takes time with the square of them."""
_LEAD = 40
"""Characters of a long value that are shown before the first one that differs."""
_SETTINGS = frozenset({Kind.JSON, Kind.INDEX, Kind.TOKENIZER_JSON})
_TEXTS = frozenset({Kind.TEMPLATE, Kind.TEXT, Kind.TOKENS})
_PLAIN = re.compile(r"[\w-]+")


class SettingChange(Struct, frozen=True):
    key: str
    """`a.b[0].c`; a name that is not plain is quoted: `a["b.c"]`."""
    before: str | None
    """As JSON, shortened; None: it was added."""
    after: str | None
    """None: it was removed."""


class SettingsChange(Struct, frozen=True):
    """One JSON object."""

    path: str
    changes: tuple[SettingChange, ...]
    more: int
    """Changes that are left out."""


class TextChange(Struct, frozen=True):
    path: str
    lines: tuple[str, ...]
    """As `diff -u` writes them, without the names of the files; long ones are cut."""
    more: int
    """Lines that are left out."""


class FileChange(Struct, frozen=True):
    path: str
    before_bytes: int | None
    """None: it was added."""
    after_bytes: int | None
    """None: it was removed."""


class WeightsChange(Struct, frozen=True, kw_only=True):
    """By content: a file under another name is the same."""

    same_files: int
    before_files: int
    """That only the older revision has."""
    before_bytes: int
    after_files: int
    after_bytes: int


class Comparison(Struct, frozen=True, kw_only=True):
    settings: tuple[SettingsChange, ...]
    texts: tuple[TextChange, ...]
    files: tuple[FileChange, ...]
    """Of which no more is said."""
    weights: WeightsChange

    @property
    def equal(self) -> bool:
        """Whether nothing differs but perhaps the names of weights."""
        moved = self.weights.before_files or self.weights.after_files
        return not (self.settings or self.texts or self.files or moved)


def to_read(before: Manifest, after: Manifest) -> tuple[str, ...]:
    """Paths of the files whose content `compare` wants of both revisions."""
    older = _by_path(before)
    return tuple(
        file.path
        for file in after.files
        if (other := older.get(file.path)) is not None
        and other.sha256 != file.sha256
        and max(file.size_bytes, other.size_bytes) <= LARGEST_READ_BYTES
        and _kind(file.path) in _SETTINGS | _TEXTS
    )


def compare(before: Manifest, after: Manifest, contents: Mapping[str, tuple[bytes, bytes]]) -> Comparison:
    """`contents`: before and after, by path, of what `to_read` names."""
    settings: list[SettingsChange] = []
    texts: list[TextChange] = []
    files: list[FileChange] = []
    for path, (old, new) in _different(before, after).items():
        pair = contents.get(path)
        if pair is not None and (setting := _settings(path, *pair)) is not None:
            settings.append(setting)
        elif pair is not None and (text := _text(path, *pair)) is not None:
            texts.append(text)
        elif _kind(path) is not Kind.WEIGHTS:
            files.append(FileChange(path, old.size_bytes if old else None, new.size_bytes if new else None))
    return Comparison(settings=tuple(settings), texts=tuple(texts), files=tuple(files), weights=_weights(before, after))


def _different(before: Manifest, after: Manifest) -> dict[str, tuple[ManifestFile | None, ManifestFile | None]]:
    older, newer = _by_path(before), _by_path(after)
    pairs = {path: (older.get(path), newer.get(path)) for path in sorted({*older, *newer})}
    return {path: (old, new) for path, (old, new) in pairs.items() if old is None or new is None or old != new}


def _by_path(manifest: Manifest) -> dict[str, ManifestFile]:
    return {file.path: file for file in manifest.files}


def _kind(path: str) -> Kind | None:
    try:
        return kind_of(path)
    except Refusal:
        return None


def _weights(before: Manifest, after: Manifest) -> WeightsChange:
    older, newer = ([file for file in each.files if _kind(file.path) is Kind.WEIGHTS] for each in (before, after))
    left = {file.sha256 for file in older}
    came = {file.sha256 for file in newer}
    gone = [file for file in older if file.sha256 not in came]
    new = [file for file in newer if file.sha256 not in left]
    return WeightsChange(
        same_files=len(newer) - len(new),
        before_files=len(gone),
        before_bytes=sum(file.size_bytes for file in gone),
        after_files=len(new),
        after_bytes=sum(file.size_bytes for file in new),
    )


def _settings(path: str, before: bytes, after: bytes) -> SettingsChange | None:
    """None: one of them is no JSON object, or only their form differs."""
    if _kind(path) not in _SETTINGS:
        return None
    try:
        older, newer = _leaves_of(before), _leaves_of(after)
    except JsonFaultError:
        return None
    if older is None or newer is None:
        return None
    keys = [key for key in dict.fromkeys((*older, *newer)) if older.get(key) != newer.get(key)]
    changes = tuple(SettingChange(key, *_shortened(older.get(key), newer.get(key))) for key in keys[:MOST_SETTINGS])
    return SettingsChange(path, changes, len(keys) - len(changes)) if changes else None


def _leaves_of(data: bytes) -> dict[str, str] | None:
    """Each setting as JSON, by its key; None for what is no object. Raises JsonFaultError."""
    value = decode(data)
    if not isinstance(value, dict):
        return None
    return dict(_leaves("", value)) if value else {}


def _leaves(key: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _leaves(_joined(key, name), inner)
    elif isinstance(value, list) and any(isinstance(each, dict | list) for each in value):
        for number, inner in enumerate(value):
            yield from _leaves(f"{key}[{number}]", inner)
    else:
        yield key, _json(value)


def _joined(key: str, name: str) -> str:
    if not _PLAIN.fullmatch(name):
        return f"{key}[{_json(name)}]"
    return f"{key}.{name}" if key else name


def _json(value: Any) -> str:
    # Half of a surrogate pair is allowed in JSON's escapes and nowhere else.
    return json.dumps(value, ensure_ascii=False).encode(errors="backslashreplace").decode()


def _shortened(before: str | None, after: str | None) -> tuple[str | None, str | None]:
    """Both, cut to where they first differ if one of them is long."""
    if max(len(before or ""), len(after or "")) <= LONGEST_VALUE:
        return before, after
    shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(before or "", after or "", strict=False)))
    first = max(0, shared - _LEAD)
    return _cut(before, first), _cut(after, first)


def _cut(text: str | None, first: int) -> str | None:
    if text is None:
        return None
    head, tail = "…" if first else "", "…" if len(text) > first + LONGEST_VALUE else ""
    return f"{head}{text[first : first + LONGEST_VALUE]}{tail}"


def _text(path: str, before: bytes, after: bytes) -> TextChange | None:
    """None: one of them is no text or too long, or only the ends of their lines differ."""
    try:
        older, newer = before.decode().splitlines(), after.decode().splitlines()
    except UnicodeDecodeError:
        return None
    if max(len(older), len(newer)) > _LONGEST_TEXT:
        return None
    lines = list(difflib.unified_diff(older, newer, lineterm=""))[2:]
    shown = tuple(line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]}…" for line in lines[:MOST_LINES])
    return TextChange(path, shown, len(lines) - len(shown)) if shown else None
