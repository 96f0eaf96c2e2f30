"""Model hubs, searched for what could be imported."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from msgspec import structs
from pydantic import BaseModel, Field

from orchestrator.api.context import Admin, ContextDep
from orchestrator.library.hub_models import known_as
from orchestrator.library.search import search
from orchestrator.library.sources import Source, SourceKind

router = APIRouter(prefix="/hubs", tags=["models"], dependencies=[Admin])

_WORDS = r"^[^\x00-\x1f\x7f]*[^\x00-\x20\x7f][^\x00-\x1f\x7f]*$"


class HubModelView(BaseModel):
    """What the hub does not tell is empty or null."""

    id: str = Field(description="OWNER/NAME")
    source: str = Field(description="What to import to get it")
    task: str
    parameters: int | None
    licence: str
    downloads: int | None = Field(description="As the hub counts them: some do by the month, some in all")
    likes: int | None
    updated_at: float | None = Field(description="Unix seconds")
    gated: bool = Field(description="Who wants it must have agreed on the hub's page, and needs a token")
    in_library: str = Field(description="Name of the model in the library that is from there; empty if there is none")


@router.get("/{hub}/models")
async def search_hub(
    hub: Literal["hf", "modelscope"],
    context: ContextDep,
    query: Annotated[str, Query(max_length=200, pattern=_WORDS, description="Words, as typed into the hub's search")],
) -> list[HubModelView]:
    """Models that can be served here as far as the hub tells, 20 at most, in its own order. Takes up to 10 s."""
    kind = SourceKind(hub)
    found = await search(kind, query.strip())
    models = (await context.records.all()).values()
    return [
        HubModelView(
            **structs.asdict(each), source=Source(kind, each.id, "").text, in_library=known_as(models, kind, each.id)
        )
        for each in found
    ]
