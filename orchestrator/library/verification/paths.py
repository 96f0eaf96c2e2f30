"""Which relative paths may stand in a model folder, an upload or an archive. PURE.

A path that is fine here means the same file on every file system and looks like what it is.
"""

import re
import unicodedata
from collections.abc import Iterable

MAX_NAME_BYTES = 255
MAX_PATH_BYTES = 1024
MAX_DEPTH = 8
_WINDOWS_DEVICES = frozenset(
    ["con", "prn", "aux", "nul", "conin$", "conout$", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))]
)
_FORBIDDEN = frozenset('<>:"|?*\\')
_ENCODED = re.compile(r"%[0-9A-Fa-f]{2}")
_WORD = re.compile(r"[^\W\d_]+")
_INVISIBLE = {"Cc": "a control character", "Cf": "an invisible character", "Cs": "bytes that are not UTF-8"}
_SCRIPTS = ("LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC")
"""Alphabets whose letters pass for each other's. CJK, Arabic and others do not, and may stand beside Latin."""


def path_fault(path: str) -> str | None:
    """What is wrong with `path` ("/" between its parts), as the rest of a sentence that begins with it; else None."""
    if not path:
        return "is empty"
    if path.startswith(("/", "~")) or re.match(r"[A-Za-z]:", path):
        return "is not relative to the folder"
    if "\\" in path:
        return "contains a backslash"
    parts = path.split("/")
    if len(parts) > MAX_DEPTH:
        return f"is nested more than {MAX_DEPTH} deep"
    fault = next((fault for part in parts if (fault := _part_fault(part))), None)
    if fault is None and len(path.encode()) > MAX_PATH_BYTES:
        return f"is longer than {MAX_PATH_BYTES} bytes"
    return fault


def _part_fault(part: str) -> str | None:
    if part in ("", ".", ".."):
        return "has an empty part" if not part else f"contains a part {part!r}"
    fault = _character_fault(part)
    if fault is not None:
        return fault
    if len(part.encode()) > MAX_NAME_BYTES:
        return f"has a name longer than {MAX_NAME_BYTES} bytes"
    if part != part.strip() or part.endswith("."):
        return "has a name that begins or ends with a space, or ends with a dot"
    if part.split(".")[0].lower() in _WINDOWS_DEVICES:
        return "has a name that is reserved on Windows"
    if _ENCODED.search(part):
        return "contains a percent-encoded character"
    return _unicode_fault(part)


def _character_fault(part: str) -> str | None:
    for character in part:
        category = unicodedata.category(character)
        if category in _INVISIBLE:
            return f"contains {_INVISIBLE[category]} (U+{ord(character):04X})"
        odd_space = category in ("Zl", "Zp") or (category == "Zs" and character != " ")
        if odd_space or category in ("Co", "Cn"):
            return f"contains the character U+{ord(character):04X}, which cannot be told from others"
        if character in _FORBIDDEN:
            return f"contains {character!r}, which not every file system can store"
    return None


def _unicode_fault(part: str) -> str | None:
    if part.isascii():
        return None
    if unicodedata.normalize("NFC", part) != part:
        return "is not in Unicode's composed form (NFC)"
    if unicodedata.normalize("NFKC", part) != part:
        return "contains letters that only look like others (full-width forms or ligatures)"
    for word in _WORD.findall(part):
        names = [unicodedata.name(character, "") for character in word]
        scripts = {script for script in _SCRIPTS for name in names if name.startswith(script)}
        if len(scripts) > 1:
            return f"mixes letters of {' and '.join(sorted(script.title() for script in scripts))} in one word"
    return None


def duplicate(paths: Iterable[str]) -> tuple[str, str] | None:
    """The first two paths that are one file on a file system that ignores case."""
    seen: dict[str, str] = {}
    for path in paths:
        before = seen.setdefault(unicodedata.normalize("NFC", path.casefold()), path)
        if before != path:
            return before, path
    return None
