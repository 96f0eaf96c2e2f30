"""What is wrong now, and what mends it."""

from fastapi import APIRouter

from orchestrator.api.context import Admin, ContextDep
from orchestrator.api.problem_schemas import ProblemView
from orchestrator.views import problem_view

router = APIRouter(tags=["problems"], dependencies=[Admin])


@router.get("/problems")
async def list_problems(context: ContextDep) -> list[ProblemView]:
    """The worst first; at most a few seconds old."""
    return [problem_view(each) for each in context.watch.problems]


@router.post("/deployments/{name}/retry", status_code=204)
async def retry_deployment(name: str, context: ContextDep) -> None:
    """Forget why its replicas failed and start them again, as after the cause was mended."""
    async with context.deployments.changing:
        await context.deployments.get(name)
        await context.deployments.renew(name)
    context.loop.wake()
