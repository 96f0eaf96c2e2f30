"""One model of the catalog as its dispatcher knows it: what is asked of it, what serves it, what clients are told."""

from collections.abc import Sequence
from random import Random

from replicas.types import ReplicaState
from router.admission import AdmissionQueue
from router.errors import (
    Refusal,
    current_status,
    model_not_found,
    model_not_ready,
    overloaded,
    waited_too_long,
)
from router.estimates import ModelEstimates
from router.job import Job
from router.load_window import LoadWindow
from router.meters import ModelMeter
from router.prefix_index import PrefixDirectory
from router.replica_view import ReplicaView
from router.types import CatalogEntry, ModelLoad, ModelStatus, PolicyName

_CROWDING_WEIGHT = 3.0
_LEAST_CROWDING_S = 0.001
"""So that of two replicas that look alike the emptier one is taken even before anything was measured."""
_HOPELESS = (ModelStatus.FAILED, ModelStatus.STOPPED)


class ServedModel:
    """Written by its `Dispatcher` alone."""

    def __init__(self, entry: CatalogEntry, meter: ModelMeter, rng: Random) -> None:
        self.entry = entry
        self.replicas: Sequence[ReplicaView] = ()
        self.meter = meter
        self.directory = PrefixDirectory()
        self.estimates = ModelEstimates()
        self.queue = AdmissionQueue()
        self.window = LoadWindow()
        self.closed = False
        """The model has left the catalog."""
        self._rng = rng

    @property
    def ready_replicas(self) -> int:
        """How many replicas can take requests."""
        return sum(view.state is ReplicaState.READY for view in self.replicas)

    @property
    def prefix_aware(self) -> bool:
        """Whether its requests go where their beginning is cached."""
        return self.entry.routing.policy is PolicyName.PREFIX_AWARE

    def crowding_s(self, job: Job) -> float:
        """What one more request in a replica costs, in seconds: the delay of its own last token, and as it delays
        all others there as well, three times that (found by simulation to hold on every load tried)."""
        return max(_CROWDING_WEIGHT * self.estimates.crowding_per_token_s * job.output_tokens, _LEAST_CROWDING_S)

    def has_another_for(self, job: Job) -> bool:
        """Whether a ready replica is left that has not had this request."""
        here = job.reservation.view if job.reservation is not None else None
        return any(
            view.state is ReplicaState.READY and view is not here and view.replica_id not in job.tried
            for view in self.replicas
        )

    def _hopeless(self) -> Refusal | None:
        """The refusal when no replica is ready and none will be without somebody doing something."""
        if self.closed:
            return model_not_found(self.entry.name)
        if self.entry.status not in _HOPELESS or self.ready_replicas:
            return None
        return model_not_ready(self.entry)

    def _overloaded(self, reason: str) -> Refusal:
        return overloaded(self.entry.name, reason, self._drain_s())

    def _too_late(self, waited_s: float) -> Refusal:
        if not self.ready_replicas:
            return model_not_ready(self.entry)
        return waited_too_long(self.entry.name, waited_s, self._drain_s())

    def _drain_s(self) -> float:
        """Time in which what waits now will have been sent, jittered so that not everybody comes back at once."""
        return self.window.drain_s(self.queue.tokens) * (0.8 + 0.4 * self._rng.random())

    def load(self, now: float) -> ModelLoad:
        """The autoscaler's signals."""
        return self.window.report(
            queued=self.queue.count,
            queued_tokens=self.queue.tokens,
            oldest_wait_s=self.queue.oldest_wait_s(now),
            in_flight=sum(view.in_flight for view in self.replicas),
            sheds_total=sum(self.meter.sheds.values()),
        )

    def status(self) -> ModelStatus:
        """What clients see beside the model."""
        return current_status(self.entry, ready_replicas=self.ready_replicas)
