"""Has hosts fetch weights before they are needed: before a swap, before replicas are added."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from contextlib import aclosing

from orchestrator.errors import ConflictError
from orchestrator.sentences import Saying, say
from orchestrator.store import Store
from replicas.host_types import FetchLine, FetchProgress, FetchRefused, HostRecord
from replicas.weights.client import follow_fetch
from replicas.weights.errors import HostAwayError

Tell = Callable[[str, FetchProgress], None]
"""Given the address of a host and how far it is, twice a second."""


def nobody(_address: str, _progress: FetchProgress) -> None:
    """The usual `tell`."""


class WeightsHosts:
    """The hosts' processes as the orchestrator uses them. Methods raise StoreUnavailableError."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def begin(
        self, revision: str, path: str, addresses: Collection[str] | None = None
    ) -> Mapping[str, FetchLine]:
        """Have hosts fetch a revision, and return what each says first. They go on by themselves.

        `path` is where the library has it: a host that sees it there, on a shared file system, copies nothing.
        `addresses` None means every host. Raises ConflictError for an address whose host does not report.
        """
        hosts = await self._hosts(addresses)
        firsts = await asyncio.gather(*(_first_line(host, revision, path) for host in hosts))
        return {host.address: line for host, line in zip(hosts, firsts, strict=True)}

    async def prefetch(
        self, revision: str, path: str, addresses: Collection[str] | None = None, tell: Tell = nobody
    ) -> Mapping[str, FetchLine]:
        """As `begin`, until each host has the revision (`Fetched`) or cannot have it (`FetchRefused`)."""
        hosts = await self._hosts(addresses)
        lasts = await asyncio.gather(*(_last_line(host, revision, path, tell) for host in hosts))
        return {host.address: line for host, line in zip(hosts, lasts, strict=True)}

    async def _hosts(self, addresses: Collection[str] | None) -> list[HostRecord]:
        hosts = {host.address: host for host in await self._store.hosts()}
        missing = sorted(set(addresses or ()) - set(hosts))
        if missing:
            raise ConflictError(say(Saying.NO_HOST_REPORTS, addresses=", ".join(missing)))
        return [host for address, host in hosts.items() if addresses is None or address in addresses]


async def _first_line(host: HostRecord, revision: str, path: str) -> FetchLine:
    try:
        async with aclosing(follow_fetch(host, revision, path)) as lines:
            async for line in lines:
                return line
        raise HostAwayError(f"The process of the host {host.address} ended before it answered.")
    except HostAwayError as error:
        return _away(revision, error)


async def _last_line(host: HostRecord, revision: str, path: str, tell: Tell) -> FetchLine:
    try:
        async for line in follow_fetch(host, revision, path):
            if not isinstance(line, FetchProgress):
                return line
            tell(host.address, line)
        raise HostAwayError(f"The process of the host {host.address} ended in the middle of a fetch.")
    except HostAwayError as error:
        return _away(revision, error)


def _away(revision: str, error: HostAwayError) -> FetchRefused:
    return FetchRefused(revision=revision, code=error.code, message=error.message)
