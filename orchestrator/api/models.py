"""The library of weights."""

import secrets
import time

from fastapi import APIRouter
from msgspec import structs

from orchestrator.api.context import Admin, ContextDep, Identity
from orchestrator.api.model_schemas import ModelChange, ModelImport, ModelView
from orchestrator.errors import ConflictError
from orchestrator.sentences import Saying, say
from orchestrator.types import Import, Model, Progress
from orchestrator.views import model_view

router = APIRouter(prefix="/models", tags=["models"], dependencies=[Admin])


@router.get("")
async def list_models(context: ContextDep) -> list[ModelView]:
    deployments = (await context.store.deployments()).values()
    return [model_view(model, deployments) for model in (await context.store.models()).values()]


@router.post("", status_code=202)
async def import_model(body: ModelImport, context: ContextDep, identity: Identity) -> ModelView:
    """Fetch and verify weights in the background; `GET /models/{name}` and the events show how far it is."""
    now = time.time()
    wanted = Import(
        id=secrets.token_hex(16),
        source=body.source,
        author=identity.name,
        notes=body.notes,
        link=body.link,
        even_if_too_large=body.even_if_too_large,
        progress=Progress(phase=say(Saying.FINDING_WEIGHTS), started_at=now),
    )
    model = await context.imports.start(
        wanted, body.name, description=body.description, only_if_missing=body.only_if_missing
    )
    return model_view(model, (await context.store.deployments()).values())


@router.get("/{name}")
async def read_model(name: str, context: ContextDep) -> ModelView:
    return model_view(await context.records.get(name), (await context.store.deployments()).values())


@router.patch("/{name}")
async def describe_model(name: str, body: ModelChange, context: ContextDep) -> ModelView:
    """Change what is said of a model; its revisions stay as they are."""
    said = body.model_dump(exclude_none=True)
    if "tags" in said:
        said["tags"] = tuple(dict.fromkeys(said["tags"]))

    def describe(model: Model | None) -> Model | None:
        return None if model is None else structs.replace(model, **said)

    await context.records.change(name, describe)
    return await read_model(name, context)


@router.delete("/{name}/import", status_code=204)
async def cancel_import(name: str, context: ContextDep) -> None:
    """End a running import and remove what it fetched; revisions that are ready stay."""
    await context.records.get(name)
    await context.imports.cancel(name)


@router.delete("/{name}", status_code=204)
async def delete_model(name: str, context: ContextDep) -> None:
    using = [each.name for each in (await context.store.deployments()).values() if each.model == name]
    if using:
        raise ConflictError(say(Saying.MODEL_IS_DEPLOYED, name=name, deployments=", ".join(using)))
    await context.records.get(name)
    await context.imports.cancel(name)
    await context.records.delete(name)
