"""Writes aliases: public names whose requests go to deployments of other names, by weight."""

import time
from collections.abc import Callable, Mapping

from orchestrator.alias_names import refuse_alias
from orchestrator.deployments import Deployments
from orchestrator.errors import NotFoundError
from orchestrator.sentences import Saying, say
from orchestrator.store import Store
from router.types import Alias, AliasTarget


class Aliases:
    """The only writer of aliases. Methods raise StoreUnavailableError."""

    def __init__(self, store: Store, deployments: Deployments, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._deployments = deployments
        self._clock = clock

    async def get(self, name: str) -> Alias:
        """Raises NotFoundError."""
        found = (await self._store.aliases()).get(name)
        if found is None:
            raise NotFoundError(say(Saying.NO_SUCH_ALIAS, name=name))
        return found

    async def put(self, name: str, weights: Mapping[str, float]) -> Alias:
        """Create or change an alias; `weights` by deployment. Raises ConflictError, NotFoundError."""
        async with self._deployments.changing:
            before = (await self._store.aliases()).get(name)
            now = self._clock()
            alias = Alias(
                name=name,
                targets=tuple(AliasTarget(model, weight) for model, weight in weights.items()),
                created_at=now if before is None else before.created_at,
                updated_at=now,
            )
            refuse_alias(alias, await self._store.deployments())
            await self._store.put_alias(alias)
        return alias

    async def delete(self, name: str) -> None:
        """Raises NotFoundError."""
        async with self._deployments.changing:
            await self.get(name)
            await self._store.delete_alias(name)
