"""Searches a model hub, within a time that a person waits."""

import asyncio

import msgspec

from orchestrator.errors import SourceUnavailableError
from orchestrator.library.asking import ask, hub_name
from orchestrator.library.hub import REFUSED
from orchestrator.library.hub_models import MOST, HubModel
from orchestrator.library.sources import SourceKind
from orchestrator.sentences import Saying, Sentence, quoted, say

WITHIN_S = 10.0


async def search(hub: SourceKind, words: str, within_s: float = WITHIN_S) -> tuple[HubModel, ...]:
    """Models that can be served here as far as the hub tells, in its own order. Raises SourceUnavailableError."""
    try:
        async with asyncio.timeout(within_s):
            answer = await ask(hub, words, "search", str(MOST))
    except TimeoutError:
        raise SourceUnavailableError(_unreached(hub, f"no answer within {within_s:g} s")) from None
    if answer.status == REFUSED:
        said = quoted(answer.why)
        raise SourceUnavailableError(say(Saying.SEARCH_REFUSED, hub=hub_name(hub), said=said))
    if answer.status != 0:
        raise SourceUnavailableError(_unreached(hub, answer.why))
    return msgspec.json.decode(answer.output.strip().splitlines()[-1], type=tuple[HubModel, ...])


def _unreached(hub: SourceKind, said: str) -> Sentence:
    mirror = "HF_ENDPOINT" if hub is SourceKind.HUGGING_FACE else "MODELSCOPE_ENDPOINT"
    return say(Saying.HUB_UNREACHED, hub=hub_name(hub), said=quoted(said), variable=mirror)
