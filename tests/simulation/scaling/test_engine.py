"""The flow against the engine that plans every step."""

from random import Random
from statistics import mean

import pytest

from replicas.simulation import SimulatedRequest, TokenMade
from tests.simulation.clock import VirtualClock
from tests.simulation.engine_sim import EngineProcess
from tests.simulation.scaling.demand import Request
from tests.simulation.scaling.engine import EngineRequest, FlowEngine
from tests.simulation.scaling.fleets import CARD
from tests.simulation.scaling.traffic import poisson, steady

Times = list[tuple[float, float]]
"""(to the first token, to the last), in seconds."""


def by_flow(requests: list[Request]) -> Times:
    clock = VirtualClock()
    engine = FlowEngine(CARD, clock)
    times = [[0.0, 0.0] for _ in requests]

    def come(number: int, request: Request) -> None:
        def told(which: int) -> None:
            times[number][which] = clock.now() - request.at

        engine.submit(
            EngineRequest(request.prompt_tokens, request.output_tokens, lambda: told(0), lambda: told(1))
        )  # fmt: skip

    for number, request in enumerate(requests):
        clock.at(request.at, lambda number=number, request=request: come(number, request))  # type: ignore[misc]
    clock.run(until=lambda: False)
    return [(first, last) for first, last in times]


def by_steps(requests: list[Request]) -> Times:
    clock = VirtualClock()
    engine = EngineProcess(CARD, clock)
    times = [[0.0, 0.0] for _ in requests]

    def come(number: int, request: Request) -> None:
        def told(token: TokenMade) -> None:
            if not token.index:
                times[number][0] = clock.now() - request.at
            if token.last:
                times[number][1] = clock.now() - request.at

        asked = SimulatedRequest(
            id=str(number), prompt_tokens=request.prompt_tokens, output_tokens=request.output_tokens
        )
        engine.submit(asked, told)

    for number, request in enumerate(requests):
        clock.at(request.at, lambda number=number, request=request: come(number, request))  # type: ignore[misc]
    clock.run(until=lambda: False)
    return [(first, last) for first, last in times]


@pytest.mark.parametrize("rate", [0.7, 2.2])
def test_flow_takes_as_long_as_steps(rate: float) -> None:
    requests = list(poisson(steady(rate), rate, 240.0, Random("flow")))
    flow, steps = by_flow(requests), by_steps(requests)
    assert mean(first for first, _ in flow) == pytest.approx(mean(first for first, _ in steps), rel=0.2)
    assert mean(last for _, last in flow) == pytest.approx(mean(last for _, last in steps), rel=0.1)
