"""Writes desired state: what should be served. The loop makes it so."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable

from msgspec import structs

from orchestrator.alias_names import refuse_named, refuse_taken
from orchestrator.canary import beside
from orchestrator.errors import ConflictError, InvalidRequestError, NotFoundError
from orchestrator.external import with_stored_keys
from orchestrator.reconcile import spec_digest
from orchestrator.scaling.types import Override
from orchestrator.sentences import Saying, Sentence, say
from orchestrator.store import Store
from orchestrator.swap import journal_of
from orchestrator.types import DeployedCanary, Deployment, DeploymentWish, Model, ModelState, Revision, Weights
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
    def __init__(self, store: Store, *, can_grow: bool = False) -> None:
        """`can_grow`: Ray gets more nodes when replicas wait for one, and assigns GPUs."""
        self._store = store
        self._can_grow = can_grow
        self.changing = asyncio.Lock()
        """Held from reading a deployment, or an alias, to writing it: requests and swaps change the same one."""

    async def get(self, name: str) -> Deployment:
        found = (await self._store.deployments()).get(name)
        if found is None:
            raise NotFoundError(say(Saying.NOT_DEPLOYED, name=name))
        return found

    async def put(self, name: str, wish: DeploymentWish, check: Check = _nothing) -> Deployment:
        """Create a deployment or make it what `wish` says. Replicas are replaced only if what they load changes.

        `check` may refuse what would be written. Raises NotFoundError (no such model), ConflictError (model not ready),
        InvalidRequestError.
        """
        async with self.changing:
            return await self._put(name, wish, check)

    async def _put(self, name: str, wish: DeploymentWish, check: Check) -> Deployment:
        engine_args = {key.replace("-", "_"): value for key, value in wish.engine_args.items()}
        _check(wish, engine_args.keys())
        if wish.sleep_mode:
            _check_sleep_mode(wish, can_grow=self._can_grow)
        weights = await self._weights(wish)
        refuse_taken(name, await self._store.aliases())
        before = (await self._store.deployments()).get(name)
        if before is not None and await self._is_swapped(before):
            raise ConflictError(say(Saying.DEPLOYMENT_IS_SWAPPED, name=name), code="swap_running")
        now = time.time()
        after = Deployment(
            name=name,
            model=wish.model if weights and wish.model else "",
            engine=wish.engine,
            revision=weights.digest if weights else _without_weights(wish.engine),
            weights_path=weights.path if weights else "",
            replicas=_replicas(wish, before),
            scaling=wish.scaling,
            override=before.override if before and wish.scaling else None,
            gpus_per_replica=wish.gpus_per_replica if wish.engine is not None else 0.0,
            max_model_len=wish.max_model_len,
            engine_args=engine_args,
            simulation=wish.simulation,
            drain_deadline_s=wish.drain_deadline_s,
            placement=wish.placement,
            node_labels=wish.node_labels,
            sleep_mode=wish.sleep_mode,
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

    async def renew(self, *names: str) -> None:
        """Write again what replicas will load, as this version derives it, and forget why earlier ones failed.

        Of the deployments `names`, or of all. Whoever starts Roundhouse again has perhaps mended the cause, or brought
        a new version of it.
        """
        for deployment in (await self._store.deployments()).values():
            if names and deployment.name not in names:
                continue
            await self._store.put_deployment(deployment, _spec(deployment))

    async def scale(self, name: str, replicas: int, until: float | None = None) -> Deployment:
        """Set the number of replicas; where it follows the load, in the place of what that says.

        `until` (Unix seconds): from then on the load decides again. Raises NotFoundError, InvalidRequestError.
        """
        async with self.changing:
            before = await self.get(name)
            if before.engine is None and replicas:
                raise InvalidRequestError(say(Saying.OUTSIDE_HAS_NO_REPLICAS, name=name))
            if before.scaling is None and until is not None:
                raise InvalidRequestError(say(Saying.NOTHING_TO_GO_BACK_TO, name=name))
            override = None if before.scaling is None else Override(replicas=replicas, until=until)
            after = structs.replace(before, replicas=replicas, override=override, updated_at=time.time())
            await self._store.put_deployment(after, _spec(after))
            return after

    async def follow_load(self, name: str) -> Deployment:
        """Take back what an admin set by hand. Raises NotFoundError, InvalidRequestError."""
        async with self.changing:
            before = await self.get(name)
            if before.scaling is None:
                raise InvalidRequestError(say(Saying.NUMBER_IS_FIXED, name=name))
            after = structs.replace(before, override=None, updated_at=time.time())
            await self._store.put_deployment(after, _spec(after))
            return after

    async def resize(
        self,
        name: str,
        replicas: int,
        override: Override | None,
        *,
        leaving: tuple[str, ...],
        shortage: Sentence | None,
    ) -> bool:
        """Write what the autoscaler found; whether it was anything new.

        `override` as it read it: nothing happens if somebody changed that since.
        """
        async with self.changing:
            before = (await self._store.deployments()).get(name)
            if before is None or before.scaling is None or before.override != override:
                return False
            if before.replicas == replicas:
                leaving = before.leaving
            after = structs.replace(before, replicas=replicas, leaving=leaving, shortage=shortage)
            if after == before:
                return False
            await self._store.resize_deployment(after)
            return True

    async def activate(
        self, name: str, weights: Weights, generation: int, *, surge: bool, canary: DeployedCanary | None = None
    ) -> None:
        """Make `weights` those that replicas load; with another `generation` those that run are replaced.

        With `surge` they stay until the new ones are ready. `canary`: that there is from then on. Twice is once.
        """
        async with self.changing:
            before = await self.get(name)
            if (before.revision, before.generation, before.canary) == (weights.revision, generation, canary):
                return
            after = structs.replace(
                before,
                revision=weights.revision,
                weights_path=weights.path,
                generation=generation,
                surge=surge,
                canary=canary,
                updated_at=time.time(),
            )
            await self._write_canary(before, after)
            await self._store.put_deployment(after, _spec(after))

    async def split(self, name: str, canary: DeployedCanary | None) -> None:
        """Make `canary` the one that there is; what is active stays that. Twice is once."""
        async with self.changing:
            before = await self.get(name)
            after = structs.replace(before, canary=canary)
            if after != before:
                await self._write_canary(before, after)
                await self._store.put_deployment(after, _spec(after))

    async def _write_canary(self, before: Deployment, after: Deployment) -> None:
        """What the canary's own replicas load, before anybody starts them."""
        was, own = beside(before), beside(after)
        if own is not None and own != was:
            spec = _spec(own)
            await self._store.put_spec(own.name, None if spec is None else structs.replace(spec, model=after.name))
        elif was is not None and own is None:
            await self._store.put_spec(was.name, None)

    async def delete(self, name: str) -> None:
        """Raises NotFoundError, and ConflictError while an alias names it."""
        async with self.changing:
            before = await self.get(name)
            refuse_named(name, await self._store.aliases())
            await self._write_canary(before, structs.replace(before, canary=None))
            await self._store.delete_deployment(name)

    async def _is_swapped(self, deployment: Deployment) -> bool:
        entries = (await self._store.swaps()).get(deployment.name, ())
        return any(swap.active for swap in journal_of(deployment, entries))

    async def _weights(self, wish: DeploymentWish) -> Revision | None:
        model = wish.model
        if wish.engine is None or (wish.engine is EngineKind.SIMULATED and model is None):
            return None
        if model is None:
            raise InvalidRequestError(say(Saying.MODEL_NOT_NAMED))
        found = (await self._store.models()).get(model)
        if found is None:
            raise NotFoundError(say(Saying.NO_SUCH_MODEL, name=model))
        if wish.revision is None:
            if found.standing is None:
                raise ConflictError(
                    say(Saying.MODEL_NOT_READY, name=model, why=_why_not_ready(found)), code="model_not_ready"
                )
            return found.standing
        revision = found.find(wish.revision)
        if revision is None or revision.state is not ModelState.READY:
            raise NotFoundError(say(Saying.NO_SUCH_REVISION, name=model, revision=wish.revision))
        return revision


def _why_not_ready(model: Model) -> Sentence:
    if model.reason:
        return model.reason
    return say(Saying.MODEL_IS_VERIFIED if model.state is ModelState.VERIFYING else Saying.MODEL_ARRIVES)


def _check(wish: DeploymentWish, engine_args: Iterable[str]) -> None:
    """Raises InvalidRequestError for what cannot be, whatever the library holds."""
    allowed = _ALLOWED_ARGS[wish.engine]
    refused = sorted(set(engine_args) - allowed)
    if refused:
        saying = Saying.ENGINE_ARGS if allowed else Saying.ENGINE_ARGS_OUTSIDE
        raise InvalidRequestError(say(saying, refused=", ".join(refused), allowed=", ".join(sorted(allowed))))
    if wish.engine is not None:
        return
    if not wish.external:
        raise InvalidRequestError(say(Saying.OUTSIDE_NOT_NAMED))
    if wish.replicas or wish.scaling or wish.model is not None:
        raise InvalidRequestError(say(Saying.OUTSIDE_ALONE))


def _check_sleep_mode(wish: DeploymentWish, *, can_grow: bool) -> None:
    """Raises InvalidRequestError where no replica could sleep."""
    if wish.engine is None:
        why = Saying.SLEEP_OUTSIDE
    elif not wish.gpus_per_replica:
        why = Saying.SLEEP_WITHOUT_GPU
    elif can_grow:
        why = Saying.SLEEP_WHERE_IT_GROWS
    else:
        return
    raise InvalidRequestError(say(Saying.NO_SLEEP_MODE, why=say(why)))


def _replicas(wish: DeploymentWish, before: Deployment | None) -> int:
    """How many at first: one even where none is the least, so that whoever deploys sees it answer."""
    if wish.replicas is not None:
        return wish.replicas
    if wish.scaling is None:
        return 0 if wish.engine is None else 1
    wanted = before.replicas if before is not None and before.scaling is not None else 1
    return min(max(wanted, wish.scaling.min_replicas), wish.scaling.max_replicas)


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
        sleep_mode=deployment.sleep_mode,
        drain_deadline_s=deployment.drain_deadline_s,
        simulation=deployment.simulation,
    )
