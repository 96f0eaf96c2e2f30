"""How a session's record changes. PURE."""

from msgspec import structs

from orchestrator.library.uploads.errors import UploadRefusedError, not_found
from orchestrator.library.uploads.protocol import Place
from orchestrator.library.uploads.types import Session, SessionState


def with_part(session: Session, name: str, size_bytes: int) -> Session:
    """A partial upload was declared."""
    return structs.replace(session, parts={**session.parts, name: size_bytes})


def with_received(session: Session, *, number: int, sha256: str, now: float) -> Session:
    """A file is whole."""
    return structs.replace(session, received={**session.received, number: sha256}, updated_at=now)


def with_sha256(session: Session, *, number: int, sha256: str) -> Session:
    """The client says what a file must hash to."""
    files = list(session.files)
    files[number] = structs.replace(files[number], sha256=sha256)
    return structs.replace(session, files=tuple(files))


def without(session: Session, name: str) -> Session:
    """What was sent of a file (by its number) or part is forgotten; a part itself, too."""
    received = {number: sha256 for number, sha256 in session.received.items() if str(number) != name}
    parts = {part: size for part, size in session.parts.items() if part != name}
    joins = {number: names for number, names in session.joins.items() if str(number) != name and name not in names}
    return structs.replace(session, received=received, parts=parts, joins=joins)


def with_join(session: Session, number: int, parts: dict[str, Place]) -> Session:
    """A file begins to be put together. Raises UploadRefusedError (404, 409, 422)."""
    file = session.files[number]
    taken = {name for other, names in session.joins.items() if other != number for name in names}
    for name, place in parts.items():
        if name in taken or name not in session.parts:
            raise not_found(f"part {name!r} in this upload")
        if place.busy or place.offset < place.size_bytes:
            raise UploadRefusedError(409, f"Part {name} is not whole yet. Send the rest.", code="upload_incomplete")
    total = sum(place.size_bytes for place in parts.values())
    if total != file.size_bytes:
        raise UploadRefusedError(
            422, f"The parts of {file.path} have {total} bytes in all instead of {file.size_bytes}. Begin it again."
        )
    return structs.replace(session, joins={**session.joins, number: tuple(parts)})


def joined(session: Session, number: int) -> Session:
    """A file was put together; its parts are gone."""
    names = session.joins[number]
    return structs.replace(
        session,
        parts={part: size for part, size in session.parts.items() if part not in names},
        joins={other: parts for other, parts in session.joins.items() if other != number},
    )


def completed(session: Session, *, revision: str, now: float) -> Session:
    """All files are whole and in `staging/`."""
    return structs.replace(session, state=SessionState.COMPLETE, revision=revision, updated_at=now)


def finished(session: Session, now: float) -> Session:
    """Somebody took the files over, or turned them down."""
    return structs.replace(session, finished=True, updated_at=now)
