"""The cases of the study: traffic of several kinds for each fleet."""

from random import Random

from msgspec.structs import replace

from tests.simulation.scaling.demand import Case, Traffic
from tests.simulation.scaling.fleets import CARRIES, FLEETS, Builder, one_model
from tests.simulation.scaling.others import OTHERS
from tests.simulation.scaling.traffic import bursts, crowd, poisson, ramp, recorded, steady, steps, waves


def _azure(share: float) -> Builder:
    def build(fleet: str, duration_s: float, rng: Random) -> Case:
        rate = CARRIES[fleet] * share
        return one_model(f"azure x{share:g}", fleet, recorded(rate, duration_s, rng), duration_s, round(share + 0.6))

    return build


def _steady(fleet: str, duration_s: float, rng: Random) -> Case:
    rate = CARRIES[fleet] * 2.4
    return one_model("steady", fleet, poisson(steady(rate), rate, duration_s, rng), duration_s, 3)


def _steps(fleet: str, duration_s: float, rng: Random) -> Case:
    unit = CARRIES[fleet]
    levels = [0.6 * unit, 3.0 * unit, 1.2 * unit, 4.2 * unit, 0.6 * unit]
    requests = poisson(steps(levels, duration_s / 5), max(levels), duration_s, rng)
    return one_model("steps", fleet, requests, duration_s, 1)


def _ramp(fleet: str, duration_s: float, rng: Random) -> Case:
    unit = CARRIES[fleet]
    rate = ramp(0.4 * unit, 4 * unit, duration_s)
    return one_model("ramp", fleet, poisson(rate, 4 * unit, duration_s, rng), duration_s, 1)


def _waves(fleet: str, duration_s: float, rng: Random) -> Case:
    unit = CARRIES[fleet]
    rate = waves(0.3 * unit, 3.6 * unit, duration_s / 2)
    return one_model("waves", fleet, poisson(rate, 3.6 * unit, duration_s, rng), duration_s, 1)


def _bursts(fleet: str, duration_s: float, rng: Random) -> Case:
    unit = CARRIES[fleet]
    rate = bursts(0.7 * unit, 3.2 * unit, duration_s / 6, 90.0, duration_s, rng)
    return one_model("bursts", fleet, poisson(rate, 3.2 * unit, duration_s, rng), duration_s, 1)


def _idle(fleet: str, duration_s: float, rng: Random) -> Case:
    alone = crowd(1, 0.1 * duration_s, rng)
    more = crowd(40, 0.5 * duration_s, rng, 2.0)
    return one_model("idle, then 1, then 40", fleet, [*alone, *more], duration_s, 0, low=0)


def _antiphase(fleet: str, duration_s: float, rng: Random) -> Case:
    unit, settings = CARRIES[fleet], FLEETS[fleet]
    traffic = []
    for model, phase in (("a", 0.0), ("b", 0.5)):
        rate = waves(0.0, 2.6 * unit, duration_s / 2, phase)
        requests = poisson(rate, 2.6 * unit, duration_s, rng)
        at_first = 2 if phase else 0
        traffic.append(Traffic(model=model, requests=requests, min_replicas=0, max_replicas=4, at_first=at_first))
    return Case(
        name="antiphase on 4 GPUs",
        fleet=replace(settings, gpus=4),
        traffic=tuple(traffic),
        duration_s=duration_s,
    )


BUILDERS: dict[str, Builder] = {
    "azure x0.7": _azure(0.7),
    "azure x1.6": _azure(1.6),
    "steady": _steady,
    "steps": _steps,
    "ramp": _ramp,
    "waves": _waves,
    "bursts": _bursts,
    "idle": _idle,
    "antiphase": _antiphase,
}


def build(kind: str, fleet: str, duration_s: float, seed: int) -> Case:
    """The case of that kind for a fleet, from a seed."""
    return (BUILDERS | OTHERS)[kind](fleet, duration_s, Random(f"{kind} {fleet} {seed}"))
