"""The durable state behind a Redis protocol: the one file of the orchestrator that talks to the store."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing, suppress
from types import TracebackType
from typing import Any, Self, TypeVar, cast

import msgspec
import redis.asyncio as redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, WatchError

from orchestrator.chat_store import ChatStore
from orchestrator.errors import StoreUnavailableError
from orchestrator.history import Point, Ring, history_key
from orchestrator.sleep import START_TIMES_KEY, WAKE_TIMES_KEY, StartTimes
from orchestrator.swap_types import SWAPS_KEY, Swap
from orchestrator.types import (
    DEPLOYMENTS_KEY,
    LOGIN_TOKEN_PREFIX,
    MODELS_KEY,
    SCALING_KEY,
    CordonKind,
    Deployment,
    KeyUse,
    Model,
    ScalingLog,
    cordons_key,
)
from replicas.host_types import HOST_ADDRESSES_KEY, HostRecord, host_key
from replicas.types import (
    CHANGES_CHANNEL,
    ENDPOINT_IDS_KEY,
    Endpoint,
    LogPart,
    ReplicaFailure,
    ReplicaSpec,
    endpoint_key,
    failure_key,
    last_log_key,
    spec_key,
)
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

Record = TypeVar("Record", bound=msgspec.Struct)


class Store(ChatStore):
    """Typed access to the store. Every method raises `StoreUnavailableError` when it cannot be reached."""

    def __init__(self, url: str) -> None:
        self._redis = redis.Redis.from_url(url, health_check_interval=15)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._redis.aclose()

    async def ping(self) -> None:
        await self._call("PING")

    # Models and deployments

    async def models(self) -> dict[str, Model]:
        return await self._records(MODELS_KEY, Model)

    async def put_model(self, model: Model) -> None:
        await self._put(MODELS_KEY, model.name, model)

    async def delete_model(self, name: str) -> None:
        await self._call("HDEL", MODELS_KEY, name)

    async def deployments(self) -> dict[str, Deployment]:
        return await self._records(DEPLOYMENTS_KEY, Deployment)

    async def put_deployment(self, deployment: Deployment, spec: ReplicaSpec | None) -> None:
        """Write a deployment and what its replicas will load, in one transaction. None: it has no replicas."""
        await self._transaction(
            ("HSET", DEPLOYMENTS_KEY, deployment.name, msgspec.json.encode(deployment)),
            _forget_spec(deployment.name)
            if spec is None
            else ("SET", spec_key(deployment.name), msgspec.json.encode(spec)),
            ("DEL", failure_key(deployment.name)),
        )

    async def resize_deployment(self, deployment: Deployment) -> None:
        """Write a deployment of which only the number of replicas is another."""
        await self._put(DEPLOYMENTS_KEY, deployment.name, deployment)

    async def scaling_logs(self) -> dict[str, ScalingLog]:
        """What the autoscaler remembers of each deployment."""
        return await self._records(SCALING_KEY, ScalingLog)

    async def put_scaling_log(self, name: str, log: ScalingLog) -> None:
        await self._put(SCALING_KEY, name, log)

    async def put_spec(self, name: str, spec: ReplicaSpec | None) -> None:
        """Write what the replicas of `name` will load; None: soon there will be none."""
        await self._transaction(
            _forget_spec(name) if spec is None else ("SET", spec_key(name), msgspec.json.encode(spec)),
            ("DEL", failure_key(name)),
        )

    async def delete_deployment(self, name: str) -> None:
        """Forget a deployment."""
        await self._transaction(
            ("HDEL", DEPLOYMENTS_KEY, name),
            ("HDEL", SCALING_KEY, name),
            ("HDEL", CATALOG_KEY, name),
            ("HDEL", SWAPS_KEY, name),
            ("HDEL", START_TIMES_KEY, name),
            ("HDEL", WAKE_TIMES_KEY, name),
            ("DEL", failure_key(name)),
            _forget_spec(name),
            ("PUBLISH", CHANGES_CHANNEL, "catalog"),
        )

    async def swaps(self) -> dict[str, tuple[Swap, ...]]:
        """The journal: each deployment's last swaps, oldest first."""
        raw = cast("dict[bytes, bytes]", await self._call("HGETALL", SWAPS_KEY))
        return {name.decode(): msgspec.json.decode(value, type=tuple[Swap, ...]) for name, value in raw.items()}

    async def put_swaps(self, name: str, swaps: tuple[Swap, ...]) -> None:
        await self._call("HSET", SWAPS_KEY, name, msgspec.json.encode(swaps))

    async def aliases(self) -> dict[str, Alias]:
        return await self._records(ALIASES_KEY, Alias)

    async def put_alias(self, alias: Alias) -> None:
        await self._transaction(
            ("HSET", ALIASES_KEY, alias.name, msgspec.json.encode(alias)), ("PUBLISH", CHANGES_CHANNEL, "catalog")
        )

    async def delete_alias(self, name: str) -> None:
        await self._transaction(("HDEL", ALIASES_KEY, name), ("PUBLISH", CHANGES_CHANNEL, "catalog"))

    # What replicas report

    async def endpoints(self) -> tuple[Endpoint, ...]:
        """Replicas whose lease holds. Ids of ended leases are swept from the index on the way."""
        return await self._leased(ENDPOINT_IDS_KEY, endpoint_key, Endpoint)

    async def endpoint(self, replica_id: str) -> Endpoint | None:
        """A replica whose lease holds."""
        value = await self._call("GET", endpoint_key(replica_id))
        return None if value is None else msgspec.json.decode(value, type=Endpoint)

    async def hosts(self) -> tuple[HostRecord, ...]:
        """Hosts whose lease holds. Addresses of ended leases are swept from the index on the way."""
        return await self._leased(HOST_ADDRESSES_KEY, host_key, HostRecord)

    async def failures(self, deployments: Iterable[str]) -> dict[str, ReplicaFailure]:
        names = list(deployments)
        if not names:
            return {}
        values = await self._call("MGET", *(failure_key(name) for name in names))
        return {
            name: msgspec.json.decode(value, type=ReplicaFailure)
            for name, value in zip(names, values, strict=True)
            if value is not None
        }

    async def last_log(self, replica_id: str) -> LogPart | None:
        """The log with which a replica ended that failed within the last hour."""
        value = await self._call("GET", last_log_key(replica_id))
        return None if value is None else msgspec.json.decode(value, type=LogPart)

    async def start_times(self) -> dict[str, float]:
        return await self._times(START_TIMES_KEY)

    async def wake_times(self) -> dict[str, float]:
        return await self._times(WAKE_TIMES_KEY)

    async def times(self) -> StartTimes:
        return StartTimes(await self.start_times(), await self.wake_times())

    async def _times(self, key: str) -> dict[str, float]:
        raw = cast("dict[bytes, bytes]", await self._call("HGETALL", key))
        return {name.decode(): float(value) for name, value in raw.items()}

    async def put_start_time(self, name: str, seconds: float) -> None:
        await self._call("HSET", START_TIMES_KEY, name, f"{seconds:.3f}")

    async def put_wake_time(self, name: str, seconds: float) -> None:
        await self._call("HSET", WAKE_TIMES_KEY, name, f"{seconds:.3f}")

    # What routers report and read

    async def routers(self) -> tuple[RouterReport, ...]:
        """The newest report of every router that lives. Ids of the others are swept from the index on the way."""
        return await self._leased(ROUTER_IDS_KEY, router_report_key, RouterReport)

    async def catalog(self) -> dict[str, CatalogEntry]:
        return await self._records(CATALOG_KEY, CatalogEntry)

    async def put_catalog(self, entries: Mapping[str, CatalogEntry], gone: Iterable[str]) -> None:
        commands: list[tuple[Any, ...]] = [
            ("HSET", CATALOG_KEY, name, msgspec.json.encode(entry)) for name, entry in entries.items()
        ]
        commands += [("HDEL", CATALOG_KEY, name) for name in gone]
        if commands:
            await self._transaction(*commands, ("PUBLISH", CHANGES_CHANNEL, "catalog"))

    async def credentials(self) -> dict[str, Credential]:
        return await self._records(CREDENTIALS_KEY, Credential)

    async def credential(self, digest: str) -> Credential | None:
        value = await self._call("HGET", CREDENTIALS_KEY, digest)
        return None if value is None else msgspec.json.decode(value, type=Credential)

    async def put_credential(self, digest: str, credential: Credential) -> None:
        await self._transaction(
            ("HSET", CREDENTIALS_KEY, digest, msgspec.json.encode(credential)),
            ("PUBLISH", CHANGES_CHANNEL, "credentials"),
        )

    async def delete_credentials(self, digests: Iterable[str]) -> None:
        gone = list(digests)
        if gone:
            await self._transaction(("HDEL", CREDENTIALS_KEY, *gone), ("PUBLISH", CHANGES_CHANNEL, "credentials"))

    # Cordons by hand: ids of replicas, addresses of nodes

    async def cordons(self, kind: CordonKind) -> frozenset[str]:
        found = cast("set[bytes]", await self._call("SMEMBERS", cordons_key(kind)))
        return frozenset(each.decode() for each in found)

    async def closed_nodes(self) -> frozenset[str]:
        """Addresses of nodes that take no new replica: cordoned or drained."""
        return await self.cordons(CordonKind.NODES) | await self.cordons(CordonKind.DRAINED_NODES)

    async def cordon(self, kind: CordonKind, name: str) -> None:
        await self._call("SADD", cordons_key(kind), name)

    async def uncordon(self, kind: CordonKind, names: Iterable[str]) -> None:
        gone = list(names)
        if gone:
            await self._call("SREM", cordons_key(kind), *gone)

    # The past, and what keys have used

    async def append_history(self, ring: Ring, point: Point) -> None:
        """Keep `point` as the newest of its ring; the oldest goes."""
        key = history_key(ring.name)
        await self._transaction(("RPUSH", key, msgspec.json.encode(point)), ("LTRIM", key, -ring.points, -1))

    async def history(self, ring: Ring) -> list[Point]:
        """What the ring holds, oldest first. A point of another version's shape is passed over."""
        found: list[Point] = []
        for raw in await self._call("LRANGE", history_key(ring.name), 0, -1):
            with suppress(msgspec.DecodeError):
                found.append(msgspec.json.decode(raw, type=Point))
        return found

    async def key_uses(self, key_ids: Iterable[str]) -> dict[str, KeyUse]:
        """By id, what keys have used so far. One that was never used is left out."""
        ids = list(key_ids)

        async def fetch() -> list[dict[bytes, bytes]]:
            async with self._redis.pipeline(transaction=False) as pipeline:
                for each in ids:
                    pipeline.execute_command("HGETALL", key_use_key(each))
                return list(await pipeline.execute())

        raws = zip(ids, await self._tried(fetch), strict=True)
        texts = {each: {name.decode(): value.decode() for name, value in raw.items()} for each, raw in raws if raw}
        return {each: msgspec.convert(text, KeyUse, strict=False) for each, text in texts.items()}

    async def delete_key_use(self, key_id: str) -> None:
        await self._call("DEL", key_use_key(key_id))

    # One-time login

    async def put_login_token(self, digest: str, key: str, ttl_s: int) -> None:
        """Keep a one-time token that opens a session on behalf of the key with the digest `key`."""
        await self._call("SET", LOGIN_TOKEN_PREFIX + digest, key, "EX", ttl_s)

    async def take_login_token(self, digest: str) -> str | None:
        """The key's digest, once for each token that was put and has not expired."""
        value = await self._call("GETDEL", LOGIN_TOKEN_PREFIX + digest)
        return None if value is None else cast("bytes", value).decode()

    # Changes

    async def changes(self) -> AsyncIterator[str]:
        """Names of what changed, as it changes. Ends with StoreUnavailableError when the store goes away."""
        try:
            async with aclosing(self._redis.pubsub()) as pubsub:
                await pubsub.subscribe(CHANGES_CHANNEL)
                async for message in pubsub.listen():
                    if message["type"] == "message":
                        yield message["data"].decode()
        except (RedisError, OSError) as error:
            raise _unavailable(error) from error

    async def _leased(self, index: str, key_of: Callable[[str], str], kind: type[Record]) -> tuple[Record, ...]:
        """Records that expire, by the ids of a set. Ids whose record has expired are removed from it."""
        ids = sorted(cast("set[bytes]", await self._call("SMEMBERS", index)))
        if not ids:
            return ()
        values = await self._call("MGET", *(key_of(each.decode()) for each in ids))
        ended = [each for each, value in zip(ids, values, strict=True) if value is None]
        if ended:
            await self._call("SREM", index, *ended)
        return tuple(msgspec.json.decode(value, type=kind) for value in values if value is not None)

    async def _records(self, key: str, kind: type[Record]) -> dict[str, Record]:
        raw = cast("dict[bytes, bytes]", await self._call("HGETALL", key))
        return {name.decode(): msgspec.json.decode(value, type=kind) for name, value in sorted(raw.items())}

    async def _put(self, key: str, field: str, record: msgspec.Struct) -> None:
        await self._call("HSET", key, field, msgspec.json.encode(record))

    async def _call(self, *command: Any) -> Any:
        return await self._tried(lambda: self._redis.execute_command(*command))  # type: ignore[no-untyped-call]

    async def _transaction(self, *commands: tuple[Any, ...]) -> None:
        async def execute() -> None:
            async with self._redis.pipeline(transaction=True) as pipeline:
                for command in commands:
                    pipeline.execute_command(*command)
                await pipeline.execute()

        await self._tried(execute)

    async def _rewrite(self, key: str, commands: Callable[[Mapping[bytes, bytes]], Sequence[tuple[Any, ...]]]) -> None:
        async def attempt() -> bool:
            async with self._redis.pipeline(transaction=True) as pipeline:
                await pipeline.watch(key)
                found = commands(cast("dict[bytes, bytes]", await pipeline.execute_command("HGETALL", key)))
                pipeline.multi()  # type: ignore[no-untyped-call]
                for command in found:
                    pipeline.execute_command(*command)
                try:
                    await pipeline.execute()
                except WatchError:
                    return False
                return True

        while not await self._tried(attempt):
            pass

    async def _tried(self, act: Callable[[], Awaitable[Any]]) -> Any:
        """Do it, and once more if the connection breaks: a pooled one may be of a store that has restarted since."""
        try:
            try:
                return await act()
            except (RedisConnectionError, OSError):
                return await act()
        except (RedisError, OSError) as error:
            raise _unavailable(error) from error


def _forget_spec(name: str) -> tuple[str, str, int]:
    """The spec stays until the replicas are gone: one that is starting may still read it."""
    return ("EXPIRE", spec_key(name), 3600)


def _unavailable(error: Exception) -> StoreUnavailableError:
    return StoreUnavailableError(
        f"The store cannot be reached ({error}). Models keep answering; changes wait until it is back."
    )
