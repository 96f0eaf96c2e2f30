"""Who is asking. PURE: headers and the snapshot's credentials in, a credential or a refusal out."""

from collections.abc import Mapping
from hashlib import sha256
from hmac import compare_digest

from router.errors import CSRF, FOREIGN_HOST, NO_KEY, NO_SESSION, NO_SNAPSHOT, WRONG_KEY, Refusal
from router.types import Credential, CredentialKind, Priority, Role

SESSION_COOKIE = b"roundhouse_session"
CSRF_HEADER = b"x-roundhouse-csrf"
_LOCAL_HOSTS = frozenset({b"localhost", b"127.0.0.1", b"[::1]"})
_PRIORITIES = {priority.name.lower().encode(): priority for priority in Priority}
_ANYONE = Credential(id="no-auth", name="no-auth", role=Role.ADMIN, kind=CredentialKind.KEY, created_at=0.0)


def csrf_token(session_token: str) -> str:
    """The value that `x-roundhouse-csrf` must have in requests of this session."""
    return sha256(f"csrf:{session_token}".encode()).hexdigest()[:32]


def authenticate(
    headers: Mapping[bytes, bytes], credentials: Mapping[str, Credential] | None, now: float, *, unsafe: bool
) -> Credential | Refusal:
    """Checks a request's key or session.

    `headers`: names in lower case. `credentials`: by SHA-256 digest (hex); None before the first snapshot, which
    lets nobody in. `now`: Unix seconds. `unsafe`: the method may change something, so a cookie alone is not enough.
    """
    if credentials is None:
        return NO_SNAPSHOT
    key = _presented_key(headers)
    if key is not None:
        found = _valid(credentials, key, CredentialKind.KEY, now)
        return WRONG_KEY if found is None else found
    cookie = headers.get(b"cookie")
    token = _session_token(cookie) if cookie else None
    if token is None:
        return NO_KEY
    found = _valid(credentials, token, CredentialKind.SESSION, now)
    if found is None:
        return NO_SESSION
    if unsafe and not (_csrf_matches(headers, token) and same_origin(headers)):
        return CSRF
    return found


def authenticate_nobody(headers: Mapping[bytes, bytes]) -> Credential | Refusal:
    """The check that is left without auth: the browser must have meant this machine.

    A page of another site can reach us under its own name (DNS rebinding) or post to us blindly; `Host` and
    `Origin` tell.
    """
    host = headers.get(b"host", b"").lower()
    bare = host.rstrip(b"0123456789")
    name = bare[:-1] if bare.endswith(b":") else host
    if name not in _LOCAL_HOSTS or not same_origin(headers):
        return FOREIGN_HOST
    return _ANYONE


def priority_of(asked: bytes | None, credential: Credential) -> Priority:
    """The band that a request is queued in: the one it asks for, within what its key allows; normal by default."""
    priority = _PRIORITIES.get(asked.strip().lower(), Priority.NORMAL) if asked else Priority.NORMAL
    return min(priority, credential.max_priority)


def same_origin(headers: Mapping[bytes, bytes]) -> bool:
    """True without an `Origin`, or when its host and port are those of `Host`."""
    origin = headers.get(b"origin")
    if origin is None:
        return True
    return origin.partition(b"://")[2].lower() == headers.get(b"host", b"").lower()


def _presented_key(headers: Mapping[bytes, bytes]) -> bytes | None:
    bearer = headers.get(b"authorization")
    if bearer is not None and bearer[:7].lower() == b"bearer ":
        return bearer[7:].strip()
    key = headers.get(b"x-api-key")
    if key is not None:
        return key.strip()
    # Another scheme is a key that we cannot know, never a reason to look at the cookie.
    return b"" if bearer is not None else None


def _valid(credentials: Mapping[str, Credential], secret: bytes, kind: CredentialKind, now: float) -> Credential | None:
    found = credentials.get(sha256(secret).hexdigest())
    if found is None or found.kind is not kind:
        return None
    if found.expires_at is not None and found.expires_at <= now:
        return None
    return found


def _session_token(cookie: bytes) -> bytes | None:
    for part in cookie.split(b";"):
        name, _, value = part.strip().partition(b"=")
        if name == SESSION_COOKIE:
            return value.strip(b'"')
    return None


def _csrf_matches(headers: Mapping[bytes, bytes], token: bytes) -> bool:
    expected = sha256(b"csrf:" + token).hexdigest()[:32].encode()
    return compare_digest(headers.get(CSRF_HEADER, b""), expected)
