"""Aliases: public names whose requests go to deployments by weight."""

from typing import Annotated

from fastapi import APIRouter, Depends

from orchestrator.alias_views import alias_view
from orchestrator.aliases import Aliases
from orchestrator.api.alias_schemas import AliasBody, AliasView
from orchestrator.api.context import Admin, ContextDep
from orchestrator.api.deployments import Name

router = APIRouter(prefix="/aliases", tags=["aliases"], dependencies=[Admin])


def aliases_of(context: ContextDep) -> Aliases:
    return Aliases(context.store, context.deployments)


AliasesDep = Annotated[Aliases, Depends(aliases_of)]


@router.get("")
async def list_aliases(context: ContextDep) -> list[AliasView]:
    catalog = await context.store.catalog()
    return [alias_view(each, catalog) for each in (await context.store.aliases()).values()]


@router.get("/{name}")
async def read_alias(name: Name, context: ContextDep, aliases: AliasesDep) -> AliasView:
    return alias_view(await aliases.get(name), await context.store.catalog())


@router.put("/{name}")
async def put_alias(name: Name, body: AliasBody, context: ContextDep, aliases: AliasesDep) -> AliasView:
    """Create an alias or change its targets; routers follow within a second, and as few sessions move as can be."""
    alias = await aliases.put(name, {each.model: each.weight for each in body.targets})
    context.changes.notify()
    return alias_view(alias, await context.store.catalog())


@router.delete("/{name}", status_code=204)
async def delete_alias(name: Name, context: ContextDep, aliases: AliasesDep) -> None:
    await aliases.delete(name)
    context.changes.notify()
