"""The tus 1.0.0 protocol as decisions over headers. PURE."""

import re
from base64 import b64decode
from binascii import Error as BinasciiError
from collections.abc import Mapping
from email.utils import formatdate
from urllib.parse import urlsplit

from msgspec import Struct

from orchestrator.library.uploads.errors import UploadRefusedError, busy

VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,checksum,termination,expiration,concatenation"
CHECKSUMS = {"sha1": 20, "sha256": 32}
"""Algorithms, and bytes of their digests."""
CONTENT_TYPE = "application/offset+octet-stream"
CHECKSUM_MISMATCH = 460
_NUMBER = re.compile(r"[0-9]{1,18}")
_MOST_METADATA = 64


class Checksum(Struct, frozen=True):
    algorithm: str
    digest: bytes


class Place(Struct, frozen=True):
    """How far a file or a part has come."""

    path: str
    offset: int
    size_bytes: int
    busy: bool


class Concat(Struct, frozen=True):
    """`parts` is None for a partial upload, else the names of the parts that make the file."""

    parts: tuple[str, ...] | None


def check_version(headers: Mapping[str, str]) -> None:
    """Raises UploadRefusedError (412)."""
    if headers.get("tus-resumable") != VERSION:
        raise UploadRefusedError(412, f"The header Tus-Resumable: {VERSION} is missing.", code="tus_version")


def parse_number(headers: Mapping[str, str], name: str) -> int:
    """A header that must be a natural number. Raises UploadRefusedError (400)."""
    value = headers.get(name.lower(), "")
    if not _NUMBER.fullmatch(value):
        raise UploadRefusedError(400, f"The header {name} is missing or not a number.", code="invalid_header")
    return int(value)


def parse_metadata(header: str) -> dict[str, str]:
    """`Upload-Metadata`: keys and base64 of their values. Raises UploadRefusedError (400)."""
    found: dict[str, str] = {}
    pairs = [pair.split() for pair in header.split(",") if pair.strip()]
    for pair in pairs:
        try:
            value = b64decode(pair[1], validate=True).decode() if len(pair) > 1 else ""
        except (BinasciiError, UnicodeDecodeError) as error:
            raise UploadRefusedError(
                400, f"The header Upload-Metadata is not readable at {pair[0]!r}.", code="invalid_header"
            ) from error
        if len(pair) > 2 or pair[0] in found or len(found) >= _MOST_METADATA:
            raise UploadRefusedError(400, "The header Upload-Metadata is malformed.", code="invalid_header")
        found[pair[0]] = value
    return found


def parse_checksum(header: str | None) -> Checksum | None:
    """`Upload-Checksum`: algorithm and base64 digest. Raises UploadRefusedError (400)."""
    if header is None:
        return None
    algorithm, _, encoded = header.strip().partition(" ")
    try:
        digest = b64decode(encoded, validate=True)
    except BinasciiError:
        digest = b""
    if len(digest) != CHECKSUMS.get(algorithm, -1):
        raise UploadRefusedError(
            400, f"The header Upload-Checksum is not one of {', '.join(CHECKSUMS)} in base64.", code="invalid_header"
        )
    return Checksum(algorithm, digest)


def parse_concat(header: str | None, most_parts: int) -> Concat | None:
    """`Upload-Concat`; of the parts' URLs the last segment is the name. Raises UploadRefusedError (400)."""
    if header is None:
        return None
    if header.strip() == "partial":
        return Concat(None)
    kind, _, urls = header.strip().partition(";")
    parts = tuple(urlsplit(url).path.rpartition("/")[2] for url in urls.split())
    if kind != "final" or not 0 < len(parts) <= most_parts or len(set(parts)) != len(parts):
        raise UploadRefusedError(400, "The header Upload-Concat is malformed.", code="invalid_header")
    return Concat(parts)


def check_patch(place: Place, offset: int, body_bytes: int | None) -> None:
    """Whether a PATCH may write. Raises UploadRefusedError: 423 busy, 409 wrong offset, 413 beyond the end."""
    if place.busy:
        raise busy(place.path)
    if offset != place.offset:
        raise UploadRefusedError(
            409, f"{place.path} goes on at byte {place.offset}, not at {offset}. Ask by HEAD.", code="wrong_offset"
        )
    if body_bytes is not None and offset + body_bytes > place.size_bytes:
        raise beyond_the_end(place.path, place.size_bytes)


def beyond_the_end(path: str, size_bytes: int) -> UploadRefusedError:
    """413."""
    return UploadRefusedError(413, f"{path} was declared with {size_bytes} bytes; this is more.", code="too_large")


def http_date(at: float) -> str:
    """`at` in Unix seconds, as `Upload-Expires` wants it."""
    return formatdate(at, usegmt=True)
