"""What every route needs: the rooms behind it, and who is asking."""

from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request

from orchestrator.accounts import Accounts, csrf_matches
from orchestrator.charts import Charts
from orchestrator.deployments import Deployments
from orchestrator.errors import AccessDeniedError
from orchestrator.events import Changes
from orchestrator.library.imports import Imports
from orchestrator.library.records import ModelRecords
from orchestrator.library.revisions import Revisions
from orchestrator.loop import ReconcileLoop
from orchestrator.recording import Recording
from orchestrator.replica_logs import ReplicaLogs
from orchestrator.replica_orders import HttpReplicaOrders
from orchestrator.sentences import Saying, say
from orchestrator.settings import Settings
from orchestrator.store import Store
from orchestrator.swaps import Swaps
from orchestrator.watching import Watch
from router.types import Credential, CredentialKind, Role

SESSION_COOKIE = "roundhouse_session"
CSRF_HEADER = "x-roundhouse-csrf"
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True)
class Context:
    """The orchestrator's parts, made once in `main` and handed to the routes."""

    settings: Settings
    store: Store
    accounts: Accounts
    deployments: Deployments
    records: ModelRecords
    imports: Imports
    revisions: Revisions
    swaps: Swaps
    loop: ReconcileLoop
    changes: Changes
    recording: Recording
    charts: Charts
    watch: Watch
    orders: HttpReplicaOrders
    logs: ReplicaLogs
    started_at: float

    async def still_holds(self, identity: Credential) -> bool:
        """Whether who opened a stream may go on to read it: it outlives many requests, but not its key or session."""
        return self.settings.no_auth or await self.accounts.still_holds(identity)


def context_of(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


ContextDep = Annotated[Context, Depends(context_of)]


async def identity_of(request: Request, context: ContextDep) -> Credential:
    """Who asks, by key or by session cookie. Raises AccessDeniedError (401, 403)."""
    if context.settings.no_auth:
        return _everyone(request)
    secret = _bearer(request)
    if secret is None:
        secret = request.cookies.get(SESSION_COOKIE)
        if secret is None:
            raise AccessDeniedError(say(Saying.NO_KEY_SENT))
        if request.method not in _SAFE_METHODS:
            _check_same_site(request, secret)
        wanted = CredentialKind.SESSION
    else:
        wanted = CredentialKind.KEY
    credential = await context.accounts.authenticate(secret)
    if credential is None or credential.kind is not wanted:
        raise AccessDeniedError(say(Saying.SESSION_ENDED))
    return credential


Identity = Annotated[Credential, Depends(identity_of)]


async def admin_of(identity: Identity) -> Credential:
    if identity.role is not Role.ADMIN:
        raise AccessDeniedError(say(Saying.ADMIN_ONLY), status=403, code="admin_only")
    return identity


Admin = Depends(admin_of)


def _bearer(request: Request) -> str | None:
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and value:
        return value.strip()
    return request.headers.get("x-api-key")


def _check_same_site(request: Request, session_token: str) -> None:
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        raise AccessDeniedError(say(Saying.CROSS_SITE), status=403, code="cross_site")
    if not csrf_matches(session_token, request.headers.get(CSRF_HEADER, "")):
        raise AccessDeniedError(say(Saying.CSRF_WRONG, header=CSRF_HEADER), status=403, code="csrf")


def _everyone(request: Request) -> Credential:
    """Without authentication a page of another site must still not reach us through a name of its own."""
    if urlsplit(f"//{request.headers.get('host', '')}").hostname not in _LOOPBACK_NAMES:
        raise AccessDeniedError(say(Saying.LOCALHOST_ONLY), status=403, code="host_not_allowed")
    return Credential(id="everyone", name="everyone", role=Role.ADMIN, kind=CredentialKind.KEY, created_at=0)
