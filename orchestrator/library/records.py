"""The models in the store. Imports and uploads both change them: each change is read, made and written alone."""

import asyncio
from collections.abc import Callable

from msgspec import structs

from orchestrator.errors import NotFoundError
from orchestrator.events import Changes
from orchestrator.store import Store
from orchestrator.types import Model

UPLOADED = "upload"
"""Source of a model that was uploaded."""


class ModelRecords:
    """The only writer of model records. Methods raise StoreUnavailableError."""

    def __init__(self, store: Store, changes: Changes) -> None:
        self._store = store
        self._changes = changes
        self._changing = asyncio.Lock()

    async def all(self) -> dict[str, Model]:
        """By name."""
        return await self._store.models()

    async def get(self, name: str) -> Model:
        """Raises NotFoundError."""
        model = (await self._store.models()).get(name)
        if model is None:
            raise NotFoundError(f"The library has no model {name!r}. `roundhouse model list` shows what it has.")
        return model

    async def put(self, model: Model) -> None:
        """Write what an import knows of a model; revisions that were uploaded meanwhile stay."""

        def keep(before: Model | None) -> Model:
            if before is None:
                return model
            return structs.replace(model, revisions=before.revisions, description=before.description)

        await self.change(model.name, keep)

    async def change(self, name: str, change: Callable[[Model | None], Model | None]) -> None:
        """Write what `change` makes of the record; what is None is left as it is."""
        async with self._changing:
            after = change((await self._store.models()).get(name))
            if after is not None:
                await self._store.put_model(after)
        self._changes.notify()

    async def delete(self, name: str) -> None:
        """Forget a model."""
        async with self._changing:
            await self._store.delete_model(name)
        self._changes.notify()
