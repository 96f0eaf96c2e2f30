"""The simulated engine in virtual time does what the simulated engine does, and what is foreseen of it comes true."""

from collections.abc import Sequence
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from replicas.simulation import SimulatedRequest
from replicas.types import SimulationSettings
from tests.simulation.clock import VirtualClock
from tests.simulation.engine_sim import EngineProcess, QueuedWork
from tests.simulation.foresight import Foresight

Script = Sequence[tuple[float, SimulatedRequest]]
"""When which request is submitted."""


@st.composite
def scripts(draw: st.DrawFn) -> Script:
    """Some requests of which some share the beginning of their prompts."""
    rng = Random(draw(st.integers(0, 10**6)))
    count = draw(st.integers(1, 25))
    at = 0.0
    script = []
    for index in range(count):
        at += rng.expovariate(draw(st.sampled_from([2.0, 20.0])))
        prompt, output = rng.randint(1, 300), rng.randint(1, 60)
        group = rng.randrange(3)
        shared = rng.randint(0, prompt // 16)
        own = (prompt + output) // 16 - shared
        hashes = tuple((group, n).__hash__() for n in range(shared)) + tuple(
            (index, n, 7).__hash__() for n in range(own)
        )
        script.append(
            (at, SimulatedRequest(id=str(index), prompt_tokens=prompt, output_tokens=output, block_hashes=hashes))
        )
    return script


def played(script: Script, engine_settings: SimulationSettings, *, jumping: bool) -> list[tuple[str, int, float, int]]:
    """First and last tokens: request, index, time, cached tokens."""
    clock = VirtualClock()
    engine = EngineProcess(engine_settings, clock)
    if not jumping:
        engine.core.steps_alike = lambda plan: 1  # type: ignore[method-assign]
    told: list[tuple[str, int, float, int]] = []
    ended = 0

    def observe(request_id: str, index: int, cached: int, *, last: bool) -> None:
        nonlocal ended
        told.append((request_id, index, round(clock.now(), 6), cached))
        ended += last

    for at, request in script:
        clock.at(
            at,
            lambda request=request: engine.submit(  # type: ignore[misc]
                request,
                lambda token: observe(token.request_id, token.index, token.cached_prompt_tokens, last=token.last),
            ),
        )
    clock.run(until=lambda: ended == len(script))
    assert ended == len(script)
    assert engine.core.cache.held == 0
    return sorted(told)


@given(scripts(), st.sampled_from([480, 1200, 20_000]), st.sampled_from([2, 8, 64]))
@settings(deadline=None, max_examples=60)
def test_jumps_end_where_single_steps_end(script: Script, capacity: int, most: int) -> None:
    engine_settings = SimulationSettings(kv_capacity_tokens=capacity, max_running=most, prefill_tokens_per_s=3000.0)
    assert played(script, engine_settings, jumping=True) == played(script, engine_settings, jumping=False)


@given(scripts())
@settings(deadline=None, max_examples=60)
def test_foresight_comes_true_when_nobody_else_comes(script: Script) -> None:
    engine_settings = SimulationSettings(max_running=8, prefill_tokens_per_s=3000.0)
    lone = [
        (at, SimulatedRequest(id=r.id, prompt_tokens=r.prompt_tokens, output_tokens=r.output_tokens))
        for at, r in script
    ]
    clock = VirtualClock()
    engine = EngineProcess(engine_settings, clock)
    ended: dict[str, float] = {}
    foreseen: dict[str, float] = {}

    def look_ahead() -> None:
        foresight = Foresight(
            engine_settings,
            engine.remaining(),
            at=clock.now() + engine.until_boundary_s(),
            free_tokens=engine.core.cache.free * engine_settings.block_tokens,
        )
        foreseen.update({name: times.ended_at for name, times in foresight.play().items()})

    for at, request in lone:
        clock.at(
            at,
            lambda request=request: engine.submit(  # type: ignore[misc]
                request, lambda token: ended.update({token.request_id: clock.now()} if token.last else {})
            ),
        )
    clock.at(lone[-1][0] + 0.001, look_ahead)
    clock.run(until=lambda: len(ended) == len(lone))
    for name, at in foreseen.items():
        assert abs(ended[name] - at) < 1e-6


def test_foresight_reads_prompts_in_chunks_and_in_order() -> None:
    engine_settings = SimulationSettings(prefill_tokens_per_s=1000.0, inter_token_s=0.1, inter_token_per_running_s=0.0)
    work = [QueuedWork("a", 3000, 1, 3001), QueuedWork("b", 1000, 3, 1003)]
    times = Foresight(engine_settings, work, at=0.0, free_tokens=10_000).play()
    assert times["a"].first_at == times["a"].ended_at == 4.0  # the second chunk holds a's rest and all of b
    assert times["b"].first_at == 4.0
    assert abs(times["b"].ended_at - 4.2) < 1e-9
