"""Everything that is not hot: the list of models, the way to the orchestrator, the web UI."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from router.core import Core
from router.dispatcher import Dispatcher
from router.errors import (
    Refusal,
    envelope,
    method_not_allowed,
    model_not_found,
    path_not_found,
)
from router.orchestrator_proxy import OrchestratorProxy
from router.request_head import ROUTES
from router.table import RoutingTable
from router.types import Alias
from router.web_ui import WebUI

_ANY_METHOD = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def refused(refusal: Refusal) -> Response:
    """The answer to a refused request."""
    headers = {}
    if refusal.retry_after_s is not None:
        headers["retry-after"] = str(refusal.retry_after_s)
    if refusal.allow is not None:
        headers["allow"] = refusal.allow
    if refusal.status == 401:
        headers["www-authenticate"] = "Bearer"
    return Response(envelope(refusal), refusal.status, headers, "application/json")


def model_card(model: Dispatcher) -> dict[str, Any]:
    """A model in the shape that OpenAI's clients read, with what chat pages show beside it."""
    entry = model.entry
    lengths = [view.max_model_len for view in model.replicas if view.max_model_len is not None]
    length = min(lengths, default=entry.max_model_len)
    card: dict[str, Any] = {
        "id": entry.name,
        "object": "model",
        "created": entry.created,
        "owned_by": "roundhouse",
        "root": entry.name,
        "parent": None,
        "max_model_len": length,
        "context_length": length,
        "status": model.status().value,
        "detail": entry.detail,
    }
    if entry.description:
        card["description"] = entry.description
    if entry.simulated:
        card["simulated"] = True
    if entry.images:
        card["images"] = True
    return card


def alias_card(alias: Alias, table: RoutingTable) -> dict[str, Any]:
    """An alias in the same shape: what holds for each of its models."""
    models = [table.models[target.model] for target in alias.targets if target.model in table.models]
    cards = [model_card(model) for model in models]
    lengths = [card["context_length"] for card in cards if card["context_length"] is not None]
    length = min(lengths, default=None)
    status = table.status_of(alias).value
    total = sum(target.weight for target in alias.targets)
    shares = ", ".join(f"{target.weight / total:.0%} {target.model}" for target in alias.targets)
    card: dict[str, Any] = {
        "id": alias.name,
        "object": "model",
        "created": int(alias.created_at),
        "owned_by": "roundhouse",
        "root": alias.name,
        "parent": None,
        "max_model_len": length,
        "context_length": length,
        "status": status,
        "detail": next((card["detail"] for card in cards if card["status"] == status), ""),
        "description": f"alias: {shares}",
    }
    if any("simulated" in each for each in cards):
        card["simulated"] = True
    if cards and all("images" in each for each in cards):
        card["images"] = True
    return card


class PublicApp:
    """The handlers of the public port's slow paths."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._ui = WebUI(core.settings.ui_dir)
        self._orchestrator = OrchestratorProxy(core.settings.orchestrator_url)

    def starlette(self) -> Starlette:
        """The ASGI application."""
        return Starlette(
            routes=[
                Route("/health", self.health, methods=["GET"]),
                Route("/v1/models", self.list_models, methods=["GET"]),
                Route("/v1/models/{model:path}", self.show_model, methods=["GET"]),
                Route("/api/{rest:path}", self._orchestrator.carry, methods=_ANY_METHOD),
                Route("/{path:path}", self.anything_else, methods=_ANY_METHOD),
            ],
            lifespan=self._lifespan,
        )

    @asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        yield
        await self._orchestrator.close()

    async def health(self, _request: Request) -> Response:
        """200 while the process is alive; says nothing of models."""
        return JSONResponse({"status": "ok"})

    async def list_models(self, request: Request) -> Response:
        """GET /v1/models."""
        if (refusal := self._refusal(request)) is not None:
            return refused(refusal)
        table = self._core.table
        cards = [model_card(model) for model in table.models.values()]
        cards += [alias_card(alias, table) for name, alias in table.aliases.items() if name not in table.models]
        return JSONResponse({"object": "list", "data": sorted(cards, key=lambda card: str(card["id"]))})

    async def show_model(self, request: Request) -> Response:
        """GET /v1/models/{id}; an id may contain slashes."""
        if (refusal := self._refusal(request)) is not None:
            return refused(refusal)
        name, table = request.path_params["model"], self._core.table
        if name in table.models:
            return JSONResponse(model_card(table.models[name]))
        if name in table.aliases:
            return JSONResponse(alias_card(table.aliases[name], table))
        return refused(model_not_found(name))

    async def anything_else(self, request: Request) -> Response:
        """Known paths with the wrong method, unknown ones, and the web UI."""
        path = request.url.path
        if path.encode() in ROUTES:
            return refused(method_not_allowed(request.method, path, "POST"))
        if path == "/health" or path.startswith("/v1/models"):
            return refused(method_not_allowed(request.method, path, "GET"))
        if path.startswith(("/v1/", "/v2/")) or path in ("/v1", "/v2", "/api"):
            return refused(path_not_found(path))
        if request.method not in ("GET", "HEAD"):
            return refused(method_not_allowed(request.method, path, "GET"))
        return await self._ui.page(request)

    def _refusal(self, request: Request) -> Refusal | None:
        headers: dict[bytes, bytes] = {}
        for name, value in request.headers.raw:
            headers.setdefault(name, value)
        outcome = self._core.authenticate(headers, unsafe=False)
        return outcome if isinstance(outcome, Refusal) else None


def create_app(core: Core) -> Starlette:
    """The public port's application for everything that `RouterProtocol` does not carry."""
    return PublicApp(core).starlette()


def create_ops_app(core: Core) -> Starlette:
    """The ops port: `/metrics` for Prometheus, `/ready` for whoever decides whether traffic may come."""

    async def metrics(request: Request) -> Response:
        # Only OpenMetrics has room for the exemplars.
        encode, kind = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(core.telemetry.registry), headers={"content-type": kind})

    async def ready(_request: Request) -> Response:
        loaded = core.table.loaded.is_set()
        state = {"ready": loaded, "store_connected": core.telemetry.store_connected}
        return JSONResponse(state, 200 if loaded else 503)

    return Starlette(routes=[Route("/metrics", metrics), Route("/ready", ready)])
