"""Writes desired state: what should be served. The loop makes it so."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable

from msgspec import structs

from orchestrator.errors import ConflictError, InvalidRequestError, NotFoundError
from orchestrator.external import with_stored_keys
from orchestrator.reconcile import spec_digest
from orchestrator.store import Store
from orchestrator.types import Deployment, DeploymentWish, ModelState, Revision, Weights
from replicas.types import EngineKind, ReplicaSpec

_ENGINE_ARGS = frozenset({
    "async_scheduling", "block_size", "compilation_config", "convert", "cpu_offload_gb", "data_parallel_size", "dtype",
    "enable_auto_tool_choice", "enable_chunked_prefill", "enable_expert_parallel", "enable_prefix_caching",
    "enforce_eager", "generation_config", "gpu_memory_utilization", "kv_cache_dtype", "limit_mm_per_prompt",
    "max_logprobs", "max_num_batched_tokens", "max_num_seqs", "num_gpu_blocks_override", "override_generation_config",
    "pipeline_parallel_size", "quantization", "reasoning_parser", "runner", "scheduling_policy", "seed",
    "speculative_config", "swap_space", "tensor_parallel_size", "tool_call_parser",
})  # fmt: skip
"""What an admin may set of vLLM. An allow-list: others name files, code or ports, or are Roundhouse's to set."""
_ALLOWED_ARGS: dict[EngineKind | None, frozenset[str]] = {
    EngineKind.VLLM: _ENGINE_ARGS,
    EngineKind.SIMULATED: frozenset({"faults"}),
    None: frozenset(),
}


Check = Callable[[Revision, Deployment], Awaitable[None]]
"""Raises ConflictError for weights that cannot be served so."""


async def _nothing(_weights: Revision, _deployment: Deployment) -> None:
    """The check that lets everything pass."""


class Deployments:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._changing = asyncio.Lock()
        """Held from reading a deployment to writing it: requests and swaps change the same one."""

    async def get(self, name: str) -> Deployment:
        found = (await self._store.deployments()).get(name)
        if found is None:
            raise NotFoundError(f"Nothing is deployed as {name!r}. `roundhouse status` shows the deployments.")
        return found

    async def put(self, name: str, wish: DeploymentWish, check: Check = _nothing) -> Deployment:
        """Create a deployment or make it what `wish` says. Replicas are replaced only if what they load changes.

        `check` may refuse what would be written. Raises NotFoundError (no such model), ConflictError (model not ready),
        InvalidRequestError.
        """
        async with self._changing:
            return await self._put(name, wish, check)

    async def _put(self, name: str, wish: DeploymentWish, check: Check) -> Deployment:
        engine_args = {key.replace("-", "_"): value for key, value in wish.engine_args.items()}
        _check(wish, engine_args.keys())
        weights = await self._weights(wish)
        before = (await self._store.deployments()).get(name)
        if before is not None and await self._is_swapped(before):
            raise ConflictError(
                f"{name!r} is being swapped. Wait until that is done, or end it with `roundhouse rollback {name}`.",
                code="swap_running",
            )
        now = time.time()
        after = Deployment(
            name=name,
            model=wish.model if weights and wish.model else "",
            engine=wish.engine,
            revision=weights.digest if weights else _without_weights(wish.engine),
            weights_path=weights.path if weights else "",
            replicas=wish.replicas,
            gpus_per_replica=wish.gpus_per_replica if wish.engine is EngineKind.VLLM else 0.0,
            max_model_len=wish.max_model_len,
            engine_args=engine_args,
            simulation=wish.simulation,
            drain_deadline_s=wish.drain_deadline_s,
            routing=wish.routing,
            external=with_stored_keys(wish.external, wish.keep_keys_of, before.external if before else ()),
            created_at=before.created_at if before else now,
            updated_at=now,
            generation=_generation(before, weights),
        )
        if weights is not None and wish.engine is EngineKind.VLLM:
            await check(weights, after)
        await self._store.put_deployment(after, _spec(after))
        return after

    async def renew(self) -> None:
        """Write again what replicas will load, as this version derives it, and forget why earlier ones failed.

        Whoever starts Roundhouse again has perhaps mended the cause, or brought a new version of it.
        """
        for deployment in (await self._store.deployments()).values():
            await self._store.put_deployment(deployment, _spec(deployment))

    async def scale(self, name: str, replicas: int) -> Deployment:
        async with self._changing:
            before = await self.get(name)
            if before.engine is None and replicas:
                raise InvalidRequestError(
                    f"{name!r} has engines outside alone. Deploy a model under this name to give it replicas here."
                )
            after = structs.replace(before, replicas=replicas, updated_at=time.time())
            await self._store.put_deployment(after, _spec(after))
            return after

    async def activate(self, name: str, weights: Weights, generation: int, *, surge: bool) -> None:
        """Make `weights` those that replicas load; with another `generation` those that run are replaced.

        With `surge` they stay until the new ones are ready. Twice is once.
        """
        async with self._changing:
            before = await self.get(name)
            if (before.revision, before.generation) == (weights.revision, generation):
                return
            after = structs.replace(
                before,
                revision=weights.revision,
                weights_path=weights.path,
                generation=generation,
                surge=surge,
                updated_at=time.time(),
            )
            await self._store.put_deployment(after, _spec(after))

    async def delete(self, name: str) -> None:
        async with self._changing:
            await self.get(name)
            await self._store.delete_deployment(name)

    async def _is_swapped(self, deployment: Deployment) -> bool:
        journal = (await self._store.swaps()).get(deployment.name, ())
        # What is left of a deployment of the same name that is gone does not count.
        return any(swap.active and swap.started_at >= deployment.created_at for swap in journal)

    async def _weights(self, wish: DeploymentWish) -> Revision | None:
        model = wish.model
        if wish.engine is None or (wish.engine is EngineKind.SIMULATED and model is None):
            return None
        if model is None:
            raise InvalidRequestError("Say which model of the library to deploy: `roundhouse model list` shows them.")
        found = (await self._store.models()).get(model)
        if found is None:
            raise NotFoundError(f"The library has no model {model!r}. `roundhouse model import` brings one in.")
        if wish.revision is None:
            if found.standing is None:
                why = found.reason or f"it is {found.state.value}"
                raise ConflictError(f"Model {model!r} cannot be deployed yet: {why}", code="model_not_ready")
            return found.standing
        revision = found.find(wish.revision)
        if revision is None or revision.state is not ModelState.READY:
            raise NotFoundError(f"Model {model!r} has no ready revision {wish.revision}.")
        return revision


def _check(wish: DeploymentWish, engine_args: Iterable[str]) -> None:
    """Raises InvalidRequestError for what cannot be, whatever the library holds."""
    allowed = _ALLOWED_ARGS[wish.engine]
    refused = sorted(set(engine_args) - allowed)
    if refused:
        may = f"Allowed are {', '.join(sorted(allowed))}." if allowed else "Engines outside have settings of their own."
        raise InvalidRequestError(f"engine_args may not hold {', '.join(refused)}. {may}")
    if wish.engine is not None:
        return
    if not wish.external:
        raise InvalidRequestError("Without an engine of our own, name at least one outside, with its URL, in external.")
    if wish.replicas or wish.model is not None:
        raise InvalidRequestError(
            "Engines outside alone need no model and no replicas. Leave both out, or choose the engine of the replicas."
        )


def _without_weights(engine: EngineKind | None) -> str:
    """What stands for a revision where there are no weights of ours."""
    return "external" if engine is None else engine.value


def _generation(before: Deployment | None, weights: Revision | None) -> int:
    if before is None:
        return 1
    now = ("", "") if weights is None else (weights.digest, weights.path)
    changed = now != (before.revision if before.weights_path else "", before.weights_path)
    return before.generation + changed


def _spec(deployment: Deployment) -> ReplicaSpec | None:
    if deployment.engine is None:
        return None
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
