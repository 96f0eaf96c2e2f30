"""A session as the API shows it."""

import asyncio
from collections.abc import Sequence

from orchestrator.library.uploads.schemas import UploadFileView, UploadView
from orchestrator.library.uploads.types import Session, SessionState
from orchestrator.library.uploads.uploads import Uploads


async def upload_view(uploads: Uploads, session: Session, base: str) -> UploadView:
    """`base` is the session's path in the API."""
    return (await upload_views(uploads, [(session, base)]))[0]


async def upload_views(uploads: Uploads, sessions: Sequence[tuple[Session, str]]) -> list[UploadView]:
    """Sessions and their paths in the API. Looks through the library once for all of them."""
    return await asyncio.to_thread(_views, uploads, sessions)


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
        offset = file.size_bytes if whole else uploads.place(session.id, str(number)).offset if receiving else 0
        files.append(
            UploadFileView(
                path=file.path,
                size_bytes=file.size_bytes,
                upload_url=f"{base}/files/{number}",
                offset=offset,
                present=whole,
                known_size=file.size_bytes in known_sizes,
                sha256=session.received.get(number, file.sha256),
            )
        )
    return UploadView(
        id=session.id,
        name=session.name,
        author=session.author,
        description=session.description,
        notes=session.notes,
        state=session.state.value,
        created_at=session.created_at,
        updated_at=session.updated_at,
        expires_at=uploads.expires_at(session.id),
        received_bytes=sum(file.offset for file in files),
        total_bytes=session.total_bytes,
        revision=session.revision,
        files=files,
    )
