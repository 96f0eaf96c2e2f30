"""The part of the store that holds the chats and prompt templates of each owner."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from orchestrator.chat_types import ChatHead, ChatText, Template, chat_texts_key, chats_key, templates_key

Record = TypeVar("Record", bound=msgspec.Struct)


class ChatStore(ABC):
    """Every method raises `StoreUnavailableError`, as those of `Store` do, which says how commands are carried out."""

    @abstractmethod
    async def _call(self, *command: Any) -> Any:
        """The answer to one command."""

    @abstractmethod
    async def _transaction(self, *commands: tuple[Any, ...]) -> None:
        """Carry out all of them or none."""

    @abstractmethod
    async def _rewrite(self, key: str, commands: Callable[[Mapping[bytes, bytes]], Sequence[tuple[Any, ...]]]) -> None:
        """Carry out what `commands` makes of the hash at `key`. Nobody writes it in between.

        `commands` is asked again when somebody did. What it raises goes through.
        """

    @abstractmethod
    async def _records(self, key: str, kind: type[Record]) -> dict[str, Record]:
        """The records of a hash."""

    async def chat_heads(self, owner: str) -> dict[str, ChatHead]:
        return await self._records(chats_key(owner), ChatHead)

    async def chat(self, owner: str, chat_id: str) -> tuple[ChatHead, ChatText] | None:
        head = await self._call("HGET", chats_key(owner), chat_id)
        text = (await self.chat_texts(owner, [chat_id])).get(chat_id)
        if head is None:
            return None
        return msgspec.json.decode(head, type=ChatHead), decode_text(text) if text is not None else ChatText()

    async def chat_texts(self, owner: str, chat_ids: Sequence[str]) -> dict[str, bytes]:
        """The texts of those chats that are there, for `decode_text`; at least one id."""
        values = await self._call("HMGET", chat_texts_key(owner), *chat_ids)
        return {each: value for each, value in zip(chat_ids, values, strict=True) if value is not None}

    async def change_chat(
        self, owner: str, chat_id: str, change: Callable[[Mapping[str, ChatHead]], ChatHead], text: bytes | None
    ) -> ChatHead:
        """Write the head that `change` makes of all the owner's heads, with the encoded text if there is one.

        Nobody writes in between: `change` is asked again when somebody did. What it raises goes through.
        """
        written: list[ChatHead] = []

        def commands(raw: Mapping[bytes, bytes]) -> list[tuple[Any, ...]]:
            head = change({name.decode(): msgspec.json.decode(value, type=ChatHead) for name, value in raw.items()})
            written.append(head)
            kept: list[tuple[Any, ...]] = [("HSET", chats_key(owner), chat_id, msgspec.json.encode(head))]
            return kept if text is None else [*kept, ("HSET", chat_texts_key(owner), chat_id, text)]

        await self._rewrite(chats_key(owner), commands)
        return written[-1]

    async def delete_chat(self, owner: str, chat_id: str) -> None:
        await self._transaction(("HDEL", chats_key(owner), chat_id), ("HDEL", chat_texts_key(owner), chat_id))

    async def delete_chats_of(self, owner: str) -> None:
        """Forget all chats and templates of an owner."""
        await self._call("DEL", chats_key(owner), chat_texts_key(owner), templates_key(owner))

    async def templates(self, owner: str) -> dict[str, Template]:
        return await self._records(templates_key(owner), Template)

    async def put_templates(self, owner: str, templates: Iterable[Template]) -> None:
        pairs = [part for each in templates for part in (each.id, msgspec.json.encode(each))]
        if pairs:
            await self._call("HSET", templates_key(owner), *pairs)

    async def delete_template(self, owner: str, template_id: str) -> None:
        await self._call("HDEL", templates_key(owner), template_id)


def decode_text(raw: bytes) -> ChatText:
    return msgspec.json.decode(raw, type=ChatText)
