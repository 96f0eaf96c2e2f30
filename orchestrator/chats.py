"""The chats and prompt templates of one person. Nobody sees another's: every call names the owner."""

import asyncio
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from orchestrator.chat_formats import found_snippet, snippet_of
from orchestrator.chat_store import decode_text
from orchestrator.chat_types import (
    MAX_TEMPLATES,
    Category,
    ChatHead,
    ChatLimits,
    ChatText,
    Template,
    tree_problem,
)
from orchestrator.errors import ConflictError, InvalidRequestError, NotFoundError
from orchestrator.sentences import Saying, say
from orchestrator.store import Store

_READ_AT_ONCE = 32
"""Texts of chats that are in memory at the same time during a search."""


class Chats:
    """Keeps no state: the store's own check decides who of two writers was first."""

    def __init__(self, store: Store, limits: ChatLimits | None = None) -> None:
        self._store = store
        self._limits = limits or ChatLimits()

    async def heads(self, owner: str) -> list[ChatHead]:
        """All chats, the newest first."""
        found = await self._store.chat_heads(owner)
        return sorted(found.values(), key=lambda head: head.updated_at, reverse=True)

    async def read(self, owner: str, chat_id: str) -> tuple[ChatHead, ChatText]:
        """Raises NotFoundError."""
        found = await self._store.chat(owner, chat_id)
        if found is None:
            raise _no_chat()
        return found

    async def put(
        self, owner: str, chat_id: str, text: ChatText, *, version: int, title: str, model: str | None
    ) -> ChatHead:
        """Write the messages of a chat that was at `version` when it was read; 0 begins one, which `title` names.

        Raises ConflictError (`chat_changed`) when somebody else wrote meanwhile, NotFoundError when it was deleted,
        InvalidRequestError when it is too large or its messages are not a tree.
        """
        if problem := tree_problem(text):
            raise InvalidRequestError(problem)
        encoded = msgspec.json.encode(text)
        now = time.time()

        def written(heads: Mapping[str, ChatHead]) -> ChatHead:
            old = heads.get(chat_id)
            _check_version(old, version)
            _check_room(heads, chat_id, len(encoded), self._limits)
            head = old or ChatHead(id=chat_id, title=title, created_at=now, updated_at=now, version=0, size_bytes=0)
            return replace(
                head,
                model=model,
                snippet=snippet_of(text),
                updated_at=now,
                version=version + 1,
                size_bytes=len(encoded),
            )

        return await self._store.change_chat(owner, chat_id, written, encoded)

    async def describe(
        self, owner: str, chat_id: str, *, title: str | None, folder: str | None, pinned: bool | None
    ) -> ChatHead:
        """Rename, put into a folder, pin; None leaves it. Does not touch the text or its version."""

        def described(heads: Mapping[str, ChatHead]) -> ChatHead:
            if (head := heads.get(chat_id)) is None:
                raise _no_chat()
            return replace(
                head,
                title=head.title if title is None else title,
                folder=head.folder if folder is None else folder,
                pinned=head.pinned if pinned is None else pinned,
            )

        return await self._store.change_chat(owner, chat_id, described, None)

    async def delete(self, owner: str, chat_id: str) -> None:
        await self._store.delete_chat(owner, chat_id)

    async def search(self, owner: str, words: str) -> list[ChatHead]:
        """Chats that have `words` in their title or in any message, the newest first, with the place as snippet."""
        wanted = " ".join(words.split()).casefold()
        heads = await self.heads(owner)
        found: list[ChatHead] = []
        for start in range(0, len(heads), _READ_AT_ONCE):
            some = heads[start : start + _READ_AT_ONCE]
            texts = await self._store.chat_texts(owner, [head.id for head in some])
            # Megabytes are read: whoever else asks meanwhile is not kept waiting.
            found += await asyncio.to_thread(_matching, some, texts, wanted)
        return found

    async def templates(self, owner: str) -> list[Template]:
        """The owner's own, by title."""
        found = await self._store.templates(owner)
        return sorted(found.values(), key=lambda template: template.title.casefold())

    async def add_templates(self, owner: str, wanted: Sequence[tuple[str, Category, str]]) -> list[Template]:
        """Keep new ones (title, category, text). Raises InvalidRequestError when there are too many."""
        if len(await self._store.templates(owner)) + len(wanted) > MAX_TEMPLATES:
            raise InvalidRequestError(say(Saying.TOO_MANY_TEMPLATES, most=MAX_TEMPLATES))
        now = time.time()
        added = [
            Template(id=new_id(), title=title, category=category, text=text, updated_at=now)
            for title, category, text in wanted
        ]
        await self._store.put_templates(owner, added)
        return added

    async def change_template(
        self, owner: str, template_id: str, title: str, category: Category, text: str
    ) -> Template:
        """Raises NotFoundError."""
        if template_id not in await self._store.templates(owner):
            raise NotFoundError(say(Saying.NO_SUCH_TEMPLATE))
        changed = Template(id=template_id, title=title, category=category, text=text, updated_at=time.time())
        await self._store.put_templates(owner, [changed])
        return changed

    async def delete_template(self, owner: str, template_id: str) -> None:
        await self._store.delete_template(owner, template_id)


def _matching(heads: Iterable[ChatHead], texts: Mapping[str, bytes], wanted: str) -> list[ChatHead]:
    """Those that have `wanted` (case-folded) in their title or text, with the place as snippet."""
    found: list[ChatHead] = []
    for head in heads:
        raw = texts.get(head.id)
        snippet = None if raw is None else found_snippet(decode_text(raw), wanted)
        if snippet is not None or wanted in head.title.casefold():
            found.append(replace(head, snippet=snippet or head.snippet))
    return found


def new_id() -> str:
    return secrets.token_hex(12)


def _check_version(old: ChatHead | None, version: int) -> None:
    if old is None and version:
        raise _no_chat()
    if (old.version if old else 0) != version:
        raise ConflictError(say(Saying.CHAT_CHANGED), code="chat_changed")


def _check_room(heads: Mapping[str, ChatHead], chat_id: str, size_bytes: int, limits: ChatLimits) -> None:
    if size_bytes > limits.chat_bytes:
        raise InvalidRequestError(say(Saying.CHAT_TOO_LONG), code="chat_too_long")
    others = [head for head in heads.values() if head.id != chat_id]
    if len(others) >= limits.chats:
        raise InvalidRequestError(say(Saying.TOO_MANY_CHATS, most=limits.chats), code="chats_full")
    if sum(head.size_bytes for head in others) + size_bytes > limits.total_bytes:
        raise InvalidRequestError(say(Saying.CHATS_TOO_LARGE, mib=limits.total_bytes // 2**20), code="chats_full")


def _no_chat() -> NotFoundError:
    return NotFoundError(say(Saying.NO_SUCH_CHAT), code="chat_gone")
