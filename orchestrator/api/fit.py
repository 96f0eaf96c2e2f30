"""Whether a model fits, before it is deployed."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from msgspec import structs

from orchestrator.api.context import Admin, Context, ContextDep
from orchestrator.api.model_schemas import FitView
from orchestrator.api.sentence_schemas import sentences
from orchestrator.errors import ConflictError, NotFoundError
from orchestrator.fitting import hopeless, question_of
from orchestrator.hardware import hardware_now
from orchestrator.library.fit import assess
from orchestrator.library.fit_types import Fit, FitQuestion
from orchestrator.sentences import Saying, say
from orchestrator.types import Deployment, Revision

router = APIRouter(tags=["models"], dependencies=[Admin])


@router.get("/models/{name}/fit")
async def estimate_fit(
    name: str,
    context: ContextDep,
    revision: Annotated[str | None, Query(description="None: the one that the model stands for")] = None,
    context_tokens: Annotated[int | None, Query(ge=1, le=2**24, description="None: all that the model reads")] = None,
    concurrency: Annotated[int, Query(ge=1, le=100_000, description="Requests of that length at once")] = 1,
    gpus_per_replica: Annotated[float | None, Query(ge=0, le=64, description="None: 1 where there are GPUs")] = None,
    kv_dtype: Literal["auto", "fp8"] = "auto",
    dtype: Literal["auto", "float16", "bfloat16", "float32"] = "auto",
) -> FitView:
    """What a replica needs and what is free, and what would fit instead."""
    model = await context.records.get(name)
    found = model.standing if revision is None else model.find(revision)
    if found is None or found.facts is None:
        raise NotFoundError(
            say(Saying.NO_SUCH_REVISION, name=name, revision=revision)
            if revision
            else say(Saying.NO_READY_REVISION, name=name)
        )
    hardware = await hardware_now(context.store)
    gpus = gpus_per_replica
    if gpus is None:
        gpus = 1.0 if hardware.accelerators else 0.0
    question = FitQuestion(
        context_tokens=context_tokens, concurrency=concurrency, gpus_per_replica=gpus, kv_dtype=kv_dtype, dtype=dtype
    )
    return fit_view(assess(found.facts, question, hardware))


async def refuse_hopeless(context: Context, revision: Revision, wish: Deployment) -> None:
    """Raises ConflictError for what could not start here even if nothing else ran."""
    if revision.facts is None:
        return
    question = question_of(wish.gpus_per_replica, wish.max_model_len, wish.engine_args)
    fit = hopeless(revision.facts, question, await hardware_now(context.store))
    if fit is not None:
        raise ConflictError(say(Saying.DOES_NOT_FIT, why=fit.reason), code="does_not_fit")


def fit_view(fit: Fit) -> FitView:
    said = {"reason": str(fit.reason), "sentences": sentences(reason=fit.reason)}
    return FitView(**structs.asdict(fit) | said | {"assumptions": list(fit.assumptions)})
