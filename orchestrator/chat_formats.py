"""Chats as files: OpenAI's message format, and Markdown. PURE."""

import re
from collections.abc import Callable, Sequence
from typing import Any

from orchestrator.chat_types import ChatHead, ChatSettings, ChatText, Message, branch_of

_TITLE_CHARACTERS = 60
_SNIPPET_CHARACTERS = 120
_LEAD_CHARACTERS = 30
"""Of a snippet, what stands before the words that were searched for."""


def title_of(text: str) -> str:
    """A title off the first line of a chat."""
    line = text.strip().partition("\n")[0].strip()
    return line if len(line) <= _TITLE_CHARACTERS else line[: _TITLE_CHARACTERS - 1].rstrip() + "…"


def snippet_of(text: ChatText) -> str:
    """How the chat ends, in one line."""
    branch = branch_of(text)
    last = next((message.content for message in reversed(branch) if message.content), "")
    return _one_line(last)[:_SNIPPET_CHARACTERS]


def found_snippet(text: ChatText, wanted: str) -> str | None:
    """The surroundings of `wanted` (case-folded) in the first message that holds it, on whatever branch."""
    for message in text.messages:
        line = _one_line(message.content)
        at = line.casefold().find(wanted)
        if at >= 0:
            start = max(0, at - _LEAD_CHARACTERS)
            return ("…" if start else "") + line[start : start + _SNIPPET_CHARACTERS]
    return None


def to_openai(head: ChatHead, text: ChatText) -> dict[str, Any]:
    """The shown branch as a request body of `/v1/chat/completions`, with a title."""
    settings = text.settings
    system = [{"role": "system", "content": settings.system_prompt}] if settings.system_prompt.strip() else []
    chosen = {
        "temperature": settings.temperature,
        "top_p": settings.top_p,
        "max_tokens": settings.max_tokens,
        "seed": settings.seed,
        "stop": list(settings.stop) or None,
    }
    return {
        "title": head.title,
        **({"model": head.model} if head.model else {}),
        "messages": [*system, *(_openai_message(each) for each in branch_of(text) if each.content or each.images)],
        **{name: value for name, value in chosen.items() if value is not None},
    }


def to_markdown(head: ChatHead, text: ChatText) -> str:
    """The shown branch to read."""
    parts = [f"# {_one_line(head.title)}"]
    if text.settings.system_prompt.strip():
        parts.append("\n".join(f"> {line}" for line in text.settings.system_prompt.strip().splitlines()))
    for message in branch_of(text):
        parts.append("## User" if message.role == "user" else f"## Assistant ({message.model})")
        parts.append(message.content.strip())
    return "\n\n".join(parts) + "\n"


def file_name(title: str, suffix: str) -> str:
    """A file name of the letters and digits of `title`, in whatever script."""
    words = re.sub(r"[\W_]+", "-", title).strip("-")[:80]
    return f"{words or 'chat'}.{suffix}"


def from_openai(
    messages: Sequence[tuple[str, str, tuple[str, ...]]], model: str, now: float, new_id: Callable[[], str]
) -> ChatText:
    """A chat of one branch. `messages`: role, content, images; system messages become the system prompt."""
    system = "\n\n".join(content for role, content, _ in messages if role in ("system", "developer"))
    kept: list[Message] = []
    for role, content, images in messages:
        if role not in ("user", "assistant"):
            continue
        turn = Message(
            id=new_id(),
            parent=kept[-1].id if kept else None,
            role=role,
            content=content,
            images=images,
            model=model if role == "assistant" else "",
            finish="complete" if role == "assistant" else "",
            created_at=now,
        )
        kept.append(turn)
    leaf = kept[-1].id if kept else None
    return ChatText(messages=tuple(kept), leaf=leaf, settings=ChatSettings(system_prompt=system))


def _openai_message(message: Message) -> dict[str, Any]:
    if not message.images:
        return {"role": message.role, "content": message.content}
    pictures = [{"type": "image_url", "image_url": {"url": url}} for url in message.images]
    return {"role": message.role, "content": [{"type": "text", "text": message.content}, *pictures]}


def _one_line(text: str) -> str:
    return " ".join(text.split())
