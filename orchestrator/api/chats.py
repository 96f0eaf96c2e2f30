"""The chats of whoever asks: an admin sees as little of another's as anybody else."""

import time
from typing import Annotated, Any, Literal
from urllib.parse import quote

import msgspec
from fastapi import APIRouter, Depends, Path, Response
from pydantic import TypeAdapter, ValidationError

from orchestrator.api.chat_schemas import (
    ChatBody,
    ChatChange,
    ChatHeadView,
    ChatImport,
    ChatTextBody,
    ChatView,
    Image,
    ImportedMessage,
)
from orchestrator.api.context import ContextDep, Identity
from orchestrator.chat_formats import file_name, from_openai, title_of, to_markdown, to_openai
from orchestrator.chat_types import ChatHead, ChatText
from orchestrator.chats import Chats, new_id
from orchestrator.errors import InvalidRequestError
from orchestrator.sentences import Saying, say

router = APIRouter(prefix="/chats", tags=["chats"])
_IMAGE: TypeAdapter[str] = TypeAdapter(Image)


def chats_of(context: ContextDep) -> Chats:
    return Chats(context.store)


def owner_of(identity: Identity) -> str:
    """A session has the chats of its key."""
    return identity.parent or identity.id


ChatsDep = Annotated[Chats, Depends(chats_of)]
Owner = Annotated[str, Depends(owner_of)]
ChatId = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


@router.get("")
async def list_chats(chats: ChatsDep, owner: Owner, search: str = "") -> list[ChatHeadView]:
    """The newest first; with `search`, those that have it in their title or in a message."""
    found = await chats.search(owner, search) if search.strip() else await chats.heads(owner)
    return [_head_view(head) for head in found]


@router.post("", status_code=201)
async def import_chat(body: ChatImport, chats: ChatsDep, owner: Owner) -> ChatHeadView:
    """Keep a chat that was exported here or elsewhere, in OpenAI's message format."""
    messages = [(each.role, *_content_of(each)) for each in body.messages]
    text = from_openai(messages, body.model or "", time.time(), new_id)
    if not text.messages:
        raise InvalidRequestError(say(Saying.CHAT_EMPTY))
    title = body.title or title_of(text.messages[0].content)
    return _head_view(await chats.put(owner, new_id(), text, version=0, title=title, model=body.model))


@router.get("/{chat_id}")
async def read_chat(chat_id: ChatId, chats: ChatsDep, owner: Owner) -> ChatView:
    head, text = await chats.read(owner, chat_id)
    return ChatView(head=_head_view(head), text=ChatTextBody.model_validate(msgspec.to_builtins(text)))


@router.put("/{chat_id}")
async def put_chat(chat_id: ChatId, body: ChatBody, chats: ChatsDep, owner: Owner) -> ChatHeadView:
    """Begin a chat or write its messages. 409 `chat_changed` when another page wrote since it was read."""
    text = msgspec.convert(body.text.model_dump(), type=ChatText)
    head = await chats.put(owner, chat_id, text, version=body.version, title=body.title, model=body.model)
    return _head_view(head)


@router.patch("/{chat_id}")
async def change_chat(chat_id: ChatId, body: ChatChange, chats: ChatsDep, owner: Owner) -> ChatHeadView:
    """Rename it, pin it, put it into a folder."""
    head = await chats.describe(owner, chat_id, title=body.title, folder=body.folder, pinned=body.pinned)
    return _head_view(head)


@router.delete("/{chat_id}", status_code=204)
async def delete_chat(chat_id: ChatId, chats: ChatsDep, owner: Owner) -> None:
    await chats.delete(owner, chat_id)


@router.get("/{chat_id}/export", response_class=Response)
async def export_chat(
    chat_id: ChatId,
    chats: ChatsDep,
    owner: Owner,
    format: Literal["json", "markdown"] = "json",  # noqa: A002
) -> Response:
    """The shown branch as a file: a request body in OpenAI's format, or Markdown to read."""
    head, text = await chats.read(owner, chat_id)
    if format == "json":
        content: bytes | str = msgspec.json.format(msgspec.json.encode(to_openai(head, text)), indent=2)
        name, kind = file_name(head.title, "json"), "application/json"
    else:
        content, name, kind = to_markdown(head, text), file_name(head.title, "md"), "text/markdown; charset=utf-8"
    headers = {
        "content-disposition": f"attachment; filename*=UTF-8''{quote(name)}",
        "x-content-type-options": "nosniff",
    }
    return Response(content, media_type=kind, headers=headers)


def _head_view(head: ChatHead) -> ChatHeadView:
    return ChatHeadView.model_validate(msgspec.to_builtins(head))


def _content_of(message: ImportedMessage) -> tuple[str, tuple[str, ...]]:
    """Words and pictures of a message; a picture that is only a link elsewhere is kept as words."""
    if not isinstance(message.content, list):
        return message.content or "", ()
    words: list[str] = []
    images: list[str] = []
    for part in message.content:
        if part.get("type") == "text":
            words.append(str(part.get("text", "")))
        elif part.get("type") == "image_url":
            _keep_picture(part, words, images)
    return "\n\n".join(words), tuple(images)


def _keep_picture(part: dict[str, Any], words: list[str], images: list[str]) -> None:
    pointer = part.get("image_url")
    url = str(pointer.get("url", "")) if isinstance(pointer, dict) else ""
    try:
        images.append(_IMAGE.validate_python(url))
    except ValidationError:
        words.append(url)
