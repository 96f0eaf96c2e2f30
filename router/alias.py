"""Which model a request to an alias goes to. PURE.

By weight, and the same one for the same session: weighted rendezvous hashing (Schindelhauer and Schomaker 2005, the
logarithmic method). A change of weights moves only the sessions that it must, and every router finds the same model.
"""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from math import log

from router.types import Alias, AliasTarget, ModelStatus

_TAKES_REQUESTS = frozenset({ModelStatus.READY, ModelStatus.SWAPPING, ModelStatus.ASLEEP})
"""Asleep, too: it is a request that wakes a model."""
_WILL = frozenset({ModelStatus.STARTING})
_BEST_FIRST = (
    ModelStatus.READY,
    ModelStatus.SWAPPING,
    ModelStatus.ASLEEP,
    ModelStatus.STARTING,
    ModelStatus.STOPPED,
    ModelStatus.FAILED,
)


def target_of(alias: Alias, statuses: Mapping[str, ModelStatus], session: bytes, draw: float) -> str | None:
    """The model for one request; None if none of the targets is in `statuses`, which are those of all models.

    Targets that cannot serve lose their share to the others: those that start as long as one serves, those that failed
    or are stopped as long as one starts. `draw`: 0 to 1, at random; it decides where there is no session.
    """
    known = [target for target in alias.targets if target.model in statuses]
    for wanted in (_TAKES_REQUESTS, _WILL):
        able = [target for target in known if statuses[target.model] in wanted]
        if able:
            return _pick(able, session, draw)
    return _pick(known, session, draw) if known else None


def best_status(statuses: Sequence[ModelStatus]) -> ModelStatus:
    """What an alias is, whose targets are these; failed if there are none."""
    return min(statuses, key=_BEST_FIRST.index, default=ModelStatus.FAILED)


def uniform(session: bytes, name: str) -> float:
    """A number between 0 and 1, both excluded: always the same for the two, as if drawn at random for each pair."""
    digest = blake2b(name.encode() + b"\0" + session, digest_size=6).digest()
    return (int.from_bytes(digest) + 0.5) / 2**48


def _pick(targets: Sequence[AliasTarget], session: bytes, draw: float) -> str:
    if session:
        return max(targets, key=lambda target: -target.weight / log(uniform(session, target.model))).model
    at = draw * sum(target.weight for target in targets)
    for target in targets:
        at -= target.weight
        if at < 0:
            return target.model
    return targets[-1].model
