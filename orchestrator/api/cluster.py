"""The system as a whole, and how another machine joins it."""

import shlex

from fastapi import APIRouter

from orchestrator import __version__
from orchestrator.api.context import Admin, ContextDep
from orchestrator.api.schemas import JoinView, SystemView
from orchestrator.host.home import Home
from orchestrator.host.join import join_token
from orchestrator.host.ray_node import is_loopback
from replicas.types import EngineKind

router = APIRouter(tags=["cluster"], dependencies=[Admin])


@router.get("/system")
async def read_system(context: ContextDep) -> SystemView:
    gpus = sum(node.gpus for node in context.loop.observed.nodes if node.alive)
    deployments = (await context.store.deployments()).values()
    return SystemView(
        version=__version__,
        started_at=context.started_at,
        ray_connected=context.loop.ray_connected,
        devices="gpu" if gpus else "cpu",
        gpus=gpus,
        simulated=any(each.engine is EngineKind.SIMULATED for each in deployments),
        problems=[context.loop.problem] if context.loop.problem else [],
    )


@router.get("/join")
async def read_join_command(context: ContextDep) -> JoinView:
    """The command that makes another machine a node. It holds a secret: treat it like a password."""
    settings = context.settings
    token = join_token(Home(settings.home).ray_token, settings.ray_address, settings.store_url)
    local = is_loopback(settings.node_address)
    return JoinView(
        # Through a pipe: the shell's own echo shows in no list of processes.
        command=f"echo {shlex.quote(token)} | infra/up join -",
        reachable=not local,
        note=(
            "Only this machine can reach this address. Start Roundhouse with --node-address and the "
            "address that other machines see, then ask again."
            if local
            else "Run it on the machine that shall join. It holds a secret: treat it like a password."
        ),
    )
