"""What is lost with a replica. PURE."""

from orchestrator.scaling.room import PlacedReplica
from replicas.types import ReplicaState

_FIRST = {ReplicaState.CORDONED: 0, ReplicaState.STARTING: 1}
"""Those that take nothing new anyway cost least."""


def loss(replica: PlacedReplica) -> tuple[int, int, float, float, str]:
    """The less, the sooner it goes: cordoned ones, those that start, then by requests in flight, by what is in the
    cache, and the younger first."""
    return (
        _FIRST.get(replica.state, len(_FIRST)),
        replica.in_flight,
        round(replica.kv_usage, 2),
        -replica.started_at,
        replica.replica_id,
    )
