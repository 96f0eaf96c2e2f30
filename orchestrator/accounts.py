"""Keys, sessions and login links. Only digests are stored; a secret is shown once, where it is made."""

import hashlib
import hmac
import secrets
import time

from orchestrator.errors import AccessDeniedError, InvalidRequestError, NotFoundError
from orchestrator.store import Store
from router.types import Credential, CredentialKind, Role

KEY_PREFIX = "rh-"
SESSION_LIFETIME_S = 30 * 24 * 3600
LOGIN_LINK_LIFETIME_S = 24 * 3600


def digest_of(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def csrf_token_of(session_token: str) -> str:
    """The token that a page must repeat in a header: derived, so that nothing more needs to be stored."""
    return hashlib.sha256(f"csrf:{session_token}".encode()).hexdigest()[:32]


def csrf_matches(session_token: str, header: str) -> bool:
    return hmac.compare_digest(csrf_token_of(session_token), header)


class Accounts:
    def __init__(self, store: Store) -> None:
        self._store = store

    async def create_key(self, name: str, role: Role, secret: str | None = None) -> tuple[str, Credential]:
        """Make a key and return it with its record. `secret` is given only for the admin key of a first start."""
        secret = secret or KEY_PREFIX + secrets.token_urlsafe(32)
        credential = Credential(
            id=secrets.token_hex(6),
            name=name,
            role=role,
            kind=CredentialKind.KEY,
            created_at=time.time(),
            hint=secret[: len(KEY_PREFIX) + 4] + "…",
        )
        await self._store.put_credential(digest_of(secret), credential)
        return secret, credential

    async def ensure_admin_key(self, secret: str) -> None:
        """Make the key of the first start valid, if it is not yet."""
        if await self._store.credential(digest_of(secret)) is None:
            await self.create_key("admin", Role.ADMIN, secret)

    async def keys(self) -> list[Credential]:
        found = await self._store.credentials()
        keys = [credential for credential in found.values() if credential.kind is CredentialKind.KEY]
        return sorted(keys, key=lambda key: key.created_at)

    async def revoke_key(self, id_or_name: str) -> None:
        """Revoke by id, or by a name that only one key has. The last admin key cannot be revoked."""
        found = {
            digest: credential
            for digest, credential in (await self._store.credentials()).items()
            if credential.kind is CredentialKind.KEY
        }
        matches = [d for d, c in found.items() if c.id == id_or_name] or [
            d for d, c in found.items() if c.name == id_or_name
        ]
        if not matches:
            raise NotFoundError(f"There is no key {id_or_name!r}. `roundhouse key list` shows the keys.")
        if len(matches) > 1:
            raise InvalidRequestError(f"{len(matches)} keys are named {id_or_name!r}. Revoke by id instead.")
        admins = [digest for digest, credential in found.items() if credential.role is Role.ADMIN]
        if admins == matches:
            raise InvalidRequestError("This is the last admin key. Create another one before you revoke it.")
        await self._store.delete_credentials(matches)

    async def create_login_token(self) -> str:
        token = secrets.token_urlsafe(24)
        await self._store.put_login_token(digest_of(token), LOGIN_LINK_LIFETIME_S)
        return token

    async def log_in(self, *, token: str | None, key: str | None) -> tuple[str, Credential]:
        """Open a session by a one-time token or by a key, and return its secret.

        Raises AccessDeniedError (401) when neither holds.
        """
        if token is not None and await self._store.take_login_token(digest_of(token)):
            return await self._open_session("admin", Role.ADMIN)
        if key is not None:
            credential = await self.authenticate(key)
            if credential is not None and credential.kind is CredentialKind.KEY:
                return await self._open_session(credential.name, credential.role)
        if token is not None:
            raise AccessDeniedError(
                "This login link was used already or has expired. `roundhouse login` makes a new one."
            )
        raise AccessDeniedError("This key is not valid. Check it, or ask an admin for a new one.")

    async def authenticate(self, secret: str) -> Credential | None:
        """The credential behind a key or session token, or None when there is none that still holds."""
        credential = await self._store.credential(digest_of(secret))
        if credential is None or (credential.expires_at is not None and credential.expires_at < time.time()):
            return None
        return credential

    async def log_out(self, session_token: str) -> None:
        await self._store.delete_credentials([digest_of(session_token)])

    async def sweep_expired(self) -> None:
        """Remove sessions that have ended."""
        now = time.time()
        found = await self._store.credentials()
        await self._store.delete_credentials(
            digest for digest, each in found.items() if each.expires_at is not None and each.expires_at < now
        )

    async def _open_session(self, name: str, role: Role) -> tuple[str, Credential]:
        token = "rhs-" + secrets.token_urlsafe(32)
        now = time.time()
        credential = Credential(
            id=secrets.token_hex(6),
            name=name,
            role=role,
            kind=CredentialKind.SESSION,
            created_at=now,
            expires_at=now + SESSION_LIFETIME_S,
        )
        await self._store.put_credential(digest_of(token), credential)
        return token, credential
