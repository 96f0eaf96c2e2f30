"""A session as the API shows it."""

import asyncio

from orchestrator.library.uploads.schemas import UploadFileView, UploadView
from orchestrator.library.uploads.types import Session, SessionState
from orchestrator.library.uploads.uploads import Uploads


async def upload_view(uploads: Uploads, session: Session, base: str) -> UploadView:
    """`base` is the session's path in the API."""
    return await asyncio.to_thread(_view, uploads, session, base)


def _view(uploads: Uploads, session: Session, base: str) -> UploadView:
    receiving = session.state is SessionState.RECEIVING
    known_sizes = uploads.known_sizes() if receiving else frozenset()
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
