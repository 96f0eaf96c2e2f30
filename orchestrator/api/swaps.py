"""Swaps of a deployment's weights."""

from fastapi import APIRouter

from orchestrator.api.context import Admin, ContextDep, Identity
from orchestrator.api.deployments import Name
from orchestrator.api.swap_schemas import SwapBody, SwapView
from orchestrator.swap_types import CanaryTerms, SwapStrategy
from orchestrator.views import swap_view

router = APIRouter(prefix="/deployments/{name}", tags=["swaps"], dependencies=[Admin])


@router.post("/swap", status_code=202)
async def start_swap(name: Name, body: SwapBody, context: ContextDep, identity: Identity) -> SwapView:
    """Serve another revision, without a failed request; `GET /deployments/{name}/swaps` shows how far it is."""
    swap = await context.swaps.start(
        name,
        body.revision,
        strategy=SwapStrategy(body.strategy) if body.strategy else None,
        deadline_s=body.deadline_s,
        canary=CanaryTerms(**body.canary.model_dump()) if body.canary else None,
        queue=body.queue,
        by=identity.name,
    )
    return swap_view(swap)


@router.post("/rollback", status_code=202)
async def roll_back(name: Name, context: ContextDep, identity: Identity) -> SwapView:
    """Swap back to what was served before; a swap that still prepares is cancelled, a canary goes back."""
    return swap_view(await context.swaps.rollback(name, by=identity.name))


@router.get("/swaps")
async def list_swaps(name: Name, context: ContextDep) -> list[SwapView]:
    """The last ones, oldest first."""
    return [swap_view(each) for each in await context.swaps.of(name)]
