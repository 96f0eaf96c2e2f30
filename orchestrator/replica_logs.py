"""Reads the logs of replicas, wherever they run: through their own HTTP servers."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import msgspec

from orchestrator.errors import NotFoundError, ReplicaAwayError
from orchestrator.sentences import Saying, say
from orchestrator.store import Store
from replicas.types import LOG_PATH, Endpoint, LogPart

_TIMEOUT_S = 5.0
_FOLLOW_EVERY_S = 1.0


class ReplicaLogs:
    """Whoever is asked for is found by the store: a replica that runs, or one that failed within the last hour."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._http = httpx.AsyncClient(timeout=_TIMEOUT_S, trust_env=False)

    async def close(self) -> None:
        await self._http.aclose()

    async def read(self, replica_id: str, after: str = "") -> tuple[LogPart, bool]:
        """What stands behind the position `after`, and whether more may come.

        Raises NotFoundError, ReplicaAwayError.
        """
        endpoint = await self._store.endpoint(replica_id)
        if endpoint is not None and endpoint.port:
            return await self._ask(endpoint, after), True
        last = await self._store.last_log(replica_id)
        if last is not None:
            return last, False
        if endpoint is None:
            raise NotFoundError(say(Saying.LOG_GONE, replica=replica_id))
        # It listens once its engine runs.
        return LogPart(lines=(), position=""), True

    async def follow(self, replica_id: str, after: str = "") -> AsyncIterator[LogPart]:
        """Parts as they come, the first at once, until the replica is gone. Raises NotFoundError at the start only."""
        part, more = await self.read(replica_id, after)
        yield part
        while more:
            await asyncio.sleep(_FOLLOW_EVERY_S)
            try:
                part, more = await self.read(replica_id, part.position)
            except (NotFoundError, ReplicaAwayError):
                return
            yield part

    async def _ask(self, endpoint: Endpoint, after: str) -> LogPart:
        host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
        try:
            answer = await self._http.get(
                f"http://{host}:{endpoint.port}{LOG_PATH}",
                params={"after": after},
                headers={"authorization": f"Bearer {endpoint.token}"},
            )
            answer.raise_for_status()
            return msgspec.json.decode(answer.content, type=LogPart)
        except (httpx.HTTPError, msgspec.DecodeError) as error:
            raise ReplicaAwayError(say(Saying.LOG_AWAY, replica=endpoint.replica_id, said=str(error))) from error
