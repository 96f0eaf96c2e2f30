"""A swap of weights: its journal, and what is done for it. PURE: plain data. Times are Unix seconds."""

from enum import StrEnum

from msgspec import Struct

from orchestrator.sentences import Sentence
from orchestrator.types import DeployedCanary, Weights

SWAPS_KEY = "roundhouse:swaps"
"""Hash: deployment name -> its last swaps, oldest first: the journal."""


class SwapStrategy(StrEnum):
    IN_PLACE = "in-place"
    """Each replica reloads its weights, one after the other; requests wait or go to the others meanwhile."""
    SURGE = "surge"
    """New replicas start beside the old ones, which end once the new ones are ready."""
    RESTART = "restart"
    """Replicas end and start again with the new weights; requests wait."""


class SwapStep(StrEnum):
    QUEUED = "queued"
    """Another swap of the deployment goes first."""
    PREPARING = "preparing"
    """The new files are fetched and read; nothing is cordoned."""
    FIRST = "first"
    """One replica swaps. Until it has proved the new weights, the old ones are what the deployment serves. Of a canary
    by surge: its replicas start."""
    CANARY = "canary"
    """Both revisions serve, the old one being the active one, until it is clear how the new one fares."""
    RETURNING = "returning"
    """The canary goes back to the old weights, or ends."""
    ROLLING = "rolling"
    """The new weights are proved and active; the other replicas follow."""
    RESTARTING = "restarting"
    """New replicas start, beside the old ones or in their place."""
    UNDOING = "undoing"
    """The new weights did not start; replicas start again with the old ones."""
    DONE = "done"
    FAILED = "failed"
    """The old weights are active."""


class CanaryTerms(Struct, frozen=True, kw_only=True):
    """What a canary was asked for with."""

    share: float
    """Of the sessions, above 0 and below 1, that the new revision gets."""
    for_s: float = 600.0
    """It is promoted no sooner."""
    requests: int = 100
    """Nor before each revision has given so many answers."""


class Swap(Struct, frozen=True, kw_only=True):
    """One change of a deployment's weights: an entry of the journal, written before each step is taken."""

    id: str
    deployment: str
    before: Weights
    after: Weights
    strategy: SwapStrategy
    why: Sentence
    """Why this strategy."""
    asked: SwapStrategy | None = None
    """The one that was asked for; None leaves it to what is possible."""
    generation: int = 1
    """Of the deployment before the swap."""
    deadline_s: float = 60.0
    """How long requests in flight may take to end in each replica."""
    canary: CanaryTerms | None = None
    """None: the new weights follow at once."""
    verdict: Sentence | None = None
    """How the canary fared."""
    beside: DeployedCanary | None = None
    """A promoted canary that goes on until the new replicas carry the load."""
    by: str = ""
    """Name of the key that asked for it."""
    step: SwapStep = SwapStep.PREPARING
    detail: Sentence | None = None
    """What is going on."""
    reason: Sentence | None = None
    """Why it failed, and what to do."""
    replica: str = ""
    """That is swapping now."""
    missing_since: float | None = None
    """Since when that one is not seen any more."""
    started_at: float
    step_since: float
    ended_at: float | None = None

    @property
    def active(self) -> bool:
        return self.ended_at is None


class PrepareReplica(Struct, frozen=True, tag=True):
    """Have a replica fetch and read the new weights."""

    replica_id: str


class SwapReplica(Struct, frozen=True, tag=True):
    """Have a replica serve the new weights."""

    replica_id: str
    back: bool = False
    """The old ones, again."""


class EndReplica(Struct, frozen=True, tag=True):
    """Have a replica end, so that it starts again with the weights that are active."""

    replica_id: str


class Activate(Struct, frozen=True, tag=True):
    """Make weights those that the deployment serves and new replicas load."""

    weights: Weights
    generation: int
    """Of the deployment from then on: with another one than before, replicas are replaced."""
    surge: bool = False
    """Those that run stay until the new ones are ready."""
    canary: DeployedCanary | None = None
    """That goes on meanwhile."""


class SplitTraffic(Struct, frozen=True, tag=True):
    """Make this the canary that the deployment has; None: it has none."""

    canary: DeployedCanary | None


SwapAction = PrepareReplica | SwapReplica | EndReplica | Activate | SplitTraffic
