"""The orchestrator's one door to Ray and Ray Serve. Calls block; the loop runs them on a thread."""

from collections.abc import Mapping
from typing import Any

import ray
from ray import serve
from ray.serve.api import RunTarget
from ray.serve.context import _get_global_client

from orchestrator.application_names import name_of, parse_application
from orchestrator.types import (
    Need,
    ObservedApplication,
    ObservedNode,
    StartApplication,
    StopApplication,
)
from replicas.deployment import replica_application

_NODE = "node:"
"""Before the address in the name of the resource that Ray gives each node; what asks for some of it runs there."""
_ANY_SHARE = 0.001


class RayCluster:
    """Ray as the loop sees it. Ray is never in the path of a token."""

    def __init__(self, address: str, namespace: str) -> None:
        self._address = address
        self._namespace = namespace

    def connect(self) -> None:
        """Join the Ray cluster as a driver and start Serve without its HTTP proxies."""
        ray.init(
            address=self._address,
            namespace=self._namespace,
            ignore_reinit_error=True,
            log_to_driver=False,
            logging_level="warning",
        )
        serve.start(proxy_location="Disabled")

    def disconnect(self) -> None:
        """Leave; controller and replicas stay."""
        ray.shutdown()

    def applications(self) -> Mapping[str, ObservedApplication]:
        # The public `serve.status()` leaves out the target number of replicas, which the plan compares.
        details = _get_global_client().get_serve_details()["applications"]
        return {name: _application(name, each) for name, each in details.items()}

    def nodes(self) -> tuple[ObservedNode, ...]:
        return tuple(_node(each) for each in ray.nodes())

    def apply(self, action: StartApplication | StopApplication) -> None:
        """Tell Serve; it does the rest in its own time and the next observation shows how far it is."""
        match action:
            case StartApplication(deployment=deployment, node=node, gpus=gpus):
                # What we assign Ray must not assign as well: a replica that sleeps would keep it.
                need = Need(cpus=0.0) if gpus else deployment.need
                application = replica_application(
                    deployment.name,
                    num_cpus=need.cpus,
                    num_gpus=need.gpus,
                    drain_deadline_s=deployment.drain_deadline_s,
                    resources={f"{_NODE}{node}": _ANY_SHARE} if node else {},
                    gpus=gpus,
                )
                target = RunTarget(application, name=name_of(action), route_prefix=None)
                serve.run_many(
                    [target], wait_for_ingress_deployment_creation=False, wait_for_applications_running=False
                )
            case StopApplication(name=name):
                serve.delete(name, _blocking=False)


def _application(name: str, details: Mapping[str, Any]) -> ObservedApplication:
    shown = list(details["deployments"].values())
    messages = [details["message"], *(each["message"] for each in shown)]
    asked: Mapping[str, Any] = next((each["deployment_config"]["ray_actor_options"] for each in shown), {})
    named = parse_application(name)
    return ObservedApplication(
        name=name,
        deployment=named.deployment,
        spec_digest=named.spec_digest,
        slot=named.slot,
        node=named.node or _pinned_to(asked),
        gpus=named.gpus,
        need=named.need if named.gpus else _asked_of_ray(asked),
        status=str(details["status"].value if hasattr(details["status"], "value") else details["status"]),
        message=next((message for message in messages if message), ""),
    )


def _pinned_to(options: Mapping[str, Any]) -> str:
    return next((each.removeprefix(_NODE) for each in options.get("resources") or {} if each.startswith(_NODE)), "")


def _asked_of_ray(options: Mapping[str, Any]) -> Need:
    return Need(cpus=options.get("num_cpus") or 0.0, gpus=options.get("num_gpus") or 0.0)


def _node(details: Mapping[str, Any]) -> ObservedNode:
    total = details["Resources"]
    return ObservedNode(
        id=details["NodeID"],
        address=details["NodeManagerAddress"],
        hostname=details["NodeManagerHostname"],
        alive=details["Alive"],
        head="node:__internal_head__" in total,
        cpus=total.get("CPU", 0.0),
        gpus=total.get("GPU", 0.0),
        memory_bytes=int(total.get("memory", 0)),
        labels=details.get("Labels", {}),
    )
