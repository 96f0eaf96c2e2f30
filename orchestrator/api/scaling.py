"""How many replicas a deployment has, and why."""

import time

from fastapi import APIRouter

from orchestrator.api.context import Admin, ContextDep
from orchestrator.api.deployments import Name
from orchestrator.api.scaling_schemas import ScaleBody, ScalingView
from orchestrator.api.schemas import DeploymentView
from orchestrator.scaling_views import scaling_view
from orchestrator.types import ScalingLog
from orchestrator.views import deployment_view

router = APIRouter(prefix="/deployments/{name}", tags=["scaling"], dependencies=[Admin])


@router.post("/scale")
async def scale_deployment(name: Name, body: ScaleBody, context: ContextDep) -> DeploymentView:
    """Set the number of replicas, for a time or until it is taken back."""
    if body.replicas is None:
        deployment = await context.deployments.follow_load(name)
    else:
        until = None if body.for_s is None else time.time() + body.for_s
        deployment = await context.deployments.scale(name, body.replicas, until)
    context.loop.wake()
    return deployment_view(deployment, context.loop.statuses)


@router.get("/scaling")
async def read_scaling(name: Name, context: ContextDep) -> ScalingView:
    """The autoscaler's last decisions, with their reasons and figures."""
    deployment = await context.deployments.get(name)
    log = (await context.store.scaling_logs()).get(name, ScalingLog())
    return scaling_view(deployment, log)
