"""Replicas: their state, their logs, and what an admin does to one of them."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from orchestrator.api.context import Admin, Context, ContextDep, Identity
from orchestrator.api.replica_schemas import LogLineView, LogView
from orchestrator.api.schemas import ReplicaView
from orchestrator.errors import ConflictError, NotFoundError
from orchestrator.sentences import Saying, say
from orchestrator.types import CordonKind
from orchestrator.views import replica_view
from replicas.types import Endpoint, LogPart, ReplicaState
from router.types import Credential

router = APIRouter(prefix="/replicas", tags=["replicas"], dependencies=[Admin])
After = Annotated[str, Query(max_length=64, description="The `position` of what was read before; empty: the newest")]


@router.get("")
async def list_replicas(context: ContextDep) -> list[ReplicaView]:
    return await replica_views(context)


async def replica_views(context: Context) -> list[ReplicaView]:
    cordons = await context.store.cordons(CordonKind.REPLICAS)
    return [replica_view(endpoint, cordons) for endpoint in await context.store.endpoints()]


@router.get("/{replica_id}/log")
async def read_replica_log(replica_id: str, context: ContextDep, after: After = "") -> LogView:
    """Of a replica that runs, on whichever host, or of one that failed within the last hour."""
    part, more = await context.logs.read(replica_id, after)
    return _log_view(part, ended=not more)


@router.get("/{replica_id}/log/stream", response_class=StreamingResponse)
async def follow_replica_log(
    replica_id: str, context: ContextDep, identity: Identity, after: After = ""
) -> StreamingResponse:
    """Server-sent events: `log` with a `LogView` for what is there and for what comes, `ended` when the replica is."""
    # Asked here, so that a replica that is not there is a 404 and no stream.
    part, more = await context.logs.read(replica_id, after)
    return StreamingResponse(
        _events(context, identity, replica_id, part, more=more),
        media_type="text/event-stream",
        headers={"cache-control": "no-store", "x-accel-buffering": "no"},
    )


async def _events(
    context: Context, identity: Credential, replica_id: str, first: LogPart, *, more: bool
) -> AsyncIterator[bytes]:
    yield _event("log", first)
    if more:
        async for part in context.logs.follow(replica_id, first.position):
            if not await context.still_holds(identity):
                return
            yield _event("log", part) if part.lines else b": still here\n\n"
    yield b"event: ended\ndata: {}\n\n"


def _event(name: str, part: LogPart) -> bytes:
    return f"event: {name}\ndata: {_log_view(part, ended=False).model_dump_json()}\n\n".encode()


def _log_view(part: LogPart, *, ended: bool) -> LogView:
    lines = [LogLineView(stream="err" if line.stream == "err" else "out", text=line.text) for line in part.lines]
    return LogView(lines=lines, position=part.position, ended=ended)


@router.post("/{replica_id}/cordon", status_code=204)
async def cordon_replica(replica_id: str, context: ContextDep) -> None:
    """Give it nothing new; what it has, it finishes. It stays so until it is uncordoned or ends."""
    await _endpoint(context, replica_id)
    await context.store.cordon(CordonKind.REPLICAS, replica_id)
    _told(context)


@router.post("/{replica_id}/uncordon", status_code=204)
async def uncordon_replica(replica_id: str, context: ContextDep) -> None:
    await context.store.uncordon(CordonKind.REPLICAS, [replica_id])
    _told(context)


@router.post("/{replica_id}/restart", status_code=202)
async def restart_replica(replica_id: str, context: ContextDep) -> None:
    """Let it finish what it has, then start another one in its place."""
    endpoint = await _endpoint(context, replica_id)
    if endpoint.state is ReplicaState.ASLEEP:
        raise ConflictError(
            say(Saying.REPLICA_IS_ASLEEP, replica=replica_id, name=endpoint.deployment), code="replica_asleep"
        )
    await context.orders.end(endpoint)


async def _endpoint(context: Context, replica_id: str) -> Endpoint:
    endpoint = await context.store.endpoint(replica_id)
    if endpoint is None:
        raise NotFoundError(say(Saying.NO_SUCH_REPLICA, replica=replica_id))
    return endpoint


def _told(context: Context) -> None:
    context.loop.wake()
    context.changes.notify()
