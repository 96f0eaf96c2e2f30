"""Keys for clients."""

from fastapi import APIRouter

from orchestrator.api.context import Admin, ContextDep
from orchestrator.api.schemas import KeyCreate, KeyCreated, KeyView
from orchestrator.types import KeyUse
from orchestrator.views import key_view
from router.types import Priority, Role

router = APIRouter(prefix="/keys", tags=["keys"], dependencies=[Admin])


@router.get("")
async def list_keys(context: ContextDep) -> list[KeyView]:
    keys = await context.accounts.keys()
    uses = await context.store.key_uses(key.id for key in keys)
    return [key_view(key, uses.get(key.id, KeyUse())) for key in keys]


@router.post("", status_code=201)
async def create_key(body: KeyCreate, context: ContextDep) -> KeyCreated:
    secret, credential = await context.accounts.create_key(
        body.name,
        Role(body.role),
        tenant=body.tenant,
        tenant_weight=body.weight,
        max_priority=Priority[body.max_priority.upper()],
    )
    return KeyCreated(key=secret, **key_view(credential, KeyUse()).model_dump())


@router.delete("/{id_or_name}", status_code=204)
async def revoke_key(id_or_name: str, context: ContextDep) -> None:
    """Revoke at once: routers are told by subscription."""
    await context.accounts.revoke_key(id_or_name)
    context.changes.notify()
