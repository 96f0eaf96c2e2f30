"""Tells replicas what to do, over their own HTTP servers."""

import logging

import httpx
import msgspec

from replicas.types import END_PATH, PREPARE_SWAP_PATH, SLEEP_PATH, SWAP_PATH, WAKE_PATH, Endpoint, SwapOrder

_log = logging.getLogger("roundhouse.swap")
_TIMEOUT_S = 5.0


class HttpReplicaOrders:
    """An order that does not get through is a line in the log: whoever gave it sees that it was not heard."""

    def __init__(self) -> None:
        self._http = httpx.AsyncClient(timeout=_TIMEOUT_S, trust_env=False)

    async def close(self) -> None:
        await self._http.aclose()

    async def prepare(self, replica: Endpoint, order: SwapOrder) -> None:
        await self._tell(replica, PREPARE_SWAP_PATH, msgspec.json.encode(order))

    async def swap(self, replica: Endpoint, order: SwapOrder) -> None:
        await self._tell(replica, SWAP_PATH, msgspec.json.encode(order))

    async def end(self, replica: Endpoint) -> None:
        await self._tell(replica, END_PATH, b"")

    async def sleep(self, replica: Endpoint) -> bool:
        """Whether it was heard."""
        return await self._tell(replica, SLEEP_PATH, b"")

    async def wake(self, replica: Endpoint) -> bool:
        """Whether it was heard."""
        return await self._tell(replica, WAKE_PATH, b"")

    async def _tell(self, replica: Endpoint, path: str, body: bytes) -> bool:
        host = f"[{replica.host}]" if ":" in replica.host else replica.host
        try:
            answer = await self._http.post(
                f"http://{host}:{replica.port}{path}",
                content=body,
                headers={"authorization": f"Bearer {replica.token}"},
            )
            answer.raise_for_status()
        except httpx.HTTPError as error:
            _log.warning("%s did not hear %s: %s", replica.replica_id, path, error)
            return False
        return True
