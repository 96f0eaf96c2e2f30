"""What can go wrong with a replica. Every message is a sentence for a person, and says what to do.

ReplicaError
├── NodeConfigError     the node was not set up for replicas
├── StoreUnavailableError   the store did not answer in time
├── SpecMissingError    nobody wants this deployment (any more)
├── EngineStartError    the engine cannot serve these weights (with `permanent`)
├── EngineUnhealthyError    a running engine is dead or hangs
├── SwapRefusedError    these weights cannot be swapped in place; nothing was touched
└── SwapFailedError     a swap was undone; the old weights are back
"""


class ReplicaError(Exception):
    """Root of this package's exceptions."""


class NodeConfigError(ReplicaError):
    """The node's configuration file is missing or wrong."""


class StoreUnavailableError(ReplicaError):
    """The store could not be reached within the time allowed."""


class SpecMissingError(ReplicaError):
    """The store holds no `ReplicaSpec` for the deployment."""

    def __init__(self, deployment: str) -> None:
        super().__init__(
            f"The store holds nothing to serve for deployment '{deployment}'. "
            "Deploy it again; if it was removed, this replica goes away by itself."
        )


class EngineStartError(ReplicaError):
    """The engine could not be started.

    `reason` is a sentence for a person; `permanent` says that the same spec can never start.
    """

    def __init__(self, reason: str, *, permanent: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.permanent = permanent

    def __reduce__(self) -> tuple[object, tuple[str, bool]]:
        # Ray carries it to the Serve controller by pickle, which cannot pass keyword arguments.
        return (_engine_start_error, (self.reason, self.permanent))


def _engine_start_error(reason: str, permanent: bool) -> EngineStartError:
    return EngineStartError(reason, permanent=permanent)


class EngineUnhealthyError(ReplicaError):
    """The engine is dead, or a canary generation took too long."""


class SwapRefusedError(ReplicaError):
    """The engine cannot take these weights in place. It serves on."""


class SwapFailedError(ReplicaError):
    """The new weights did not prove themselves. The old ones are back and proved."""
