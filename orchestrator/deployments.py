"""Writes desired state: what should be served. The loop makes it so."""

import time
from typing import Any

from msgspec import structs

from orchestrator.errors import ConflictError, InvalidRequestError, NotFoundError
from orchestrator.store import Store
from orchestrator.types import Deployment, Model, ModelState
from replicas.types import EngineKind, ReplicaSpec, SimulationSettings

_OURS = frozenset({"model", "served_model_name", "host", "port", "api_key", "max_model_len", "trust_remote_code"})


class Deployments:
    def __init__(self, store: Store) -> None:
        self._store = store

    async def get(self, name: str) -> Deployment:
        found = (await self._store.deployments()).get(name)
        if found is None:
            raise NotFoundError(f"Nothing is deployed as {name!r}. `roundhouse status` shows the deployments.")
        return found

    async def put(
        self,
        name: str,
        *,
        model: str | None,
        engine: EngineKind,
        replicas: int,
        gpus_per_replica: float,
        max_model_len: int | None,
        engine_args: dict[str, Any],
        simulation: SimulationSettings,
        drain_deadline_s: float,
    ) -> Deployment:
        """Create a deployment or change it. Replicas are replaced only if what they load changes.

        Raises NotFoundError (no such model), ConflictError (model not ready), InvalidRequestError.
        """
        refused = sorted(_OURS & engine_args.keys())
        if refused:
            raise InvalidRequestError(f"Roundhouse sets {', '.join(refused)} itself; leave it out of engine_args.")
        weights = await self._weights(model, engine)
        before = (await self._store.deployments()).get(name)
        now = time.time()
        after = Deployment(
            name=name,
            model=weights.name if weights else "",
            engine=engine,
            revision=weights.revision if weights else "simulated",
            weights_path=weights.path if weights else "",
            replicas=replicas,
            gpus_per_replica=0 if engine is EngineKind.SIMULATED else gpus_per_replica,
            max_model_len=max_model_len,
            engine_args=engine_args,
            simulation=simulation,
            drain_deadline_s=drain_deadline_s,
            created_at=before.created_at if before else now,
            updated_at=now,
            generation=_generation(before, weights),
        )
        await self._store.put_deployment(after, _spec(after))
        return after

    async def scale(self, name: str, replicas: int) -> Deployment:
        after = structs.replace(await self.get(name), replicas=replicas, updated_at=time.time())
        await self._store.put_deployment(after, _spec(after))
        return after

    async def delete(self, name: str) -> None:
        await self.get(name)
        await self._store.delete_deployment(name)

    async def _weights(self, model: str | None, engine: EngineKind) -> Model | None:
        if engine is EngineKind.SIMULATED:
            return None
        if model is None:
            raise InvalidRequestError("Say which model of the library to deploy: `roundhouse model list` shows them.")
        found = (await self._store.models()).get(model)
        if found is None:
            raise NotFoundError(f"The library has no model {model!r}. `roundhouse model import` brings one in.")
        if found.state is not ModelState.READY:
            why = found.reason or f"it is {found.state.value}"
            raise ConflictError(f"Model {model!r} cannot be deployed yet: {why}", code="model_not_ready")
        return found


def _generation(before: Deployment | None, weights: Model | None) -> int:
    if before is None:
        return 1
    changed = weights is not None and (weights.revision, weights.path) != (before.revision, before.weights_path)
    return before.generation + changed


def _spec(deployment: Deployment) -> ReplicaSpec:
    return ReplicaSpec(
        deployment=deployment.name,
        model=deployment.name,
        engine=deployment.engine,
        revision=deployment.revision,
        weights_path=deployment.weights_path,
        max_model_len=deployment.max_model_len,
        gpus_per_replica=deployment.gpus_per_replica,
        engine_args=deployment.engine_args,
        drain_deadline_s=deployment.drain_deadline_s,
        simulation=deployment.simulation,
    )
