"""Which replicas may sleep, and which of those that do must end. PURE.

Sleep mode is a tier between serving and gone: the weights stay in the host's memory, the GPUs are somebody else's. A
replica wakes on the very GPUs that it had, once these are free again.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

from msgspec import Struct

from orchestrator.rooms import GOING, asleep, hosts
from orchestrator.types import Deployment, ObservedApplication, ObservedState
from replicas.types import Endpoint, ReplicaState

START_TIMES_KEY = "roundhouse:start-times"
"""Hash: deployment name -> seconds that its last start took."""
WAKE_TIMES_KEY = "roundhouse:wake-times"
"""Hash: deployment name -> seconds that the last waking of one of its replicas took."""
MEMORY_SHARE = 0.5
"""Of a node's memory, what sleeping weights may fill."""
MOST_ON_A_GPU = 2
"""Replicas that sleep on one GPU: each keeps its CUDA context there, some hundred megabytes."""
WAKE_S = 5.0
"""What waking is taken to last before it was measured, in seconds."""


def can_sleep(deployment: Deployment, application: ObservedApplication, endpoint: Endpoint | None) -> bool:
    """Whether a replica of the newest spec that is not needed now can sleep in place of ending."""
    if endpoint is None or endpoint.sleep_bytes is None or not application.gpus:
        return False
    # One that wakes or falls asleep hears the order later, and is not worth less for that.
    has_served = endpoint.port > 0 and endpoint.state is not ReplicaState.CORDONED
    return deployment.sleep_mode and has_served and endpoint.revision == deployment.revision


def beyond_bounds(names: Iterable[str], observed: ObservedState) -> frozenset[str]:
    """Of `names`, applications that sleep or shall: those for which there is no memory, or too many on a GPU.

    Whoever fell asleep last stays first; of those that shall, whoever comes first by name. What others hold counts: one
    that falls asleep although it is wanted again, and a process that has slept and woken, for it keeps its memory.
    """
    names, endpoints = frozenset(names), {each.application: each for each in observed.endpoints}
    left = {node.address: MEMORY_SHARE * node.memory_bytes for node in hosts(observed)}
    on_gpu: Counter[tuple[str, int]] = Counter()
    for name, each in observed.applications.items():
        told = endpoints.get(name)
        if told is None or name in names or each.status == GOING or each.node not in left:
            continue
        falls_asleep = told.state is ReplicaState.DRAINING
        left[each.node] -= (told.sleep_bytes or 0) if told.epoch or falls_asleep else 0
        on_gpu.update((each.node, gpu) for gpu in each.gpus if falls_asleep)
    over = set()
    for name in sorted(names, key=lambda one: (_awake_since(endpoints[one]), one)):
        node, gpus = observed.applications[name].node, observed.applications[name].gpus
        size = endpoints[name].sleep_bytes or 0
        if size > left.get(node, 0.0) or any(on_gpu[node, gpu] >= MOST_ON_A_GPU for gpu in gpus):
            over.add(name)
            continue
        left[node] -= size
        on_gpu.update((node, gpu) for gpu in gpus)
    return frozenset(over)


def _awake_since(endpoint: Endpoint) -> float:
    """The later it fell asleep, the less; least while it has not."""
    return -endpoint.state_since if endpoint.state is ReplicaState.ASLEEP else float("-inf")


class StartTimes(Struct, frozen=True):
    """What starts and wakings took last, in seconds, by deployment."""

    starts: Mapping[str, float]
    wakes: Mapping[str, float]

    def next_s(self, deployment: Deployment, observed: ObservedState) -> float | None:
        """What it takes until there is one replica more; None before it was measured."""
        sleepers = asleep(observed).values()
        if any(each.deployment == deployment.name for each in sleepers) or is_waking(deployment, observed):
            return self.wakes.get(deployment.name, WAKE_S)
        return self.starts.get(deployment.name)

    def again_s(self, deployment: Deployment) -> float | None:
        """What it takes until a replica that gives way is back; None before it was measured."""
        woke_s = self.wakes.get(deployment.name) if deployment.sleep_mode else None
        return self.starts.get(deployment.name) if woke_s is None else woke_s


def is_waking(deployment: Deployment, observed: ObservedState) -> bool:
    """Whether one of its replicas wakes now: it starts, and has an address already."""
    return any(
        each.deployment == deployment.name and each.state is ReplicaState.STARTING and each.port
        for each in observed.endpoints
    )
