"""What can go wrong with weights on a host. Every message is a sentence for a person, and says what to do.

WeightsError (a ReplicaError)
├── RevisionMissingError 404  this host, or the library, has no such revision
├── InvalidRevisionError 422  no digest of a revision, or no manifest
├── WrongFilesError      422  files are not what their manifest says
├── NoRoomError          507  the disk or the cache is full of what is in use
├── FetchError           502  no host could give the files whole
└── HostAwayError        503  the process of a host does not answer
"""

from replicas.errors import ReplicaError


class WeightsError(ReplicaError):
    """Root of the package's exceptions. `status` and `code` are what an HTTP answer says."""

    status = 500
    code = "weights_error"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class RevisionMissingError(WeightsError):
    status = 404
    code = "not_found"


class InvalidRevisionError(WeightsError):
    status = 422
    code = "invalid_request"


class WrongFilesError(WeightsError):
    status = 422
    code = "model_rejected"


class NoRoomError(WeightsError):
    status = 507
    code = "insufficient_storage"


class FetchError(WeightsError):
    status = 502
    code = "source_unavailable"


class HostAwayError(WeightsError):
    status = 503
    code = "host_unavailable"


def refusal(code: str, message: str) -> WeightsError:
    """The error of which a host told `code` and `message`."""
    kinds = (RevisionMissingError, InvalidRevisionError, WrongFilesError, NoRoomError, FetchError, HostAwayError)
    return next((kind for kind in kinds if kind.code == code), WeightsError)(message)
