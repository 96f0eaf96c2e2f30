"""The fleets of the study, and what traffic for one model on one of them is made of."""

from collections.abc import Callable, Sequence
from random import Random

from replicas.types import SimulationSettings
from tests.simulation.scaling.demand import Case, Fleet, Request, Traffic

CARD = SimulationSettings(prefill_tokens_per_s=8000, inter_token_s=0.02, inter_token_per_running_s=0.0005)
LARGE = SimulationSettings(
    prefill_tokens_per_s=2500,
    inter_token_s=0.03,
    inter_token_per_running_s=0.0008,
    kv_capacity_tokens=98304,
    max_running=96,
)
FLEETS = {
    "cards": Fleet(name="cards", engine=CARD, cold_start_s=40.0, gpus=8),
    "large": Fleet(name="large", engine=LARGE, cold_start_s=120.0, gpus=6),
}
CARRIES = {"cards": 3.0, "large": 1.3}
"""Requests per second of the Azure trace that one full replica carries, about."""

Builder = Callable[[str, float, Random], Case]
"""(name of the fleet, seconds, randomness) -> case."""


def one_model(
    name: str, fleet: str, requests: Sequence[Request], duration_s: float, at_first: int, low: int = 1
) -> Case:
    """A case of one model, with `at_first` replicas at the beginning and never fewer than `low`."""
    settings = FLEETS[fleet]
    traffic = Traffic(requests=requests, min_replicas=low, max_replicas=settings.gpus, at_first=at_first)
    return Case(name=name, fleet=settings, traffic=(traffic,), duration_s=duration_s, stationary=name == "steady")
