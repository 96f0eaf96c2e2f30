"""Engines outside the cluster: OpenAI-compatible servers that somebody else runs, routed like replicas."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import httpx
import msgspec

from replicas.ending import end
from replicas.types import ReplicaState
from router.bodies import MALFORMED
from router.errors import NOT_JSON, RequestRefusedError
from router.headers import header_safe
from router.replica_view import ReplicaView
from router.types import CatalogEntry, ExternalEngine

log = logging.getLogger(__name__)

_CHECK_EVERY_S = 5.0
_ANSWERS_WITHIN_S = 5.0
_DEFAULT_PORTS = {"http": 80, "https": 443}


def external_view(entry: CatalogEntry, engine: ExternalEngine, *, healthy: bool) -> ReplicaView:
    """The view of an engine outside, ready while its health check says so."""
    parts = urlsplit(engine.url)
    host = parts.hostname or ""
    port = parts.port or _DEFAULT_PORTS.get(parts.scheme, 80)
    shown = f"[{host}]" if ":" in host else host
    if port != _DEFAULT_PORTS.get(parts.scheme):
        shown = f"{shown}:{port}"
    key = b"authorization: Bearer %b\r\n" % header_safe(engine.key) if engine.key else b""
    return ReplicaView(
        replica_id=f"{entry.name}@{engine.name}",
        model=entry.name,
        revision="external",
        state=ReplicaState.READY if healthy else ReplicaState.STARTING,
        address=(host, port, parts.scheme == "https"),
        head=b"host: %b\r\n%b" % (header_safe(shown), key),
        labels=b"x-roundhouse-replica: %b\r\nx-roundhouse-revision: external\r\n"
        % header_safe(f"external-{engine.name}"),
        limit=engine.max_in_flight,
        weight=engine.weight or 1.0,
        fallback=engine.weight == 0,
        external=True,
        target_path=(parts.path.rstrip("/")).encode(),
        remote_model=engine.model if engine.model != entry.name else "",
    )


_TOLD_OUTSIDE = (
    b"accept:",
    b"accept-encoding:",
    b"anthropic-beta:",
    b"anthropic-version:",
    b"content-encoding:",
    b"content-type:",
    b"idempotency-key:",
    b"openai-beta:",
    b"traceparent:",
    b"user-agent:",
)
"""Header lines that are about the request. Others may be about people: front ends send along who is asking."""


def external_lines(lines: bytes) -> bytes:
    """Of a client's header lines, those that somebody else's server is told."""
    return b"".join([line for line in lines.splitlines(keepends=True) if line.startswith(_TOLD_OUTSIDE)])


def external_target(view: ReplicaView, target: bytes) -> bytes:
    """The target of a request to `/v1/…` at an engine whose base URL takes the place of `/v1`."""
    return view.target_path + target.removeprefix(b"/v1")


def with_model(body: bytes | bytearray, model: str) -> bytes:
    """`body` asking for `model`. The rest of it stays as it is, field by field.

    Raises `RequestRefusedError` (400): here every field's name is read, not only those that routing looks for.
    """
    try:
        fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except MALFORMED:
        raise RequestRefusedError(NOT_JSON) from None
    fields["model"] = msgspec.Raw(msgspec.json.encode(model))
    return msgspec.json.encode(fields)


class ExternalHealth:
    """Asks every engine outside each five seconds whether it answers. Redirects are not followed."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._healthy: dict[tuple[str, str, str], bool] = {}
        self._tasks: dict[tuple[str, str, str], asyncio.Task[None]] = {}
        self._http: httpx.AsyncClient | None = None

    def healthy(self, engine: ExternalEngine) -> bool:
        """What the newest check said; False before the first."""
        return self._healthy.get(_identity(engine), False)

    def watch(self, catalog: Mapping[str, CatalogEntry]) -> None:
        """Checks the engines of this catalog from now on, and no others."""
        wanted = {_identity(engine): engine for entry in catalog.values() for engine in entry.external}
        for identity in self._tasks.keys() - wanted.keys():
            self._tasks.pop(identity).cancel()
            self._healthy.pop(identity, None)
        for identity in wanted.keys() - self._tasks.keys():
            self._tasks[identity] = asyncio.create_task(self._check_for_ever(identity, wanted[identity]))

    async def _check_for_ever(self, identity: tuple[str, str, str], engine: ExternalEngine) -> None:
        while True:
            before = self._healthy.get(identity)
            now = await self._answers(engine)
            if before is not now:
                self._healthy[identity] = now
                if before is not None or not now:
                    log.warning("The engine %s outside %s.", engine.name, "answers again" if now else "does not answer")
                self._changed()
            await asyncio.sleep(_CHECK_EVERY_S)

    async def _answers(self, engine: ExternalEngine) -> bool:
        if self._http is None:
            self._http = httpx.AsyncClient(timeout=_ANSWERS_WITHIN_S, follow_redirects=False, trust_env=False)
        headers = {"authorization": f"Bearer {engine.key}"} if engine.key else {}
        with contextlib.suppress(httpx.HTTPError, httpx.InvalidURL):
            answer = await self._http.get(engine.url.rstrip("/") + engine.health_path, headers=headers)
            return answer.status_code < 400
        return False

    async def close(self) -> None:
        """Stops checking."""
        await end(*self._tasks.values())
        if self._http is not None:
            await self._http.aclose()


def _identity(engine: ExternalEngine) -> tuple[str, str, str]:
    return (engine.url, engine.key, engine.health_path)
