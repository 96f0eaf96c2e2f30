"""A search through chats reads megabytes: it does so beside the event loop."""

import threading
from typing import Any, cast

import msgspec

from orchestrator.chat_types import ChatHead, ChatText, Message
from orchestrator.chats import Chats


class Texts(dict[str, bytes]):
    """Remembers which threads read of it."""

    def __init__(self, texts: dict[str, bytes]) -> None:
        super().__init__(texts)
        self.threads: set[int] = set()

    def get(self, key: str, default: Any = None) -> Any:
        self.threads.add(threading.get_ident())
        return super().get(key, default)


class Store:
    def __init__(self) -> None:
        message = Message(id="q", role="user", content="Where is the Bodensee?")
        self.texts = Texts({"c1": msgspec.json.encode(ChatText(messages=(message,), leaf="q"))})

    async def chat_heads(self, owner: str) -> dict[str, ChatHead]:
        return {
            each: ChatHead(id=each, title="", created_at=1, updated_at=1, version=1, size_bytes=1)
            for each in ("c1", "c2")
        }

    async def chat_texts(self, owner: str, chat_ids: list[str]) -> Texts:
        return self.texts


async def test_search_reads_texts_on_a_thread_and_not_on_the_event_loop() -> None:
    store = Store()
    found = await Chats(cast(Any, store)).search("bob", "bodensee")
    assert [(each.id, each.snippet) for each in found] == [("c1", "Where is the Bodensee?")]
    assert store.texts.threads
    assert threading.get_ident() not in store.texts.threads
