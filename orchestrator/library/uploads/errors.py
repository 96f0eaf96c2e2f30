"""Why an upload is refused.

RoundhouseError
└── UploadRefusedError  404, 409, 410, 412, 413, 415, 422, 423, 460 (checksum), 507 (disk)
"""

from orchestrator.errors import RoundhouseError
from orchestrator.sentences import Sentence


class UploadRefusedError(RoundhouseError):
    """`status` is HTTP's or, for 460, the tus protocol's."""

    code = "upload_refused"

    def __init__(self, status: int, message: str | Sentence, *, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.status = status


def not_found(what: str) -> UploadRefusedError:
    """404: it never was, or was deleted."""
    return UploadRefusedError(404, f"There is no {what}. Begin the upload again.", code="not_found")


def expired(name: str) -> UploadRefusedError:
    """410."""
    return UploadRefusedError(
        410, f"The upload of {name} expired, and what was sent is gone. Begin it again.", code="upload_expired"
    )


def busy(path: str) -> UploadRefusedError:
    """423."""
    return UploadRefusedError(423, f"{path} is being sent by another request. Wait for its end.", code="upload_locked")


def full(path: str) -> UploadRefusedError:
    """507."""
    return UploadRefusedError(
        507,
        f"The disk is full at {path}. What was sent before is kept: free some space, then resume.",
        code="disk_full",
    )
