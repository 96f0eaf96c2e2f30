"""The router's side of the store. The only file here that imports redis."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any, Generic, TypeVar, cast

import msgspec
import redis.asyncio as redis
from msgspec import Struct
from msgspec.structs import asdict
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from replicas.types import CHANGES_CHANNEL, ENDPOINT_IDS_KEY, Endpoint, endpoint_key
from router.errors import StoreAwayError
from router.key_use import Use
from router.types import (
    ALIASES_KEY,
    CATALOG_KEY,
    CREDENTIALS_KEY,
    ROUTER_IDS_KEY,
    Alias,
    CatalogEntry,
    Credential,
    RouterReport,
    key_use_key,
    router_report_key,
)

log = logging.getLogger(__name__)

_STORE_ANSWERS_WITHIN_S = 3.0
_LISTENS_S = 2.0
_REPORT_LIVES_S = 5.0
_MOST_COMPLAINTS = 1000

_Record = TypeVar("_Record")


class Snapshot(Struct, frozen=True):
    """What the store said at one moment. A record that has not changed since the last snapshot is the same object."""

    catalog: Mapping[str, CatalogEntry]
    credentials: Mapping[str, Credential]
    """By SHA-256 digest (hex)."""
    endpoints: tuple[Endpoint, ...]
    aliases: Mapping[str, Alias] = {}


class _Decoder(Generic[_Record]):
    """Decodes records of one kind, each only when its bytes have changed."""

    def __init__(self, kind: type[_Record]) -> None:
        self._decoder = msgspec.json.Decoder(kind)
        self._known: dict[bytes, _Record] = {}
        self._complained: set[bytes] = set()

    def decode(self, raws: Iterable[tuple[str, bytes]]) -> dict[str, _Record]:
        """Records by name. One that is not of our shape is passed over: it must not hide the others."""
        known, fresh = self._known, {}
        found: dict[str, _Record] = {}
        for name, raw in raws:
            record = known.get(raw)
            if record is None:
                record = self._read(raw)
            if record is not None:
                fresh[raw] = found[name] = record
        self._known = fresh
        return found

    def _read(self, raw: bytes) -> _Record | None:
        try:
            return self._decoder.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError) as exc:
            if raw not in self._complained and len(self._complained) < _MOST_COMPLAINTS:
                self._complained.add(raw)
                log.warning("A record in the store cannot be read and is passed over: %s", exc)
            return None


class RouterStore:
    """Reads what routers need and writes what they report. Every method raises `StoreAwayError` when it is away."""

    def __init__(self, url: str, *, answers_within_s: float = _STORE_ANSWERS_WITHIN_S) -> None:
        self._answers_within_s = answers_within_s
        self._redis = redis.Redis.from_url(
            url,
            socket_connect_timeout=answers_within_s,
            # The limit is that of `_away_if_it_fails`. For its own, redis-py writes within `asyncio.wait_for`, which
            # before Python 3.12 drops a cancellation that comes as the write ends: a router that stops would go on.
            socket_timeout=None,
            # The callers are the retry; another one below them would only hide an outage.
            retry=Retry(NoBackoff(), 0),
        )
        self._catalog = _Decoder(CatalogEntry)
        self._credentials = _Decoder(Credential)
        self._endpoints = _Decoder(Endpoint)
        self._aliases = _Decoder(Alias)

    async def snapshot(self, *, since: Snapshot | None = None) -> Snapshot:
        """Everything that routers read, as of now; of `since`, if given, all but the endpoints is taken over.

        These change with an announcement and can be thousands; endpoints renew their leases every second.
        """
        async with self._away_if_it_fails(self._answers_within_s):
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.smembers(ENDPOINT_IDS_KEY)
                if since is None:
                    pipe.hgetall(CATALOG_KEY)
                    pipe.hgetall(CREDENTIALS_KEY)
                    pipe.hgetall(ALIASES_KEY)
                ids, *hashes = await pipe.execute()
            keys = [endpoint_key(_text(replica_id)) for replica_id in sorted(ids)]
            # redis-py's signatures serve its blocking client too.
            records = await cast("Any", self._redis.mget(keys)) if keys else []
        found = self._endpoints.decode((key, raw) for key, raw in zip(keys, records, strict=True) if raw)
        endpoints = tuple(found.values())
        if since is not None:
            return Snapshot(since.catalog, since.credentials, endpoints, since.aliases)
        catalog, credentials, aliases = hashes
        return Snapshot(
            self._catalog.decode((_text(name), raw) for name, raw in catalog.items()),
            self._credentials.decode((_text(name), raw) for name, raw in credentials.items()),
            endpoints,
            self._aliases.decode((_text(name), raw) for name, raw in aliases.items()),
        )

    async def listen(self, changed: Callable[[], None]) -> None:
        """Calls `changed` when the store says that something did, until cancelled or away."""
        async with self._away_if_it_fails(None), self._redis.pubsub(ignore_subscribe_messages=True) as events:
            await events.subscribe(CHANGES_CHANNEL)
            # What changed before the subscription stood would otherwise wait for the next refresh.
            changed()
            while True:
                if await events.get_message(timeout=_LISTENS_S) is not None:
                    changed()

    async def publish(self, report: RouterReport) -> None:
        """Replaces this router's report, which is forgotten after five seconds without another."""
        async with self._away_if_it_fails(self._answers_within_s), self._redis.pipeline(transaction=False) as pipe:
            key = router_report_key(report.router_id)
            pipe.set(key, msgspec.json.encode(report), px=int(_REPORT_LIVES_S * 1000))
            pipe.sadd(ROUTER_IDS_KEY, report.router_id)
            await pipe.execute()

    async def add_key_use(self, use: Mapping[str, Use], now: float) -> None:
        """Adds to what keys have used so far. `now`: Unix seconds."""
        if not use:
            return
        async with self._away_if_it_fails(self._answers_within_s), self._redis.pipeline(transaction=True) as pipe:
            for key_id, each in use.items():
                key = key_use_key(key_id)
                for name, count in asdict(each).items():
                    pipe.hincrby(key, name, count)
                pipe.hset(key, "last_used_at", str(now))
            await pipe.execute()

    async def withdraw(self, router_id: str) -> None:
        """Takes this router's report away."""
        async with self._away_if_it_fails(self._answers_within_s), self._redis.pipeline(transaction=False) as pipe:
            pipe.delete(router_report_key(router_id))
            pipe.srem(ROUTER_IDS_KEY, router_id)
            await pipe.execute()

    @contextlib.asynccontextmanager
    async def _away_if_it_fails(self, within_s: float | None) -> AsyncIterator[None]:
        """What is asked of the store inside fails as `StoreAwayError`, also when it takes longer than this."""
        try:
            async with asyncio.timeout(within_s):
                yield
        except (RedisError, OSError) as exc:
            raise StoreAwayError(str(exc) or "no answer in time") from exc

    async def close(self) -> None:
        """Ends the connections."""
        await self._redis.aclose()


def _text(name: bytes) -> str:
    return name.decode("utf-8", "replace")
