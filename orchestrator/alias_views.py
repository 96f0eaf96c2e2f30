"""Aliases as the API shows them."""

from collections.abc import Mapping

from orchestrator.api.alias_schemas import AliasTargetView, AliasView
from orchestrator.api.schemas import CatalogView
from orchestrator.api.sentence_schemas import sentences
from orchestrator.sentences import Saying, say
from router.alias import best_status
from router.types import Alias, CatalogEntry, ModelStatus


def alias_view(alias: Alias, catalog: Mapping[str, CatalogEntry]) -> AliasView:
    """A target that routers have not been told of yet is starting."""
    total = sum(target.weight for target in alias.targets)
    statuses = [_status(catalog.get(target.model)) for target in alias.targets]
    return AliasView(
        name=alias.name,
        status=best_status(statuses).value,
        targets=[
            AliasTargetView(
                model=target.model, weight=target.weight, share=round(target.weight / total, 6), status=status.value
            )
            for target, status in zip(alias.targets, statuses, strict=True)
        ],
        created_at=alias.created_at,
        updated_at=alias.updated_at,
    )


def alias_in_catalog(
    alias: Alias, catalog: Mapping[str, CatalogEntry], shown: Mapping[str, CatalogView]
) -> CatalogView:
    """An alias as a chat page shows it: a model like others. What holds for each of its targets holds for it.

    `shown`: the entries of `catalog` as that page shows them.
    """
    entries = [catalog[target.model] for target in alias.targets if target.model in catalog]
    status = best_status([entry.status for entry in entries])
    lengths = [entry.max_model_len for entry in entries if entry.max_model_len is not None]
    best = [entry for entry in entries if entry.status is status]
    nothing = say(Saying.NO_TARGET)
    return CatalogView(
        name=alias.name,
        status=status.value,
        detail=best[0].detail if best else str(nothing),
        sentences=shown[best[0].name].sentences if best else sentences(detail=nothing),
        max_model_len=min(lengths, default=None),
        simulated=any(entry.simulated for entry in entries),
        images=bool(entries) and all(entry.images for entry in entries),
        revision="",
        retry_after_s=min((entry.retry_after_s for entry in best), default=10),
    )


def _status(entry: CatalogEntry | None) -> ModelStatus:
    return ModelStatus.STARTING if entry is None else entry.status
