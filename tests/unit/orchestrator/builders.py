"""Short ways to say what a test is about; everything else has a plain value."""

from typing import Any

from orchestrator.application_names import application_name
from orchestrator.reconcile import spec_digest
from orchestrator.types import Deployment, Need, ObservedApplication, ObservedNode
from replicas.types import Endpoint, EngineKind, ReplicaFailure, ReplicaState
from router.types import ExternalEngine


def deployment(name: str = "chat", **changes: Any) -> Deployment:
    values: dict[str, Any] = {"model": name, "revision": "sha256:a", "created_at": 100.0, "updated_at": 100.0}
    return Deployment(name=name, **(values | changes))


def outside(name: str = "far", **changes: Any) -> ExternalEngine:
    return ExternalEngine(name=name, **({"url": "https://far.example/v1"} | changes))


def application(
    name: str = "chat", digest: str = "", slot: int = 0, status: str = "RUNNING", **changes: Any
) -> ObservedApplication:
    values: dict[str, Any] = {"node": "127.0.0.1", "need": Need()}
    placed = {**values, **changes}
    return ObservedApplication(
        name=application_name(
            name, digest, slot, node=placed["node"], need=placed["need"], gpus=placed.get("gpus", ())
        ),
        deployment=name,
        spec_digest=digest,
        slot=slot,
        status=status,
        **placed,
    )


def endpoint(deployment_name: str = "chat", number: int = 1, **changes: Any) -> Endpoint:
    values: dict[str, Any] = {
        "replica_id": f"{deployment_name}-{number}",
        "deployment": deployment_name,
        "spec_digest": spec_digest(deployment(deployment_name)),
        "model": deployment_name,
        "revision": "sha256:a",
        "engine": EngineKind.VLLM,
        "state": ReplicaState.READY,
        "host": "127.0.0.1",
        "port": 1000 + number,
        "started_at": 100.0,
        "state_since": 140.0,
    }
    return Endpoint(**(values | changes))


def failure(deployment_name: str = "chat", **changes: Any) -> ReplicaFailure:
    values: dict[str, Any] = {
        "replica_id": "r",
        "spec_digest": spec_digest(deployment(deployment_name)),
        "revision": "sha256:a",
        "reason": "no memory",
        "permanent": False,
        "at": 200.0,
    }
    return ReplicaFailure(deployment=deployment_name, **(values | changes))


def node(**changes: Any) -> ObservedNode:
    values: dict[str, Any] = {
        "id": "n1", "address": "127.0.0.1", "hostname": "h", "alive": True, "head": True,
        "cpus": 8.0, "gpus": 0.0, "memory_bytes": 2**34,
    }  # fmt: skip
    return ObservedNode(**(values | changes))
