"""The orchestrator's one door to Ray and Ray Serve. Calls block; the loop runs them on a thread."""

from collections.abc import Mapping
from typing import Any

import ray
from ray import serve
from ray.serve._private.common import DeploymentID
from ray.serve.api import RunTarget
from ray.serve.context import _get_global_client

from orchestrator.reconcile import application_name, deployment_and_digest
from orchestrator.types import (
    Action,
    ObservedApplication,
    ObservedNode,
    ScaleApplication,
    StartApplication,
    StopApplication,
)
from replicas.deployment import SERVE_DEPLOYMENT, replica_application


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
        free = ray._private.state.available_resources_per_node()
        return tuple(_node(each, free.get(each["NodeID"], {})) for each in ray.nodes())

    def apply(self, action: Action) -> None:
        """Tell Serve; it does the rest in its own time and the next observation shows how far it is."""
        match action:
            case StartApplication(deployment=deployment, spec_digest=digest):
                application = replica_application(
                    deployment.name,
                    num_replicas=deployment.replicas,
                    num_cpus=deployment.cpus_per_replica,
                    num_gpus=deployment.gpus_per_replica,
                    drain_deadline_s=deployment.drain_deadline_s,
                )
                name = application_name(deployment.name, digest)
                target = RunTarget(application, name=name, route_prefix=None, external_scaler_enabled=True)
                serve.run_many(
                    [target], wait_for_ingress_deployment_creation=False, wait_for_applications_running=False
                )
            case ScaleApplication(name=name, replicas=replicas):
                deployment_id = DeploymentID(name=SERVE_DEPLOYMENT, app_name=name)
                controller = _get_global_client()._controller
                ray.get(controller.update_deployment_replicas.remote(deployment_id, replicas))
            case StopApplication(name=name):
                serve.delete(name, _blocking=False)


def _application(name: str, details: Mapping[str, Any]) -> ObservedApplication:
    shown = list(details["deployments"].values())
    messages = [details["message"], *(each["message"] for each in shown)]
    deployment, digest = deployment_and_digest(name)
    return ObservedApplication(
        name=name,
        deployment=deployment,
        spec_digest=digest,
        target_replicas=max((each["target_num_replicas"] or 0 for each in shown), default=0),
        status=str(details["status"].value if hasattr(details["status"], "value") else details["status"]),
        message=next((message for message in messages if message), ""),
    )


def _node(details: Mapping[str, Any], free: Mapping[str, float]) -> ObservedNode:
    total = details["Resources"]
    return ObservedNode(
        id=details["NodeID"],
        address=details["NodeManagerAddress"],
        hostname=details["NodeManagerHostname"],
        alive=details["Alive"],
        head="node:__internal_head__" in total,
        cpus=total.get("CPU", 0.0),
        cpus_free=free.get("CPU", 0.0),
        gpus=total.get("GPU", 0.0),
        gpus_free=free.get("GPU", 0.0),
        memory_bytes=int(total.get("memory", 0)),
    )
