"""The machines of the cluster."""

from fastapi import APIRouter

from orchestrator.api.context import Admin, Context, ContextDep
from orchestrator.api.node_schemas import NodeView
from orchestrator.errors import NotFoundError
from orchestrator.sentences import Saying, say
from orchestrator.types import CordonKind
from orchestrator.views import node_views

router = APIRouter(prefix="/nodes", tags=["nodes"], dependencies=[Admin])


@router.get("")
async def list_nodes(context: ContextDep) -> list[NodeView]:
    return await nodes_now(context)


async def nodes_now(context: Context) -> list[NodeView]:
    cordoned = await context.store.cordons(CordonKind.NODES)
    return node_views(context.loop.observed, cordoned, await context.store.cordons(CordonKind.DRAINED_NODES))


@router.post("/{address}/cordon", status_code=204)
async def cordon_node(address: str, context: ContextDep) -> None:
    """Start no new replica there; those that run stay. It stays so until it is uncordoned."""
    await _mark(context, CordonKind.NODES, address)


@router.post("/{address}/drain", status_code=204)
async def drain_node(address: str, context: ContextDep) -> None:
    """Empty it: each replica there ends once another one, where there is room, has taken its place."""
    await _mark(context, CordonKind.DRAINED_NODES, address)


@router.post("/{address}/uncordon", status_code=204)
async def uncordon_node(address: str, context: ContextDep) -> None:
    """It takes replicas again, whether it was cordoned or drained."""
    for kind in (CordonKind.NODES, CordonKind.DRAINED_NODES):
        await context.store.uncordon(kind, [address])
    _told(context)


async def _mark(context: Context, kind: CordonKind, address: str) -> None:
    if all(node.address != address for node in context.loop.observed.nodes):
        raise NotFoundError(say(Saying.NO_SUCH_NODE, address=address))
    await context.store.cordon(kind, address)
    _told(context)


def _told(context: Context) -> None:
    context.loop.wake()
    context.changes.notify()
