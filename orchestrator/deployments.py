"""Writes desired state: what should be served. The loop makes it so."""

import time
from typing import Any

from msgspec import structs

from orchestrator.errors import ConflictError, InvalidRequestError, NotFoundError
from orchestrator.reconcile import spec_digest
from orchestrator.store import Store
from orchestrator.types import Deployment, Model, ModelState
from replicas.types import EngineKind, ReplicaSpec, SimulationSettings

_ENGINE_ARGS = frozenset({
    "async_scheduling", "block_size", "compilation_config", "convert", "cpu_offload_gb", "data_parallel_size", "dtype",
    "enable_auto_tool_choice", "enable_chunked_prefill", "enable_expert_parallel", "enable_prefix_caching",
    "enforce_eager", "generation_config", "gpu_memory_utilization", "kv_cache_dtype", "limit_mm_per_prompt",
    "max_logprobs", "max_num_batched_tokens", "max_num_seqs", "num_gpu_blocks_override", "override_generation_config",
    "pipeline_parallel_size", "quantization", "reasoning_parser", "runner", "scheduling_policy", "seed",
    "speculative_config", "swap_space", "tensor_parallel_size", "tool_call_parser",
})  # fmt: skip
"""What an admin may set of vLLM. An allow-list: others name files, code or ports, or are Roundhouse's to set."""
_SIMULATED_ARGS = frozenset({"faults"})


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
        allowed = _SIMULATED_ARGS if engine is EngineKind.SIMULATED else _ENGINE_ARGS
        engine_args = {key.replace("-", "_"): value for key, value in engine_args.items()}
        refused = sorted(engine_args.keys() - allowed)
        if refused:
            raise InvalidRequestError(
                f"engine_args may not hold {', '.join(refused)}. Allowed are {', '.join(sorted(allowed))}."
            )
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

    async def renew(self) -> None:
        """Write again what replicas will load, as this version derives it, and forget why earlier ones failed.

        Whoever starts Roundhouse again has perhaps mended the cause, or brought a new version of it.
        """
        for deployment in (await self._store.deployments()).values():
            await self._store.put_deployment(deployment, _spec(deployment))

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
        spec_digest=spec_digest(deployment),
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
