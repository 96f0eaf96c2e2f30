"""What routers see of the load, added up."""

from fastapi import APIRouter

from orchestrator.api.context import Admin, ContextDep
from orchestrator.api.schemas import LoadView
from orchestrator.load import total_load
from orchestrator.views import load_view
from router.types import ModelLoad

router = APIRouter(tags=["cluster"], dependencies=[Admin])


@router.get("/load")
async def read_load(context: ContextDep) -> LoadView:
    """Who waits and who is served, by model, as of the last quarter of a second."""
    reports = await context.store.routers()
    loads = total_load(reports)
    deployed = await context.store.deployments()
    return LoadView(routers=len(reports), models=[load_view(name, loads.get(name, ModelLoad())) for name in deployed])
