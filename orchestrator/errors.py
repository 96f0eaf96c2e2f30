"""Errors of the control plane. Every message is a sentence for the user and says what to do.

RoundhouseError
├── NotFoundError        404  no such model, deployment, key
├── ConflictError        409  the name is in use, or still needed
├── InvalidRequestError  422  what was asked for cannot be
├── AccessDeniedError    401/403
├── ModelRejectedError        the weights cannot be served
├── SwapFailedError           the old weights are still served
├── SourceUnavailableError    the place they come from cannot be reached
├── ReplicaAwayError     503  a replica does not answer us
├── StoreUnavailableError 503
└── HostError                 this machine cannot run it (port, lock, memory, a process that died)
"""

from orchestrator.sentences import Sentence, quoted


class RoundhouseError(Exception):
    """Root of the package's errors."""

    status = 500
    code = "internal_error"

    def __init__(self, message: str | Sentence, *, code: str | None = None) -> None:
        """`message` as a sentence where pages say it in their own language."""
        super().__init__(str(message))
        self.message = str(message)
        self.sentence = message if isinstance(message, Sentence) else quoted(message)
        if code is not None:
            self.code = code


class NotFoundError(RoundhouseError):
    status = 404
    code = "not_found"


class ConflictError(RoundhouseError):
    status = 409
    code = "conflict"


class InvalidRequestError(RoundhouseError):
    status = 422
    code = "invalid_request"


class AccessDeniedError(RoundhouseError):
    status = 401
    code = "invalid_api_key"

    def __init__(self, message: str | Sentence, *, status: int = 401, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.status = status


class ModelRejectedError(RoundhouseError):
    status = 422
    code = "model_rejected"


class SwapFailedError(RoundhouseError):
    code = "swap_failed"


class SourceUnavailableError(RoundhouseError):
    status = 502
    code = "source_unavailable"


class ReplicaAwayError(RoundhouseError):
    status = 503
    code = "replica_away"


class StoreUnavailableError(RoundhouseError):
    status = 503
    code = "store_unavailable"


class HostError(RoundhouseError):
    code = "host_error"
