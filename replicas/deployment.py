"""The replica as Ray Serve runs it. The only file of this package that imports Ray.

Ray Serve places replicas, restarts them and stops them. No request passes through it: each replica has its own HTTP
server, which routers reach directly.
"""

import asyncio
import logging
import os
from collections.abc import Mapping

import ray
from ray import serve
from ray.serve._private import replica as serve_replica

from replicas.devices import see_only
from replicas.node import read_node_config
from replicas.replica import Place, ReplicaLife

HEALTH_CHECK_PERIOD_S = 10.0
HEALTH_CHECK_TIMEOUT_S = 30.0
CONSTRUCTOR_TRIES = 3
DRAIN_MARGIN_S = 20.0
"""On top of the drain deadline, before Serve kills a stopping replica: what server and engine take to end."""
_log = logging.getLogger(__name__)


class Replica:
    """The deployment's class. Not decorated, so that Ray carries it by name and not by value."""

    async def __init__(self, deployment_name: str, gpus: tuple[int, ...] = ()) -> None:  # type: ignore[misc]
        """Start the replica of `deployment_name` that the store asks for now; return when it is ready. Serve awaits it.

        `gpus`: indices of those of its node that are its own; empty where Ray assigns them, or it needs none.

        Raises `ReplicaError` with the failure recorded in the store and nothing left behind.
        """
        _close_serve_port()
        _log_to_own_streams()
        config = read_node_config()
        context = ray.get_runtime_context()
        place = Place(
            address=config.node_address or ray.util.get_node_ip_address(),
            node_id=context.get_node_id(),
            gpus=see_only(gpus, os.environ) if gpus else tuple(context.get_accelerator_ids().get("GPU", ())),
            application=serve.get_replica_context().app_name,
        )
        self._life = ReplicaLife(deployment_name, config.store_url, place)
        await self._life.start()
        self._last_rites = asyncio.create_task(_exit_when_condemned(self._life))

    async def check_health(self) -> None:
        """Called by Serve each `HEALTH_CHECK_PERIOD_S`. Raises `EngineUnhealthyError`."""
        self._life.check_health()

    async def __del__(self) -> None:
        """Called once by Serve before it ends the actor: leave the routers' tables, drain, stop."""
        life = getattr(self, "_life", None)
        if life is not None:
            await life.stop()


def _close_serve_port() -> None:
    """Keep Serve from opening its own port in this process.

    Serve gives each replica a gRPC server on every interface, without authentication, that unpickles what it is sent
    (Ray 2.60, `serve/_private/replica.py`). Nobody calls a replica through Serve here, so that server gets no port.
    """
    serve_replica.add_port_to_grpc_server = lambda server, address: 0


def _log_to_own_streams() -> None:
    """Have what we log stand in the process's own log, beside what the engine writes; Ray keeps it in a file."""
    ours = logging.getLogger("replicas")
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    ours.addHandler(handler)
    ours.setLevel(logging.INFO)
    ours.propagate = False


async def _exit_when_condemned(life: ReplicaLife) -> None:
    """End the process: Serve replaces a dead actor at its next look, a sick one only after three."""
    await life.condemned.wait()
    _log.error("Replica %s ends itself: its engine is lost.", life.replica_id)
    os._exit(1)


SERVE_DEPLOYMENT = "replica"
"""Name of the one Serve deployment in each application."""


def replica_application(
    deployment: str,
    *,
    num_cpus: float,
    num_gpus: float,
    drain_deadline_s: float,
    resources: Mapping[str, float],
    gpus: tuple[int, ...] = (),
) -> serve.Application:
    """The Serve application that runs one replica of `deployment`, and so one engine.

    `num_cpus`, `num_gpus` and `resources` (Ray's custom ones) are what Ray is asked for; `gpus` of its node are its own
    without asking. The spec itself is not part of it: the replica reads it from the store when it starts.
    """
    return serve.deployment(
        Replica,
        name=SERVE_DEPLOYMENT,
        num_replicas=1,
        ray_actor_options={"num_cpus": num_cpus, "num_gpus": num_gpus, "resources": dict(resources)},
        max_constructor_retry_count=CONSTRUCTOR_TRIES,
        health_check_period_s=HEALTH_CHECK_PERIOD_S,
        health_check_timeout_s=HEALTH_CHECK_TIMEOUT_S,
        graceful_shutdown_timeout_s=drain_deadline_s + DRAIN_MARGIN_S,
        # Serve counts only its own requests, of which there are none.
        graceful_shutdown_wait_loop_s=0.1,
    ).bind(deployment, gpus)
