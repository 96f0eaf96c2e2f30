"""Keys, sessions and login links. Only digests are stored; a secret is shown once, where it is made."""

import hashlib
import hmac
import secrets
import time
from pathlib import Path

from orchestrator.errors import AccessDeniedError, InvalidRequestError, NotFoundError
from orchestrator.host.home import write_secret
from orchestrator.sentences import Saying, say
from orchestrator.store import Store
from router.types import Credential, CredentialKind, Priority, Role

KEY_PREFIX = "rh-"
SESSION_LIFETIME_S = 30 * 24 * 3600
LOGIN_LINK_LIFETIME_S = 24 * 3600


def digest_of(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def csrf_token_of(session_token: str) -> str:
    """The token that a page must repeat in a header: derived, so that nothing more needs to be stored."""
    return hashlib.sha256(f"csrf:{session_token}".encode()).hexdigest()[:32]


def csrf_matches(session_token: str, header: str) -> bool:
    return hmac.compare_digest(csrf_token_of(session_token).encode(), header.encode("utf-8", "surrogateescape"))


class Accounts:
    """`admin_key` is the file of this home's own admin key, which is always valid: the CLI uses it."""

    def __init__(self, store: Store, admin_key: Path) -> None:
        self._store = store
        self._admin_key = admin_key

    async def create_key(
        self,
        name: str,
        role: Role,
        secret: str | None = None,
        *,
        tenant: str = "",
        tenant_weight: float = 1.0,
        max_priority: Priority = Priority.NORMAL,
        key_id: str = "",
    ) -> tuple[str, Credential]:
        """Make a key and return it with its record.

        `secret` is given only for the admin key of a first start; `key_id` only where a key takes another's place,
        with all that it owns.
        """
        secret = secret or KEY_PREFIX + secrets.token_urlsafe(32)
        credential = Credential(
            id=key_id or secrets.token_hex(6),
            name=name,
            role=role,
            kind=CredentialKind.KEY,
            created_at=time.time(),
            hint=secret[: len(KEY_PREFIX) + 4] + "…",
            tenant=tenant,
            tenant_weight=tenant_weight,
            max_priority=max_priority,
        )
        await self._store.put_credential(digest_of(secret), credential)
        return secret, credential

    async def ensure_admin_key(self) -> None:
        """Make the home's admin key valid at the first start; replace it in the file if it was revoked since."""
        if await self._store.credential(self._home_digest()) is not None:
            return
        if any(key.role is Role.ADMIN for key in await self.keys()):
            await self._replace_home_key()
        else:
            await self.create_key("admin", Role.ADMIN, self._admin_key.read_text().strip())

    def _home_digest(self) -> str:
        return digest_of(self._admin_key.read_text().strip())

    async def _replace_home_key(self, key_id: str = "") -> None:
        secret, _ = await self.create_key("admin", Role.ADMIN, key_id=key_id)
        write_secret(self._admin_key, secret)

    async def keys(self) -> list[Credential]:
        found = await self._store.credentials()
        keys = [credential for credential in found.values() if credential.kind is CredentialKind.KEY]
        return sorted(keys, key=lambda key: key.created_at)

    async def revoke_key(self, id_or_name: str) -> None:
        """Revoke a key, by id or by a name that only one key has, and every session that it opened.

        Its chats and templates go with it: nobody could read them again. The home's own admin key is replaced in its
        file by a new one, which has the same id and so keeps them.
        """
        everything = await self._store.credentials()
        found = {digest: each for digest, each in everything.items() if each.kind is CredentialKind.KEY}
        matches = [d for d, c in found.items() if c.id == id_or_name] or [
            d for d, c in found.items() if c.name == id_or_name
        ]
        if not matches:
            raise NotFoundError(say(Saying.NO_SUCH_KEY, key=id_or_name))
        if len(matches) > 1:
            raise InvalidRequestError(say(Saying.KEYS_OF_ONE_NAME, number=len(matches), key=id_or_name))
        (revoked,) = matches
        key_id, at_home = found[revoked].id, revoked == self._home_digest()
        if at_home:
            await self._replace_home_key(key_id)
        sessions = [digest for digest, each in everything.items() if each.parent == key_id]
        await self._store.delete_credentials([revoked, *sessions])
        if not at_home:
            await self._store.delete_key_use(key_id)
            await self._store.delete_chats_of(key_id)

    async def create_login_token(self, owner: Credential) -> str:
        """A one-time token that opens a session of `owner`, an admin's key or session."""
        token, owner_id = secrets.token_urlsafe(24), owner.parent or owner.id
        found = await self._store.credentials()
        # By its digest: a link must not outlive its key, and the home's admin key leaves its id to the next one.
        key = next((digest for digest, each in found.items() if each.id == owner_id), "")
        await self._store.put_login_token(digest_of(token), key, LOGIN_LINK_LIFETIME_S)
        return token

    async def log_in(self, *, token: str | None, key: str | None) -> tuple[str, Credential]:
        """Open a session by a one-time token or by a key, and return its secret.

        Raises AccessDeniedError (401) when neither holds.
        """
        digest = await self._store.take_login_token(digest_of(token)) if token is not None else None
        if digest is not None:
            owner = await self._store.credential(digest)
            if owner is not None:
                return await self._open_session("admin", Role.ADMIN, owner)
        if key is not None:
            credential = await self.authenticate(key)
            if credential is not None and credential.kind is CredentialKind.KEY:
                return await self._open_session(credential.name, credential.role, credential)
        if token is not None:
            raise AccessDeniedError(say(Saying.LOGIN_LINK_USED))
        raise AccessDeniedError(say(Saying.KEY_INVALID))

    async def authenticate(self, secret: str) -> Credential | None:
        """The credential behind a key or session token, or None when there is none that still holds."""
        credential = await self._store.credential(digest_of(secret))
        if credential is None or (credential.expires_at is not None and credential.expires_at < time.time()):
            return None
        return credential

    async def still_holds(self, identity: Credential) -> bool:
        """Whether the key or session that was authenticated before is still valid."""
        expired = identity.expires_at is not None and identity.expires_at < time.time()
        return not expired and identity in (await self._store.credentials()).values()

    async def log_out(self, session_token: str) -> None:
        await self._store.delete_credentials([digest_of(session_token)])

    async def sweep_expired(self) -> None:
        """Remove sessions that have ended."""
        now = time.time()
        found = await self._store.credentials()
        await self._store.delete_credentials(
            digest for digest, each in found.items() if each.expires_at is not None and each.expires_at < now
        )

    async def _open_session(self, name: str, role: Role, key: Credential) -> tuple[str, Credential]:
        """A session of `key`: it waits in the same queue, with the same share and as high as the key may."""
        token = "rhs-" + secrets.token_urlsafe(32)
        now = time.time()
        credential = Credential(
            id=secrets.token_hex(6),
            name=name,
            role=role,
            kind=CredentialKind.SESSION,
            created_at=now,
            parent=key.id,
            expires_at=now + SESSION_LIFETIME_S,
            tenant=key.tenant,
            tenant_weight=key.tenant_weight,
            max_priority=key.max_priority,
        )
        await self._store.put_credential(digest_of(token), credential)
        return token, credential
