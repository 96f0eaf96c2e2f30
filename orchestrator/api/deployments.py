"""What is served."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Path

from orchestrator.api.body import NAME_PATTERN
from orchestrator.api.context import Admin, ContextDep
from orchestrator.api.fit import refuse_hopeless
from orchestrator.api.schemas import DeploymentBody, DeploymentView, ExternalBody
from orchestrator.types import DeploymentWish, Placement
from orchestrator.views import deployment_view
from replicas.types import EngineKind, SimulationSettings
from router.types import ExternalEngine, RoutingSettings

router = APIRouter(prefix="/deployments", tags=["deployments"], dependencies=[Admin])
Name = Annotated[str, Path(pattern=NAME_PATTERN)]


@router.get("")
async def list_deployments(context: ContextDep) -> list[DeploymentView]:
    return [deployment_view(each, context.loop.statuses) for each in (await context.store.deployments()).values()]


@router.get("/{name}")
async def read_deployment(name: Name, context: ContextDep) -> DeploymentView:
    return deployment_view(await context.deployments.get(name), context.loop.statuses)


@router.put("/{name}")
async def put_deployment(name: Name, body: DeploymentBody, context: ContextDep) -> DeploymentView:
    """Serve a model under `name`, or change how it is served."""
    has_gpus = any(node.gpus for node in context.loop.observed.nodes if node.alive)
    wish = _wish(body, default_gpus=1.0 if has_gpus and body.engine == "vllm" else 0.0)
    if body.even_if_too_large:
        deployment = await context.deployments.put(name, wish)
    else:
        deployment = await context.deployments.put(name, wish, partial(refuse_hopeless, context))
    context.loop.wake()
    return deployment_view(deployment, {})


@router.delete("/{name}", status_code=204)
async def delete_deployment(name: Name, context: ContextDep) -> None:
    """Stop serving it. In-flight requests end first, up to the deployment's drain deadline."""
    await context.deployments.delete(name)
    context.loop.wake()


def _wish(body: DeploymentBody, default_gpus: float) -> DeploymentWish:
    engine = None if body.engine == "external" else EngineKind(body.engine)
    return DeploymentWish(
        model=body.model,
        revision=body.revision,
        engine=engine,
        replicas=body.replicas,
        scaling=body.scaling.settings() if body.scaling else None,
        gpus_per_replica=default_gpus if body.gpus_per_replica is None else body.gpus_per_replica,
        max_model_len=body.max_model_len,
        engine_args=body.engine_args,
        simulation=SimulationSettings(**body.simulation.model_dump()),
        drain_deadline_s=body.drain_deadline_s,
        placement=Placement(body.placement),
        node_labels=body.node_labels,
        sleep_mode=body.sleep_mode,
        routing=RoutingSettings(**body.routing.model_dump()),
        external=tuple(_outside(each) for each in body.external),
        keep_keys_of=frozenset(each.name for each in body.external if each.key is None),
    )


def _outside(body: ExternalBody) -> ExternalEngine:
    return ExternalEngine(**body.model_dump(exclude={"key"}), key=body.key or "")
