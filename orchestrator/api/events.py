"""State as it changes, as server-sent events."""

from collections.abc import AsyncIterator

from fastapi import APIRouter
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from orchestrator.alias_views import alias_in_catalog, alias_view
from orchestrator.api.context import Context, ContextDep, Identity
from orchestrator.api.nodes import nodes_now
from orchestrator.api.replicas import replica_views
from orchestrator.api.schemas import EventSnapshot
from orchestrator.events import event_stream
from orchestrator.library.uploads.views import upload_summaries
from orchestrator.views import catalog_view, deployment_view, model_view, problem_view, swap_view
from router.types import Role

router = APIRouter(tags=["events"])


@router.get(
    "/events",
    response_class=StreamingResponse,
    responses={200: {"model": EventSnapshot, "description": "Each event's data is one list of this object"}},
)
async def stream_events(context: ContextDep, identity: Identity) -> StreamingResponse:
    """Whole lists, named as in `EventSnapshot`: `catalog` for everyone, all of them for admins."""
    admin = identity.role is Role.ADMIN

    async def snapshot() -> dict[str, list[BaseModel]] | None:
        if not await context.still_holds(identity):
            return None
        return await _everything(context) if admin else await _catalog(context)

    stream: AsyncIterator[bytes] = event_stream(context.changes, snapshot)
    return StreamingResponse(
        stream, media_type="text/event-stream", headers={"cache-control": "no-store", "x-accel-buffering": "no"}
    )


async def _catalog(context: Context) -> dict[str, list[BaseModel]]:
    catalog, aliases = await context.store.catalog(), await context.store.aliases()
    shown = {name: catalog_view(entry, context.loop.statuses.get(name)) for name, entry in catalog.items()}
    return {"catalog": [*shown.values(), *(alias_in_catalog(each, catalog, shown) for each in aliases.values())]}


async def _everything(context: Context) -> dict[str, list[BaseModel]]:
    deployments, catalog = await context.store.deployments(), await context.store.catalog()
    models = await context.store.models()
    return {
        **await _catalog(context),
        "models": [model_view(model, deployments.values()) for model in models.values()],
        "deployments": [deployment_view(each, context.loop.statuses) for each in deployments.values()],
        "swaps": [swap_view(each) for journal in (await context.store.swaps()).values() for each in journal],
        "aliases": [alias_view(each, catalog) for each in (await context.store.aliases()).values()],
        "replicas": list(await replica_views(context)),
        "uploads": list(await upload_summaries(context.revisions.uploads)),
        "nodes": list(await nodes_now(context)),
        "problems": [problem_view(each) for each in context.watch.problems],
    }
