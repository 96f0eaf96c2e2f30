"""A session as the API shows it."""

import asyncio
from collections.abc import Sequence

from orchestrator.api.model_schemas import UploadSummary
from orchestrator.library.uploads.schemas import UploadFileView, UploadView
from orchestrator.library.uploads.types import Session, SessionState
from orchestrator.library.uploads.uploads import Uploads


async def upload_view(uploads: Uploads, session: Session, base: str) -> UploadView:
    """`base` is the session's path in the API."""
    return (await upload_views(uploads, [(session, base)]))[0]


async def upload_views(uploads: Uploads, sessions: Sequence[tuple[Session, str]]) -> list[UploadView]:
    """Sessions and their paths in the API. Looks through the library once for all of them."""
    return await asyncio.to_thread(_views, uploads, sessions)


async def upload_summaries(uploads: Uploads) -> list[UploadSummary]:
    """Of those that are being received or wait for a verdict; cheap enough to be told at every change."""
    going_on = [each for each in uploads.sessions() if not each.finished and each.state is not SessionState.EXPIRED]
    return await asyncio.to_thread(lambda: [_summary(uploads, each) for each in going_on])


def _summary(uploads: Uploads, session: Session) -> UploadSummary:
    receiving = session.state is SessionState.RECEIVING
    received = sum(_offset(uploads, session, each) for each in range(len(session.files))) if receiving else None
    return UploadSummary(
        id=session.id,
        name=session.name,
        author=session.author,
        description=session.description,
        notes=session.notes,
        state=session.state.value,
        created_at=session.created_at,
        updated_at=session.updated_at,
        expires_at=uploads.expires_at(session.id),
        received_bytes=session.total_bytes if received is None else received,
        total_bytes=session.total_bytes,
        revision=session.revision,
    )


def _offset(uploads: Uploads, session: Session, number: int) -> int:
    """Bytes of a file that are here, while its session is being received."""
    if number in session.received:
        return session.files[number].size_bytes
    return uploads.place(session.id, str(number)).offset


def _views(uploads: Uploads, sessions: Sequence[tuple[Session, str]]) -> list[UploadView]:
    any_receives = any(session.state is SessionState.RECEIVING for session, _ in sessions)
    known_sizes = uploads.known_sizes() if any_receives else frozenset()
    return [_view(uploads, session, base, known_sizes) for session, base in sessions]


def _view(uploads: Uploads, session: Session, base: str, sizes: frozenset[int]) -> UploadView:
    receiving = session.state is SessionState.RECEIVING
    known_sizes = sizes if receiving else frozenset()
    files = []
    for number, file in enumerate(session.files):
        whole = number in session.received
        files.append(
            UploadFileView(
                path=file.path,
                size_bytes=file.size_bytes,
                upload_url=f"{base}/files/{number}",
                offset=_offset(uploads, session, number) if whole or receiving else 0,
                present=whole,
                known_size=file.size_bytes in known_sizes,
                sha256=session.received.get(number, file.sha256),
            )
        )
    return UploadView(**_summary(uploads, session).model_dump(), files=files)
