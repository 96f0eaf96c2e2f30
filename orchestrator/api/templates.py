"""Prompt templates that a person keeps; those that come with Roundhouse are part of the page."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Body

from orchestrator.api.chat_schemas import TemplateBody, TemplateView
from orchestrator.api.chats import ChatId, ChatsDep, Owner
from orchestrator.chat_types import MAX_TEMPLATES, Category, Template

router = APIRouter(prefix="/templates", tags=["templates"])


@router.get("")
async def list_templates(chats: ChatsDep, owner: Owner) -> list[TemplateView]:
    return [_view(each) for each in await chats.templates(owner)]


@router.post("", status_code=201)
async def add_templates(
    body: Annotated[list[TemplateBody], Body(min_length=1, max_length=MAX_TEMPLATES)], chats: ChatsDep, owner: Owner
) -> list[TemplateView]:
    """Keep one, or all of a file."""
    wanted = [(each.title, Category(each.category), each.text) for each in body]
    return [_view(each) for each in await chats.add_templates(owner, wanted)]


@router.put("/{template_id}")
async def change_template(template_id: ChatId, body: TemplateBody, chats: ChatsDep, owner: Owner) -> TemplateView:
    changed = await chats.change_template(owner, template_id, body.title, Category(body.category), body.text)
    return _view(changed)


@router.delete("/{template_id}", status_code=204)
async def delete_template(template_id: ChatId, chats: ChatsDep, owner: Owner) -> None:
    await chats.delete_template(owner, template_id)


def _view(template: Template) -> TemplateView:
    return TemplateView.model_validate(msgspec.to_builtins(template))
