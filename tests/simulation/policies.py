"""How another policy is put in the production one's place: behind the same filter, in front of the same queue."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from random import Random

from router import dispatcher, policy
from router.features import RequestFeatures
from router.policy import RouteDecision
from router.replica_view import ReplicaView
from router.types import PolicyName

Choose = Callable[[RequestFeatures, Sequence[ReplicaView], Random], RouteDecision]


@contextmanager
def in_place_of_prefix_aware(choose: Choose) -> Iterator[None]:
    """While this lasts, deployments routed by prefix are routed by `choose`, short prompts too."""
    own, short_way = policy._POLICIES[PolicyName.PREFIX_AWARE], dispatcher.soonest
    policy._POLICIES[PolicyName.PREFIX_AWARE] = choose
    dispatcher.soonest = _ask_choose
    try:
        yield
    finally:
        policy._POLICIES[PolicyName.PREFIX_AWARE] = own
        dispatcher.soonest = short_way


def _ask_choose(*_: object) -> None:
    """The short way's answer for what is not its business."""
