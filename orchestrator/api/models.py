"""The library of weights."""

from fastapi import APIRouter

from orchestrator.api.context import Admin, ContextDep
from orchestrator.api.schemas import ModelImport, ModelView
from orchestrator.errors import ConflictError, NotFoundError
from orchestrator.views import model_view

router = APIRouter(prefix="/models", tags=["models"], dependencies=[Admin])


@router.get("")
async def list_models(context: ContextDep) -> list[ModelView]:
    deployments = (await context.store.deployments()).values()
    return [model_view(model, deployments) for model in (await context.store.models()).values()]


@router.post("", status_code=202)
async def import_model(body: ModelImport, context: ContextDep) -> ModelView:
    """Fetch and verify weights in the background; `GET /models/{name}` and the events show how far it is."""
    model = await context.library.start_import(body.source, body.name)
    return model_view(model, (await context.store.deployments()).values())


@router.get("/{name}")
async def read_model(name: str, context: ContextDep) -> ModelView:
    model = (await context.store.models()).get(name)
    if model is None:
        raise NotFoundError(f"The library has no model {name!r}.")
    return model_view(model, (await context.store.deployments()).values())


@router.delete("/{name}", status_code=204)
async def delete_model(name: str, context: ContextDep) -> None:
    using = [each.name for each in (await context.store.deployments()).values() if each.model == name]
    if using:
        raise ConflictError(f"Model {name!r} is deployed as {', '.join(using)}. Undeploy it first.")
    await context.library.delete(name)
