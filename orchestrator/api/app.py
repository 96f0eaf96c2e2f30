"""The admin API under `/api/v1`."""

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from orchestrator import __version__
from orchestrator.api import (
    aliases,
    chats,
    cluster,
    deployments,
    events,
    fit,
    history,
    hubs,
    keys,
    load,
    models,
    nodes,
    prefetch,
    problems,
    replicas,
    revisions,
    scaling,
    session,
    swaps,
    templates,
)
from orchestrator.api.context import Context
from orchestrator.api.envelope import envelope
from orchestrator.api.schemas import ErrorView
from orchestrator.errors import RoundhouseError
from orchestrator.sentences import Saying, say
from replicas.weights.errors import WeightsError


def create_app(context: Context | None) -> FastAPI:
    """The app over `context`. None is enough to write the OpenAPI document."""
    app = FastAPI(
        title="Roundhouse admin API",
        version=__version__,
        docs_url="/api/docs",
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
        responses={"4XX": {"model": ErrorView}, "5XX": {"model": ErrorView}},
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.context = context
    for resource in (
        session,
        models,
        hubs,
        fit,
        revisions,
        prefetch,
        deployments,
        scaling,
        swaps,
        aliases,
        load,
        replicas,
        nodes,
        history,
        problems,
        cluster,
        keys,
        chats,
        templates,
        events,
    ):
        app.include_router(resource.router, prefix="/api/v1")
    app.include_router(revisions.uploads_router, prefix="/api/v1")
    app.add_exception_handler(RoundhouseError, _answer_error)
    app.add_exception_handler(WeightsError, _answer_error)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    return app


async def _answer_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RoundhouseError | WeightsError)  # noqa: S101 - registered for these alone
    message = error.sentence if isinstance(error, RoundhouseError) else error.message
    return envelope(error.status, message, error.code)


async def _answer_invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class alone
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"][1:]) or "body"
    fault = say(Saying.FIELD_INVALID, field=where, said=first["msg"].removeprefix("Value error, "))
    return envelope(422, fault, "invalid_request", where)
