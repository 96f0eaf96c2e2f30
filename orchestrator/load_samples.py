"""From what routers and replicas report to what the autoscaler reads. PURE."""

from collections.abc import Iterable, MutableMapping

from orchestrator.application_names import parse_application
from orchestrator.reconcile import applications_of, spec_digest
from orchestrator.scaling.types import LoadSample, ReplicaSample
from orchestrator.types import Deployment, ObservedState
from replicas.types import Endpoint, ReplicaState
from router.types import ModelLoad, RouterReport

_NOTHING = ModelLoad()


def load_samples(deployment: str, reports: Iterable[RouterReport]) -> tuple[LoadSample, ...]:
    """One of each router, with zeros where nobody has asked it for this model yet."""
    return tuple(_load_sample(report, report.models.get(deployment, _NOTHING)) for report in reports)


def replica_samples(
    deployment: Deployment,
    observed: ObservedState,
    asked_at: MutableMapping[str, float],
    now: float,
) -> tuple[ReplicaSample, ...]:
    """All replicas of the newest spec but those that sleep, those included that have no endpoint yet.

    `asked_at`: when the start of each of the latter was first seen to be asked for, by application; kept up here.
    """
    digest = spec_digest(deployment)
    mine = [
        each
        for each in observed.endpoints
        if (each.deployment, each.spec_digest) == (deployment.name, digest) and each.state is not ReplicaState.ASLEEP
    ]
    shown = {each.application for each in mine}
    starting = [each.name for each in applications_of(deployment, observed) if each.name not in shown]
    for gone in [
        name for name in asked_at if parse_application(name).deployment == deployment.name and name not in starting
    ]:
        del asked_at[gone]
    unseen = [
        ReplicaSample(replica_id=name, state=ReplicaState.STARTING, started_at=asked_at.setdefault(name, now))
        for name in starting
    ]
    return (*map(_replica_sample, mine), *unseen)


def _load_sample(report: RouterReport, load: ModelLoad) -> LoadSample:
    return LoadSample(
        router_id=report.router_id,
        at=report.at,
        queued=load.queued,
        queued_tokens=load.queued_tokens,
        oldest_wait_s=load.oldest_wait_s,
        in_flight=load.in_flight,
        arrivals_total=load.arrivals_total,
        prompt_tokens_total=load.prompt_tokens_total,
        generated_tokens_total=load.generated_tokens_total,
    )


def _replica_sample(endpoint: Endpoint) -> ReplicaSample:
    waits = endpoint.state is ReplicaState.STARTING
    return ReplicaSample(
        replica_id=endpoint.replica_id,
        state=endpoint.state,
        # Of one that wakes: when it began to.
        started_at=endpoint.state_since if waits else endpoint.started_at,
        ready_at=None if waits else endpoint.state_since,
        in_flight=endpoint.in_flight,
        running=endpoint.load.running + endpoint.load.waiting,
        max_running=endpoint.max_running,
        kv_capacity_tokens=endpoint.kv_capacity_tokens,
        kv_usage=endpoint.load.kv_usage,
        prompt_tokens_total=endpoint.load.prompt_tokens_total,
        generated_tokens_total=endpoint.load.generation_tokens_total,
    )
