"""The models in the store. Imports and uploads both change them: each change is read, made and written alone."""

import asyncio
from collections.abc import Callable

from orchestrator.errors import NotFoundError, StoreUnavailableError
from orchestrator.events import Changes
from orchestrator.sentences import Saying, say
from orchestrator.store import Store
from orchestrator.types import Model

_STORE_PAUSE_S = 0.5

Change = Callable[[Model | None], Model | None]
"""From the record, None if there is none, to what it shall be; None leaves it as it is."""


class ModelRecords:
    """The only writer of model records. Methods raise StoreUnavailableError."""

    def __init__(self, store: Store, changes: Changes) -> None:
        self._store = store
        self._changes = changes
        self._changing = asyncio.Lock()

    async def all(self) -> dict[str, Model]:
        """By name."""
        return await self._store.models()

    async def find(self, name: str) -> Model | None:
        return (await self._store.models()).get(name)

    async def get(self, name: str) -> Model:
        """Raises NotFoundError."""
        model = await self.find(name)
        if model is None:
            raise NotFoundError(say(Saying.NO_SUCH_MODEL, name=name))
        return model

    async def change(self, name: str, change: Change) -> Model | None:
        """Write what `change` makes of the record, and return it."""
        async with self._changing:
            after = change(await self.find(name))
            if after is not None:
                await self._store.put_model(after)
        self._changes.notify()
        return after

    async def settle(self, name: str, change: Change) -> None:
        """As `change`, however long the store is away: for how work ended, which nobody else will write."""
        while True:
            try:
                await self.change(name, change)
            except StoreUnavailableError:
                await asyncio.sleep(_STORE_PAUSE_S)
            else:
                return

    async def delete(self, name: str) -> None:
        """Forget a model."""
        async with self._changing:
            await self._store.delete_model(name)
        self._changes.notify()
