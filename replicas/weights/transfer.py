"""Requests of one host to another's process. Blocking, in threads: a third of the processor time of an async client."""

import http.client
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from replicas.host_types import HostRecord
from replicas.weights.errors import FetchError
from replicas.weights.intake import Intake
from replicas.weights.manifest import DIGEST_PREFIX

_PIECE_BYTES = 2**18
"""Small enough that what was received is still in the processor's cache when it is hashed and written."""
_TIMEOUT_S = 15.0
"""Without a byte; the rest then comes from another host."""
_MAX_MANIFEST_BYTES = 64 * 2**20


def read_manifest(peer: HostRecord, revision: str) -> bytes:
    """The manifest as the host has it. Raises FetchError."""
    with _answer(peer, f"/revisions/{revision.removeprefix(DIGEST_PREFIX)}/manifest", 0) as answer:
        if answer.length is None or answer.length > _MAX_MANIFEST_BYTES:
            raise FetchError(f"{peer.address} sent something of {answer.length} bytes, which is no manifest.")
        pieces = []
        while answer.length:
            pieces.append(_read(peer, answer))
    return b"".join(pieces)


def receive(peer: HostRecord, sha256: str, intake: Intake, came: Callable[[int], None]) -> None:
    """Append the rest of a content to `intake`; `came` is given the bytes of each piece.

    Returns when the file is as long as it should be; whether it is right is the caller's to see. Raises FetchError,
    with what had come before kept, and OSError of the disk.
    """
    with _answer(peer, f"/contents/{sha256}", intake.offset) as answer:
        missing = intake.size_bytes - intake.offset
        if answer.length != missing:
            raise FetchError(f"{peer.address} has {answer.length} bytes of {sha256[:12]}… instead of {missing}.")
        while missing:
            piece = _read(peer, answer)
            intake.append([piece])
            came(len(piece))
            missing -= len(piece)


@contextmanager
def _answer(peer: HostRecord, path: str, first: int) -> Iterator[http.client.HTTPResponse]:
    connection = http.client.HTTPConnection(peer.address, peer.port, timeout=_TIMEOUT_S)
    headers = {"authorization": f"Bearer {peer.token}", "accept-encoding": "identity"}
    if first:
        headers["range"] = f"bytes={first}-"
    try:
        try:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise FetchError(f"{peer.address} cannot be reached: {error}.") from error
        if answer.status != (206 if first else 200):
            raise FetchError(f"{peer.address} answered {answer.status} to {path}.")
        yield answer
    finally:
        connection.close()


def _read(peer: HostRecord, answer: http.client.HTTPResponse) -> bytes:
    """What has come, at least one byte."""
    try:
        piece = answer.read1(_PIECE_BYTES)
    except (OSError, http.client.HTTPException) as error:
        raise FetchError(f"The connection to {peer.address} broke: {error}.") from error
    if not piece:
        raise FetchError(f"{peer.address} closed the connection in the middle of a file.")
    return piece
