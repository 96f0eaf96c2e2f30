"""Chats and prompt templates as they are kept for one person. PURE.

Keys hold an owner: the id of a key, which its sessions share. The orchestrator is the only writer.
"""

from enum import StrEnum

from msgspec import Struct

MAX_CHAT_BYTES = 900_000
"""Of one chat's text: a request that carries it stays below what the router lets through to the admin API."""
MAX_TEMPLATES = 500


class ChatLimits(Struct, frozen=True, kw_only=True):
    """Of one owner."""

    chats: int = 2000
    chat_bytes: int = MAX_CHAT_BYTES
    total_bytes: int = 32 * 1024 * 1024


def chats_key(owner: str) -> str:
    """Hash: chat id -> `ChatHead`."""
    return f"roundhouse:chats:{owner}"


def chat_texts_key(owner: str) -> str:
    """Hash: chat id -> `ChatText`."""
    return f"roundhouse:chat-texts:{owner}"


def templates_key(owner: str) -> str:
    """Hash: template id -> `Template`."""
    return f"roundhouse:templates:{owner}"


class ChatHead(Struct, frozen=True, kw_only=True):
    """What a list of chats shows."""

    id: str
    title: str
    folder: str = ""
    pinned: bool = False
    model: str | None = None
    snippet: str = ""
    created_at: float
    updated_at: float
    version: int
    """Counts the writes of the text: who writes it says which one they have read."""
    size_bytes: int


class ChatSettings(Struct, frozen=True, kw_only=True):
    """What is sent with the messages; None leaves it to the model."""

    system_prompt: str = ""
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    context_tokens: int | None = None
    """Longest context, in tokens; older turns are left out above it. None: what the model reads."""
    stop: tuple[str, ...] = ()
    seed: int | None = None
    stream: bool = True


class AnswerStats(Struct, frozen=True, kw_only=True):
    ttft_s: float | None
    """None when the answer was not streamed."""
    duration_s: float
    prompt_tokens: int | None
    completion_tokens: int | None


class AnswerFailure(Struct, frozen=True, kw_only=True):
    status: int
    code: str
    message: str


class Message(Struct, frozen=True, kw_only=True):
    """One turn. Messages with the same parent are branches of the chat."""

    id: str
    parent: str | None = None
    role: str
    """`user` or `assistant`; the system prompt is a setting."""
    content: str
    reasoning: str = ""
    images: tuple[str, ...] = ()
    """`data:` URLs."""
    model: str = ""
    revision: str = ""
    finish: str = ""
    """Of an answer: `complete`, `length`, `stopped`, `failed`; empty while it is written."""
    stats: AnswerStats | None = None
    failure: AnswerFailure | None = None
    created_at: float = 0.0


class ChatText(Struct, frozen=True, kw_only=True):
    """All branches of a chat, parents before their children, and the branch that is shown."""

    messages: tuple[Message, ...] = ()
    leaf: str | None = None
    """Last message of the branch that is shown."""
    other_model: str | None = None
    """The model that answers beside the first."""
    settings: ChatSettings = ChatSettings()


class Category(StrEnum):
    WRITING = "writing"
    PROGRAMMING = "programming"
    STUDY = "study"
    OFFICE = "office"


class Template(Struct, frozen=True, kw_only=True):
    """A prompt with `{{variables}}`."""

    id: str
    title: str
    category: Category
    text: str
    updated_at: float


def branch_of(text: ChatText) -> tuple[Message, ...]:
    """The messages from the first to `leaf`: what is shown and exported."""
    by_id = {message.id: message for message in text.messages}
    found: list[Message] = []
    at = text.leaf
    while at is not None:
        message = by_id[at]
        found.append(message)
        at = message.parent
    return tuple(reversed(found))


def tree_problem(text: ChatText) -> str | None:
    """Why the messages are not a tree, in words; None if they are."""
    seen: set[str] = set()
    for message in text.messages:
        if message.id in seen:
            return f"Two messages have the id {message.id}."
        if message.parent is not None and message.parent not in seen:
            return f"Message {message.id} stands before its parent {message.parent}."
        seen.add(message.id)
    if text.leaf is not None and text.leaf not in seen:
        return f"There is no message {text.leaf} for the chat to end with."
    return None
