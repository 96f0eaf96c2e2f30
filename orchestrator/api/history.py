"""The last 24 hours, for charts."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from orchestrator.api.context import Admin, ContextDep
from orchestrator.api.history_schemas import HistoryView, ReplicaSeriesView, WindowName

router = APIRouter(prefix="/history", tags=["history"], dependencies=[Admin])
Window = Annotated[WindowName, Query(description="How far back; each time in 360 steps")]


@router.get("", response_model=HistoryView)
async def read_history(context: ContextDep, window: Window = "1h") -> Response:
    """Traffic, latency and devices, of all models together, of each model and of each host."""
    return Response(await context.charts.history(window), media_type="application/json")


@router.get("/replicas", response_model=list[ReplicaSeriesView])
async def read_replica_history(context: ContextDep, window: Window = "1h") -> Response:
    """Load and KV cache of each replica, at the times that `GET /history` gives for the same window."""
    return Response(await context.charts.replicas(window), media_type="application/json")
