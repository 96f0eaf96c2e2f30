"""Sums over what an engine reports. PURE."""

from collections.abc import Iterable

from msgspec import Struct

from replicas.types import EngineLoad


class StepReport(Struct, frozen=True, kw_only=True):
    """What an engine reports after one step. Token counts are of that step; the rest is the state after it."""

    running: int | None = None
    """None where the report carries no state, only tokens."""
    waiting: int = 0
    kv_usage: float = 0.0
    prompt_tokens: int = 0
    generation_tokens: int = 0


def add(load: EngineLoad, report: StepReport) -> EngineLoad:
    """`load` after a step. Totals never fall."""
    state_known = report.running is not None
    return EngineLoad(
        running=report.running if report.running is not None else load.running,
        waiting=report.waiting if state_known else load.waiting,
        kv_usage=min(max(report.kv_usage, 0.0), 1.0) if state_known else load.kv_usage,
        prompt_tokens_total=load.prompt_tokens_total + max(report.prompt_tokens, 0),
        generation_tokens_total=load.generation_tokens_total + max(report.generation_tokens, 0),
    )


def combine(loads: Iterable[EngineLoad]) -> EngineLoad:
    """One load for several engine cores that serve as one (data parallel): sums, and the mean of the usage."""
    parts = tuple(loads)
    if not parts:
        return EngineLoad()
    return EngineLoad(
        running=sum(part.running for part in parts),
        waiting=sum(part.waiting for part in parts),
        kv_usage=sum(part.kv_usage for part in parts) / len(parts),
        prompt_tokens_total=sum(part.prompt_tokens_total for part in parts),
        generation_tokens_total=sum(part.generation_tokens_total for part in parts),
    )


def settle(load: EngineLoad, unfinished: int) -> EngineLoad:
    """Correct a report that an idle engine never sent.

    An engine reports after a step. When the last requests are aborted there is no further step, so the last
    report would stand for ever; the count of `unfinished` requests is always current.
    """
    running = min(load.running, unfinished)
    return EngineLoad(
        running=running,
        waiting=unfinished - running,
        kv_usage=load.kv_usage if unfinished else 0.0,
        prompt_tokens_total=load.prompt_tokens_total,
        generation_tokens_total=load.generation_tokens_total,
    )
