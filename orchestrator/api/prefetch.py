"""Weights brought to nodes before they are needed."""

from fastapi import APIRouter

from orchestrator.api.context import Admin, ContextDep
from orchestrator.api.node_schemas import PrefetchBody, PrefetchView
from orchestrator.errors import ConflictError, NotFoundError
from orchestrator.sentences import Saying, say
from orchestrator.types import ModelState
from orchestrator.weights_hosts import WeightsHosts
from replicas.host_types import FetchLine, FetchProgress, FetchRefused

router = APIRouter(tags=["models"], dependencies=[Admin])


@router.post("/models/{name}/revisions/{digest}/prefetch", status_code=202)
async def prefetch_revision(
    name: str, digest: str, context: ContextDep, body: PrefetchBody | None = None
) -> list[PrefetchView]:
    """Have nodes fetch what they lack of a revision; `GET /nodes` and its events show how far they are."""
    revision = (await context.records.get(name)).find(digest)
    if revision is None:
        raise NotFoundError(say(Saying.REVISION_UNKNOWN, name=name, revision=digest))
    if revision.state is not ModelState.READY:
        raise ConflictError(say(Saying.REVISION_NOT_READY, revision=digest))
    nodes = body.nodes if body else None
    said = await WeightsHosts(context.store).begin(digest, revision.path, nodes)
    return [_view(address, line) for address, line in said.items()]


def _view(address: str, line: FetchLine) -> PrefetchView:
    if isinstance(line, FetchRefused):
        return PrefetchView(node=address, state="refused", reason=line.message)
    return PrefetchView(node=address, state="fetching" if isinstance(line, FetchProgress) else "present")
