"""What a revision consists of, and the digest that names it. PURE."""

import hashlib
import json
from collections.abc import Iterable
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from replicas.weights.errors import InvalidRevisionError

DIGEST_PREFIX = "sha256:"
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
"""64 lower-case hexadecimal digits."""


class ManifestFile(Struct, frozen=True):
    path: str
    """Relative to the revision's folder, parts joined by `/`."""
    size_bytes: Annotated[int, Meta(ge=0)]
    sha256: Sha256


class Manifest(Struct, frozen=True):
    """The files of one revision, in the order that `manifest_of` gives them."""

    files: tuple[ManifestFile, ...]

    @property
    def total_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)


def manifest_of(files: Iterable[ManifestFile]) -> Manifest:
    """Sorted by the parts of the path, as a walk through the folder goes (`a/b` before `a-b`)."""
    return Manifest(tuple(sorted(files, key=lambda file: file.path.split("/"))))


def digest(manifest: Manifest) -> str:
    """`sha256:` digest over path, size and SHA-256 of each file."""
    rows = [[file.path, file.size_bytes, file.sha256] for file in manifest.files]
    return DIGEST_PREFIX + hashlib.sha256(json.dumps(rows, separators=(",", ":")).encode()).hexdigest()


def encode(manifest: Manifest) -> bytes:
    """As JSON."""
    return msgspec.json.encode(manifest)


def decode(data: bytes) -> Manifest:
    """Raises InvalidRevisionError when `data` is not what `encode` writes."""
    try:
        return manifest_of(msgspec.json.decode(data, type=Manifest).files)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRevisionError(f"This is not a manifest of a revision: {error}.") from error
