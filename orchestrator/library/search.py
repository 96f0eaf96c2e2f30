"""Searches a model hub, within a time that a person waits."""

import asyncio

import msgspec

from orchestrator.errors import SourceUnavailableError
from orchestrator.library.asking import ask, hub_name
from orchestrator.library.hub import REFUSED
from orchestrator.library.hub_models import MOST, HubModel
from orchestrator.library.sources import SourceKind

WITHIN_S = 10.0


async def search(hub: SourceKind, words: str, within_s: float = WITHIN_S) -> tuple[HubModel, ...]:
    """Models that can be served here as far as the hub tells, in its own order. Raises SourceUnavailableError."""
    try:
        async with asyncio.timeout(within_s):
            answer = await ask(hub, words, "search", str(MOST))
    except TimeoutError:
        raise SourceUnavailableError(_unreached(hub, f"no answer within {within_s:g} s")) from None
    if answer.status == REFUSED:
        raise SourceUnavailableError(
            f"{hub_name(hub)} refuses the search: {answer.why} Try again in a moment, or check the token in the "
            "orchestrator's environment."
        )
    if answer.status != 0:
        raise SourceUnavailableError(_unreached(hub, answer.why))
    return msgspec.json.decode(answer.output.strip().splitlines()[-1], type=tuple[HubModel, ...])


def _unreached(hub: SourceKind, why: str) -> str:
    mirror = "HF_ENDPOINT" if hub is SourceKind.HUGGING_FACE else "MODELSCOPE_ENDPOINT"
    return (
        f"{hub_name(hub)} cannot be reached ({why}). The orchestrator's host needs the network, or a mirror in "
        f"{mirror}. Without either, upload the weights or import a folder."
    )
