"""What is wrong now, in plain words, with what mends it. PURE.

Each rule looks at one kind of trouble and knows nothing of the others. `problems_in` asks them all; what cannot be
served comes before what is only worse than it should be.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum

from msgspec import Struct, field

from orchestrator.history import ModelPoint, Point
from orchestrator.placement import fits
from orchestrator.rooms import all_rooms
from orchestrator.sentences import Value, heard, inside
from orchestrator.swap_types import Swap, SwapStep
from orchestrator.types import Deployment, DeploymentState, DeploymentStatus, Model, ObservedState
from replicas.types import ReplicaState
from router.histogram import quantile
from router.types import Credential, ModelLoad

_DISK_LOW_BYTES = 10 * 10**9
_DISK_FULL_BYTES = 2 * 10**9
_KEY_ENDS_SOON_S = 7 * 86400.0
_ENOUGH_REQUESTS = 20
"""Fewer say nothing of how often or how slowly a model answers."""
_ERROR_SHARE = 0.05
_STARTS_LONG_FACTOR = 3.0
_STARTS_LONG_S = 300.0
_BEGINNING_S = 30.0
"""After its start the orchestrator has not heard of everybody yet."""
_SWAP_IS_NEWS_S = 86400.0


class Severity(StrEnum):
    BAD = "bad"
    """Something cannot be served or done."""
    WARNING = "warning"
    """It soon may be so, or is worse than it should be."""


class Remedy(StrEnum):
    """What the button does."""

    OPEN = "open"
    """Lead to `page`."""
    RETRY = "retry"
    """Deploy `name` again, as it is."""
    SCALE = "scale"
    """Give the deployment `name` so many `replicas`."""
    UNCORDON = "uncordon"
    """Let the replica `name` take requests again."""


class Fix(Struct, frozen=True, kw_only=True):
    remedy: Remedy
    name: str = ""
    replicas: int | None = None
    page: str = ""
    """Path below the admin pages, with its query."""


class Problem(Struct, frozen=True, kw_only=True):
    kind: str
    """One word for the sentence, so that pages can say it in their own language with `values`."""
    severity: Severity
    subject: str = ""
    """Name of what it is about."""
    message: str
    """A sentence that says what is wrong."""
    values: Mapping[str, Value] = field(default_factory=dict)
    """What the sentence has beside its words; other sentences may be among it."""
    fix: Fix | None = None
    log: str = ""
    """Id of the replica whose log says more."""


class Situation(Struct, frozen=True, kw_only=True):
    """Everything that the rules look at. Times are Unix seconds."""

    now: float
    started_at: float
    """Since when the orchestrator runs."""
    cluster_problem: str = ""
    ray_connected: bool = True
    routers: int = 1
    deployments: Mapping[str, Deployment] = field(default_factory=dict)
    statuses: Mapping[str, DeploymentStatus] = field(default_factory=dict)
    observed: ObservedState = ObservedState()
    start_times: Mapping[str, float] = field(default_factory=dict)
    """Seconds that each deployment's last start took."""
    loads: Mapping[str, ModelLoad] = field(default_factory=dict)
    recent: Point | None = None
    """The last minutes as one."""
    swaps: Mapping[str, Sequence[Swap]] = field(default_factory=dict)
    models: Mapping[str, Model] = field(default_factory=dict)
    keys: Iterable[Credential] = ()
    cordons: frozenset[str] = frozenset()
    """Ids of replicas that an admin has cordoned."""
    leaving: frozenset[str] = frozenset()
    """Addresses of nodes that an admin has cordoned or drained."""


Rule = Callable[[Situation], Iterator[Problem]]


def problems_in(situation: Situation) -> tuple[Problem, ...]:
    """What is wrong, the worst first; of the same severity in the order of the rules."""
    found = [problem for rule in _RULES for problem in rule(situation)]
    return tuple(sorted(found, key=lambda problem: problem.severity is not Severity.BAD))


def _cluster(seen: Situation) -> Iterator[Problem]:
    if seen.now - seen.started_at < _BEGINNING_S:
        return
    if not seen.ray_connected:
        yield Problem(
            kind="ray_away",
            severity=Severity.BAD,
            message="Ray cannot be reached: what runs keeps answering, nothing can be started or stopped.",
            fix=_open("nodes"),
        )
    elif seen.cluster_problem:
        yield Problem(
            kind="cluster",
            severity=Severity.BAD,
            message=seen.cluster_problem,
            values={"detail": seen.cluster_problem},
        )
    if not seen.routers:
        yield Problem(
            kind="no_router",
            severity=Severity.BAD,
            message="No router reports: clients may get no answer, and nothing is known of the load.",
        )


def _nodes(seen: Situation) -> Iterator[Problem]:
    reporting = {host.address for host in seen.observed.hosts}
    nodes = seen.observed.nodes
    # Ray goes on to list what has died, also where the machine came back, or was meant to go.
    not_missed = seen.leaving | {node.address for node in nodes if node.alive}
    lost = {node.address: node for node in nodes if not node.alive and node.address not in not_missed}
    for node in (*lost.values(), *(node for node in nodes if node.alive)):
        about: dict[str, Value] = {"host": node.hostname, "address": node.address}
        if not node.alive:
            yield Problem(
                kind="node_lost",
                severity=Severity.BAD,
                subject=node.hostname,
                message=f"The host {node.hostname} ({node.address}) is lost. Check that it runs, then join it again.",
                values=about,
                fix=_open("nodes"),
            )
        elif node.address not in reporting and seen.now - seen.started_at > _BEGINNING_S:
            yield Problem(
                kind="node_silent",
                severity=Severity.WARNING,
                subject=node.hostname,
                message=f"The host {node.hostname} does not tell of its weights: replicas that start there must wait.",
                values=about,
                fix=_open("nodes"),
            )


def _disks(seen: Situation) -> Iterator[Problem]:
    for host in seen.observed.hosts:
        if host.disk_free_bytes >= _DISK_LOW_BYTES:
            continue
        yield Problem(
            kind="disk_low",
            severity=Severity.BAD if host.disk_free_bytes < _DISK_FULL_BYTES else Severity.WARNING,
            subject=host.hostname,
            # In steps, so that the sentence does not change with every byte.
            message=f"The disk of {host.hostname} is nearly full: {host.disk_free_bytes / 1e9:.0f} GB are free.",
            values={"host": host.hostname, "free_bytes": round(host.disk_free_bytes, -9)},
            fix=_open("models"),
        )


def _deployments(seen: Situation) -> Iterator[Problem]:
    for name, deployment in seen.deployments.items():
        status = seen.statuses.get(name)
        if status is None or status.described_at != deployment.updated_at:
            continue
        problem = _of_deployment(deployment, status, seen)
        if problem is not None:
            yield problem


def _of_deployment(deployment: Deployment, status: DeploymentStatus, seen: Situation) -> Problem | None:
    name, failure = deployment.name, seen.observed.failures.get(deployment.name)
    why = inside(status.reason)
    values: dict[str, Value] = {
        "name": name, "reason": status.reason, "ready": status.ready_replicas, "wanted": deployment.replicas
    }  # fmt: skip
    if status.state is DeploymentState.FAILED:
        return Problem(
            kind="deployment_failed",
            severity=Severity.BAD,
            subject=name,
            message=f"{name} could not start: {why}.",
            values=values,
            fix=Fix(remedy=Remedy.RETRY, name=name),
            log=failure.replica_id if failure else "",
        )
    if status.state is DeploymentState.DEGRADED and failure is not None:
        return Problem(
            kind="deployment_degraded",
            severity=Severity.WARNING,
            subject=name,
            message=f"{name} has {status.ready_replicas} of {deployment.replicas} replicas: {why}.",
            values=values,
            log=failure.replica_id,
        )
    if status.state is DeploymentState.STARTING and not status.starting_replicas:
        return _homeless(deployment, status, seen, values)
    return None


def _homeless(
    deployment: Deployment, status: DeploymentStatus, seen: Situation, values: Mapping[str, Value]
) -> Problem | None:
    """A deployment none of whose replicas starts, because no host has the room."""
    if not any(node.alive for node in seen.observed.nodes) or _has_room(deployment, seen):
        return None
    return Problem(
        kind="no_room",
        severity=Severity.BAD,
        subject=deployment.name,
        message=f"No host has room for {deployment.name}: {status.reason}. Scale another model down, or add a host.",
        values=values,
        fix=_open("deployments"),
    )


def _long_starts(seen: Situation) -> Iterator[Problem]:
    for endpoint in seen.observed.endpoints:
        usual_s = seen.start_times.get(endpoint.deployment)
        longest_s = _STARTS_LONG_S if usual_s is None else max(60.0, _STARTS_LONG_FACTOR * usual_s)
        if endpoint.state is ReplicaState.STARTING and seen.now - endpoint.state_since > longest_s:
            minutes = int((seen.now - endpoint.state_since) // 60)
            yield Problem(
                kind="start_is_long",
                severity=Severity.WARNING,
                subject=endpoint.deployment,
                message=f"A replica of {endpoint.deployment} has been starting for {minutes} min: {endpoint.detail}.",
                values={"name": endpoint.deployment, "minutes": minutes, "detail": heard(endpoint.detail)},
                log=endpoint.replica_id,
            )


def _queues(seen: Situation) -> Iterator[Problem]:
    for name, load in seen.loads.items():
        deployment, status = seen.deployments.get(name), seen.statuses.get(name)
        if deployment is None or status is None or not load.queued:
            continue
        if status.state is DeploymentState.STOPPED:
            yield _waiting("asked_while_stopped", f"{load.queued} requests wait for {name}, which is stopped.",
                           Severity.BAD, deployment, load, _scale(deployment, 1))  # fmt: skip
        elif status.ready_replicas >= deployment.replicas and load.oldest_wait_s > deployment.routing.target_ttft_s:
            message = f"{load.queued} requests wait for {name}, the oldest for {load.oldest_wait_s:.0f} s: it is full."
            yield _waiting("queue_grows", message, Severity.WARNING, deployment, load, _one_more(deployment, seen))


def _waiting(
    kind: str, message: str, severity: Severity, deployment: Deployment, load: ModelLoad, fix: Fix | None
) -> Problem:
    values: dict[str, Value] = {
        "name": deployment.name, "queued": load.queued, "wait_s": round(load.oldest_wait_s)
    }  # fmt: skip
    return Problem(kind=kind, severity=severity, subject=deployment.name, message=message, values=values, fix=fix)


def _answers(seen: Situation) -> Iterator[Problem]:
    """Of the last minutes: models that fail often, or have their requests wait longer than they should."""
    for name, point in (seen.recent.models if seen.recent else {}).items():
        deployment = seen.deployments.get(name)
        if deployment is None or point.requests < _ENOUGH_REQUESTS:
            continue
        share = point.errors / point.requests
        if share > _ERROR_SHARE:
            yield Problem(
                kind="errors",
                severity=Severity.BAD,
                subject=name,
                message=f"{share:.0%} of the last minutes' requests to {name} failed ({point.errors}).",
                values={"name": name, "percent": round(100 * share), "errors": point.errors},
                fix=_open("replicas"),
            )
        elif slow := _slowness(deployment, point, seen):
            yield slow


def _slowness(deployment: Deployment, point: ModelPoint, seen: Situation) -> Problem | None:
    median_s = quantile(point.queue_s, 0.5)
    target_s = deployment.routing.target_ttft_s
    if median_s is None or median_s <= target_s or not deployment.replicas:
        return None
    return Problem(
        kind="slow",
        severity=Severity.WARNING,
        subject=deployment.name,
        message=f"Half of the requests to {deployment.name} wait {median_s:.1f} s or longer for a replica; its first "
        f"token should be there within {target_s:g} s.",
        values={"name": deployment.name, "seconds": round(median_s, 1), "target_s": target_s},
        fix=_one_more(deployment, seen),
    )


def _swaps(seen: Situation) -> Iterator[Problem]:
    for name, journal in seen.swaps.items():
        last = journal[-1] if journal else None
        if last is None or last.step is not SwapStep.FAILED or last.reason is None or name not in seen.deployments:
            continue
        if last.ended_at is not None and seen.now - last.ended_at < _SWAP_IS_NEWS_S:
            yield Problem(
                kind="swap_failed",
                severity=Severity.WARNING,
                subject=name,
                message=f"The last swap of {name} failed, the old weights are served: {inside(last.reason)}.",
                values={"name": name, "reason": last.reason},
                fix=_open(f"deployments?swap={name}"),
            )


def _models(seen: Situation) -> Iterator[Problem]:
    for model in seen.models.values():
        if model.failure:
            yield Problem(
                kind="import_failed",
                severity=Severity.WARNING,
                subject=model.name,
                message=f"The last import of {model.name} failed: {inside(model.failure)}.",
                values={"name": model.name, "reason": model.failure},
                fix=_open("models"),
            )


def _keys(seen: Situation) -> Iterator[Problem]:
    for key in seen.keys:
        if key.expires_at is not None and key.expires_at - seen.now < _KEY_ENDS_SOON_S:
            days = max(0, int((key.expires_at - seen.now) // 86400))
            yield Problem(
                kind="key_ends",
                severity=Severity.WARNING,
                subject=key.name,
                message=f"The key {key.name} ends in {days} days: make another one for whoever uses it.",
                values={"name": key.name, "days": days},
                fix=_open("keys"),
            )


def _cordons(seen: Situation) -> Iterator[Problem]:
    """Deployments all of whose ready replicas are cordoned by hand."""
    for name in seen.deployments:
        ready = [
            each.replica_id
            for each in seen.observed.endpoints
            if each.deployment == name and each.state is ReplicaState.READY
        ]
        if ready and seen.cordons.issuperset(ready):
            yield Problem(
                kind="all_cordoned",
                severity=Severity.BAD,
                subject=name,
                message=f"Every replica of {name} is cordoned: its requests wait.",
                values={"name": name},
                fix=Fix(remedy=Remedy.UNCORDON, name=ready[0]),
            )


def _open(page: str) -> Fix:
    return Fix(remedy=Remedy.OPEN, page=page)


def _scale(deployment: Deployment, replicas: int) -> Fix:
    """So many replicas at a press, but where rules scale: there it would set them aside for good, unasked."""
    if deployment.scaling is not None:
        return _open(f"deployments?scaling={deployment.name}")
    return Fix(remedy=Remedy.SCALE, name=deployment.name, replicas=replicas)


def _one_more(deployment: Deployment, seen: Situation) -> Fix | None:
    """Another replica, where a host has room for it; else where to make room."""
    if deployment.engine is None:
        return None
    return _scale(deployment, deployment.replicas + 1) if _has_room(deployment, seen) else _open("nodes")


def _has_room(deployment: Deployment, seen: Situation) -> bool:
    return any(fits(deployment.need, room) for room in all_rooms(seen.observed).values())


_RULES: tuple[Rule, ...] = (
    _cluster, _nodes, _deployments, _cordons, _queues, _answers, _disks, _long_starts, _swaps, _models, _keys
)  # fmt: skip
