"""Revisions of a model: uploaded, compared, removed; and what they leave on the disk."""

from typing import Annotated

from fastapi import APIRouter, Query

from orchestrator.api.comparison_schemas import ComparisonView, comparison_view
from orchestrator.api.context import Admin, Context, ContextDep, admin_of
from orchestrator.api.model_schemas import GcView
from orchestrator.library.uploads.routes import create_router
from orchestrator.library.uploads.uploads import Uploads

router = APIRouter(tags=["models"], dependencies=[Admin])


def _uploads_of(context: ContextDep) -> Uploads:
    return context.revisions.uploads


uploads_router = create_router(_uploads_of, admin_of)


@router.get("/models/{name}/revisions/{digest}/changes")
async def compare_revisions(
    name: str,
    digest: str,
    context: ContextDep,
    since: Annotated[str | None, Query(description="Digest; left out: the revision that came before it")] = None,
) -> ComparisonView:
    """What is different in a revision: settings, texts, other files, weights."""
    before, found = await context.revisions.compare(name, digest, since)
    return comparison_view(before, digest, found)


@router.delete("/models/{name}/revisions/{digest}", status_code=204)
async def delete_revision(name: str, digest: str, context: ContextDep) -> None:
    """Forget a revision. `POST /library/gc` frees what no other one shares."""
    await context.revisions.remove(name, digest, await _deployed(context))


@router.post("/library/gc")
async def collect_garbage(context: ContextDep, dry_run: bool = False) -> GcView:
    """Free the disk of what no model and no deployment needs."""
    report = await context.revisions.collect(await _deployed(context), dry_run=dry_run)
    return GcView(
        freed_bytes=report.freed_bytes,
        revisions=list(report.revisions),
        contents=report.blobs,
        partial=report.partial,
        dry_run=report.dry_run,
    )


async def _deployed(context: Context) -> frozenset[str]:
    served = {each.revision for each in (await context.store.deployments()).values()}
    return await context.swaps.needed() | served
