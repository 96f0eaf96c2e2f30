"""The routing table: a copy of the store that is always at hand.

Events say that something changed; then all of it is read again. Without an event endpoints are read every `refresh_s`
and the rest every fifth time, so that a lost event costs that long and nothing else. While the store is away the last
copy stands: routers keep serving.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from replicas.ending import end
from replicas.types import ROUTER_ID_HEADER, Endpoint, ReplicaState
from router.alias import best_status, target_of
from router.dispatcher import Dispatcher
from router.errors import Refusal, StoreAwayError, alias_without_model, model_not_found
from router.external import ExternalHealth, external_view
from router.headers import header_safe
from router.prefix_index import PrefixCache
from router.replica_view import SLOW_START_S, ReplicaView, bound_memory, correct, derive
from router.store import RouterStore, Snapshot
from router.telemetry import Telemetry
from router.types import Alias, CatalogEntry, Credential, ModelStatus

log = logging.getLogger(__name__)

_LONGEST_BACKOFF_S = 2.0
_WHOLE_EVERY = 5
"""Readings of the endpoints for one of everything, as long as nothing is announced."""
_SPACING_S = 0.02
"""A burst of events is one reading."""
_DEFAULT_LIMIT = 256
_REPORTED = ("model", "revision", "address", "head", "labels", "max_model_len", "takes_token_ids", "kv_capacity_tokens")

MakeDispatcher = Callable[[CatalogEntry], Dispatcher]


class RoutingTable:
    """What the router knows. Written by `follow` alone, read by everyone between two awaits."""

    def __init__(
        self,
        store: RouterStore,
        telemetry: Telemetry,
        make_dispatcher: MakeDispatcher,
        *,
        router_id: str = "",
        refresh_s: float = 1.0,
    ) -> None:
        self.models: dict[str, Dispatcher] = {}
        self.aliases: Mapping[str, Alias] = {}
        """By name. A model of the same name goes first."""
        self.credentials: Mapping[str, Credential] | None = None
        """By SHA-256 digest (hex). None before the first reading: nobody may come in."""
        self.loaded = asyncio.Event()
        """Set once the first snapshot is there."""
        self._store = store
        self._telemetry = telemetry
        self._make_dispatcher = make_dispatcher
        self._router_id = router_id
        self._refresh_s = refresh_s
        self._snapshot: Snapshot | None = None
        """The newest, while the store answers."""
        self._read_whole_at = 0.0
        self._views: dict[str, ReplicaView] = {}
        self._reports: dict[str, Endpoint] = {}
        """By replica id, the newest one that was taken over."""
        self._external = ExternalHealth(self._changed_outside)
        self._changed = asyncio.Event()

    async def follow(self) -> None:
        """Keeps the table current until cancelled."""
        listener = asyncio.create_task(self._listen(), name="router-table-events")
        backoff_s = 0.1
        try:
            while True:
                announced = self._changed.is_set()
                self._changed.clear()
                try:
                    await self._read(announced=announced)
                except StoreAwayError as exc:
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
            await end(listener)
            await self._external.close()

    async def _read(self, *, announced: bool) -> None:
        """Reads what may have changed: all of it after an announcement, and now and then without one."""
        now = time.monotonic()
        whole = announced or self._snapshot is None or now - self._read_whole_at >= self._refresh_s * _WHOLE_EVERY
        self._snapshot = await self._store.snapshot(since=None if whole else self._snapshot)
        if whole:
            self._read_whole_at = now
        self.apply(self._snapshot, now)

    def _lost_store(self, exc: StoreAwayError) -> None:
        self._snapshot = None
        if self._telemetry.store_connected or not self.loaded.is_set():
            log.warning("The store does not answer (%s); serving from the last snapshot.", exc)
        self._telemetry.store_connected = False

    def _changed_outside(self) -> None:
        self._changed.set()

    async def _listen(self) -> None:
        while True:
            with suppress(StoreAwayError):
                await self._store.listen(self._changed.set)
            # `follow` meets the same store within a second and says so.
            await asyncio.sleep(0.2)

    def ready(self) -> dict[str, int]:
        """Ready replicas by model."""
        return {name: model.ready_replicas for name, model in self.models.items()}

    def resolve(self, name: str, session: bytes, draw: float) -> Dispatcher | Refusal:
        """The model that a request to the alias `name` goes to. `draw`: 0 to 1, at random."""
        alias = self.aliases.get(name)
        if alias is None:
            return model_not_found(name)
        target = target_of(alias, self._statuses(alias), session, draw)
        return alias_without_model(name) if target is None else self.models[target]

    def status_of(self, alias: Alias) -> ModelStatus:
        """What clients see beside an alias: the best of its models."""
        return best_status(list(self._statuses(alias).values()))

    def _statuses(self, alias: Alias) -> dict[str, ModelStatus]:
        named = (target.model for target in alias.targets)
        return {name: self.models[name].status() for name in named if name in self.models}

    def apply(self, snapshot: Snapshot, now: float) -> None:
        """Makes `snapshot` the table. `now`: monotonic seconds."""
        self.credentials = snapshot.credentials
        self.aliases = snapshot.aliases
        for name in self.models.keys() - snapshot.catalog.keys():
            self.models.pop(name).close()
        by_model: dict[str, list[Endpoint]] = {}
        for endpoint in snapshot.endpoints:
            by_model.setdefault(endpoint.model, []).append(endpoint)
        seen: set[str] = set()
        for name, entry in snapshot.catalog.items():
            dispatcher = self.models.get(name)
            if dispatcher is None:
                dispatcher = self.models[name] = self._make_dispatcher(entry)
            elif dispatcher.entry is entry and not (dispatcher.replicas or name in by_model):
                continue  # nothing about it can have changed, and there may be thousands of these
            views = [self._view(each, entry, dispatcher, now) for each in by_model.get(name, ())]
            views += [self._outside(each.name, entry, dispatcher, now) for each in entry.external]
            seen.update(view.replica_id for view in views)
            dispatcher.update(entry, views)
        self._external.watch(snapshot.catalog)
        self._forget(seen)
        self._telemetry.store_connected = True
        self._telemetry.snapshot_read_at = time.time()
        self.loaded.set()

    def _forget(self, seen: set[str]) -> None:
        """Drops the views of replicas that are gone; those with requests inside stay until these have ended, for the
        count must be right should the replica come back."""
        for replica_id in self._views.keys() - seen:
            self._reports.pop(replica_id, None)
            if not self._views[replica_id].in_flight:
                self._views.pop(replica_id).cache.clear()

    def _view(self, endpoint: Endpoint, entry: CatalogEntry, dispatcher: Dispatcher, now: float) -> ReplicaView:
        """The view of this replica, brought up to date: the one we count in, or a new one."""
        view = self._views.get(endpoint.replica_id)
        if view is not None and self._reports.get(endpoint.replica_id) is endpoint and dispatcher.entry is entry:
            derive(view, now)
            return view
        told = self._as_told(endpoint)
        if view is None:
            view = self._views[endpoint.replica_id] = self._new(told, endpoint, dispatcher, now)
        elif view.revision != told.revision:
            view.cache.clear()
        for name in _REPORTED:
            setattr(view, name, getattr(told, name))
        if view.cache.epoch != endpoint.epoch:
            view.cache.clear()
            view.cache.epoch = endpoint.epoch
        if told.state is ReplicaState.READY and view.state is ReplicaState.STARTING:
            view.fresh, view.ready_since = True, now
        view.state = _effective(told.state, endpoint, entry)
        view.limit = entry.routing.max_in_flight or endpoint.max_running or _DEFAULT_LIMIT
        self._take_over(view, endpoint, dispatcher, now)
        return view

    def _new(self, told: ReplicaView, endpoint: Endpoint, dispatcher: Dispatcher, now: float) -> ReplicaView:
        told.cache = PrefixCache(dispatcher.directory, epoch=endpoint.epoch)
        age_s = time.time() - endpoint.state_since
        told.fresh, told.ready_since = age_s < SLOW_START_S, now - age_s
        like = next((view for view in dispatcher.replicas if view.measured and not view.external), None)
        if like is not None:
            told.prefill_tokens_per_s = like.prefill_tokens_per_s
            told.first_token_overhead_s = like.first_token_overhead_s
        return told

    def _take_over(self, view: ReplicaView, endpoint: Endpoint, dispatcher: Dispatcher, now: float) -> None:
        if self._reports.get(endpoint.replica_id) is endpoint:
            derive(view, now)
            return
        self._reports[endpoint.replica_id] = endpoint
        bound_memory(view, dispatcher.estimates.bytes_per_token)
        others = sum(count for router, count in endpoint.in_flight_by_router.items() if router != self._router_id)
        correct(view, endpoint.load, others, now)

    def _as_told(self, endpoint: Endpoint) -> ReplicaView:
        host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
        return ReplicaView(
            replica_id=endpoint.replica_id,
            model=endpoint.model,
            revision=endpoint.revision,
            # A replica that does not listen yet cannot be ready, whatever it says.
            state=endpoint.state if endpoint.port else ReplicaState.STARTING,
            address=(endpoint.host, endpoint.port, False),
            head=b"host: %b:%d\r\nauthorization: Bearer %b\r\n%b: %b\r\n"
            % (
                header_safe(host),
                endpoint.port,
                header_safe(endpoint.token),
                ROUTER_ID_HEADER.encode(),
                header_safe(self._router_id),
            ),
            labels=b"x-roundhouse-replica: %b\r\nx-roundhouse-revision: %b\r\n"
            % (header_safe(endpoint.replica_id), header_safe(endpoint.revision)),
            max_model_len=endpoint.max_model_len,
            takes_token_ids=endpoint.takes_token_ids,
            kv_capacity_tokens=endpoint.kv_capacity_tokens or 0,
        )

    def _outside(self, name: str, entry: CatalogEntry, dispatcher: Dispatcher, now: float) -> ReplicaView:
        engine = next(each for each in entry.external if each.name == name)
        told = external_view(entry, engine, healthy=self._external.healthy(engine))
        view = self._views.get(told.replica_id)
        if view is None:
            told.cache = PrefixCache(dispatcher.directory)
            view = self._views[told.replica_id] = told
        for field in (
            "state",
            "address",
            "head",
            "labels",
            "limit",
            "weight",
            "fallback",
            "target_path",
            "remote_model",
        ):
            setattr(view, field, getattr(told, field))
        derive(view, now)
        return view


def _effective(state: ReplicaState, endpoint: Endpoint, entry: CatalogEntry) -> ReplicaState:
    """A ready replica that gets nothing new is cordoned: by name, or because it serves what is not wanted any more."""
    if state is not ReplicaState.READY:
        return state
    unwanted = bool(entry.revisions) and endpoint.revision not in entry.revisions
    return ReplicaState.CORDONED if unwanted or endpoint.replica_id in entry.cordoned else state
