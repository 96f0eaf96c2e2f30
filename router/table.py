"""The routing table: a copy of the store that is always at hand.

Events say that something changed; what changed is read again, and read again anyway every `refresh_s`, so that a
lost event costs that long and nothing else. While the store is away the last copy stands: routers keep serving.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, TypeVar, cast

import msgspec
import redis.asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from replicas.types import CHANGES_CHANNEL, ENDPOINT_IDS_KEY, Endpoint, ReplicaState, endpoint_key
from router.headers import header_safe
from router.policy import ReplicaView
from router.telemetry import ModelMeter, Telemetry
from router.types import CATALOG_KEY, CREDENTIALS_KEY, CatalogEntry, Credential

log = logging.getLogger(__name__)

_STORE_ANSWERS_WITHIN_S = 3.0
_LONGEST_BACKOFF_S = 2.0
_SPACING_S = 0.02
"""A burst of events is one reading."""

_Record = TypeVar("_Record")
_catalog_decoder = msgspec.json.Decoder(CatalogEntry)
_credential_decoder = msgspec.json.Decoder(Credential)
_endpoint_decoder = msgspec.json.Decoder(Endpoint)


class ModelRoute:
    """A catalog entry, the replicas that serve it and its meter."""

    __slots__ = ("entry", "meter", "replicas")

    def __init__(self, entry: CatalogEntry, replicas: list[ReplicaView], meter: ModelMeter) -> None:
        self.entry = entry
        self.replicas = replicas
        self.meter = meter

    @property
    def ready_replicas(self) -> int:
        """How many replicas can take a request now."""
        return sum(replica.state is ReplicaState.READY for replica in self.replicas)


class RoutingTable:
    """What the router knows. Written by `follow` alone, read by everyone between two awaits."""

    def __init__(self, store_url: str, telemetry: Telemetry, *, refresh_s: float = 1.0) -> None:
        self.models: Mapping[str, ModelRoute] = {}
        self.credentials: Mapping[str, Credential] | None = None
        """By SHA-256 digest (hex). None before the first reading: nobody may come in."""
        self.loaded = asyncio.Event()
        """Set once the first snapshot is there."""
        self._telemetry = telemetry
        self._refresh_s = refresh_s
        self._views: dict[str, ReplicaView] = {}
        self._complained: set[bytes] = set()
        self._changed = asyncio.Event()
        self._store = redis.Redis.from_url(
            store_url,
            socket_connect_timeout=_STORE_ANSWERS_WITHIN_S,
            socket_timeout=_STORE_ANSWERS_WITHIN_S,
            # `follow` is the retry; another one below it would only hide an outage.
            retry=Retry(NoBackoff(), 0),
        )

    async def follow(self) -> None:
        """Keeps the table current until cancelled."""
        listener = asyncio.create_task(self._listen(), name="router-table-events")
        backoff_s = 0.1
        try:
            while True:
                self._changed.clear()
                try:
                    await self._read()
                except (RedisError, OSError) as exc:
                    self._lost_store(exc)
                    await asyncio.sleep(backoff_s)
                    backoff_s = min(_LONGEST_BACKOFF_S, backoff_s * 2)
                    continue
                backoff_s = 0.1
                await asyncio.sleep(_SPACING_S)
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._refresh_s - _SPACING_S):
                        await self._changed.wait()
        finally:
            listener.cancel()
            await asyncio.gather(listener, return_exceptions=True)
            await self._store.aclose()

    def _lost_store(self, exc: Exception) -> None:
        if self._telemetry.store_connected or not self.loaded.is_set():
            log.warning("The store does not answer (%s); serving from the last snapshot.", exc)
        self._telemetry.store_connected = False

    async def _listen(self) -> None:
        while True:
            try:
                async with self._store.pubsub(ignore_subscribe_messages=True) as events:
                    await events.subscribe(CHANGES_CHANNEL)
                    # What changed before the subscription stood would otherwise wait for the next refresh.
                    self._changed.set()
                    while True:
                        if await events.get_message(timeout=_LONGEST_BACKOFF_S) is not None:
                            self._changed.set()
            except (RedisError, OSError):
                # `follow` meets the same store within a second and says so.
                await asyncio.sleep(0.2)

    async def _read(self) -> None:
        async with self._store.pipeline(transaction=False) as pipe:
            pipe.hgetall(CATALOG_KEY)
            pipe.hgetall(CREDENTIALS_KEY)
            pipe.smembers(ENDPOINT_IDS_KEY)
            catalog, credentials, ids = await pipe.execute()
        keys = [endpoint_key(replica_id.decode("utf-8", "replace")) for replica_id in sorted(ids)]
        # redis-py's signatures serve its blocking client too.
        records = await cast("Any", self._store.mget(keys)) if keys else []
        self._replace(
            self._decode_hash(catalog, _catalog_decoder),
            self._decode_hash(credentials, _credential_decoder),
            [endpoint for raw in records if raw and (endpoint := self._decode(raw, _endpoint_decoder))],
        )

    def _replace(
        self, catalog: Mapping[str, CatalogEntry], credentials: Mapping[str, Credential], endpoints: list[Endpoint]
    ) -> None:
        views: dict[str, ReplicaView] = {}
        by_model: dict[str, list[ReplicaView]] = {}
        for endpoint in endpoints:
            view = views[endpoint.replica_id] = self._view(endpoint)
            by_model.setdefault(endpoint.model, []).append(view)
        for replica_id, view in self._views.items():
            if replica_id not in views and view.in_flight:
                # Its lease ended with requests inside; the count must be right should it come back.
                views[replica_id] = view
        self._views = views
        self.models = {
            name: ModelRoute(entry, by_model.get(name, []), self._telemetry.meter(name))
            for name, entry in catalog.items()
        }
        self.credentials = credentials
        self._telemetry.show_ready({name: route.ready_replicas for name, route in self.models.items()})
        self._telemetry.store_connected = True
        self._telemetry.snapshot_read_at = time.time()
        self.loaded.set()

    def _view(self, endpoint: Endpoint) -> ReplicaView:
        """The view of this replica: the one we count in, brought up to date, or a new one."""
        known = self._views.get(endpoint.replica_id)
        host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
        view = ReplicaView(
            replica_id=endpoint.replica_id,
            model=endpoint.model,
            revision=endpoint.revision,
            # A replica that does not listen yet cannot be ready, whatever it says.
            state=endpoint.state if endpoint.port else ReplicaState.STARTING,
            address=(endpoint.host, endpoint.port),
            head=b"host: %b:%d\r\nauthorization: Bearer %b\r\n"
            % (header_safe(host), endpoint.port, header_safe(endpoint.token)),
            max_model_len=endpoint.max_model_len,
            labels=b"x-roundhouse-replica: %b\r\nx-roundhouse-revision: %b\r\nx-roundhouse-queue-ms: 0\r\n"
            % (header_safe(endpoint.replica_id), header_safe(endpoint.revision)),
        )
        if known is None:
            return view
        for name in ("model", "revision", "state", "address", "head", "labels", "max_model_len"):
            setattr(known, name, getattr(view, name))
        return known

    def _decode_hash(self, raw: Mapping[bytes, bytes], decoder: msgspec.json.Decoder[_Record]) -> dict[str, _Record]:
        decoded: dict[str, _Record] = {}
        for field, value in raw.items():
            record = self._decode(value, decoder)
            if record is not None:
                decoded[field.decode("utf-8", "replace")] = record
        return decoded

    def _decode(self, raw: bytes, decoder: msgspec.json.Decoder[_Record]) -> _Record | None:
        """A record, or None for one that is not of our shape: one bad record must not hide the others."""
        try:
            return decoder.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError) as exc:
            if raw not in self._complained and len(self._complained) < 1000:
                self._complained.add(raw)
                log.warning("A record in the store cannot be read and is passed over: %s", exc)
            return None
