"""What must hold of the replica's pure parts for every input."""

from hypothesis import given, settings
from hypothesis import strategies as st

from replicas.lifecycle import CanaryAction, CanaryMemory, Event, Phase, canary_answered, drain_done, look, step
from replicas.simulated_cache import KvCache
from replicas.simulated_text import detokenize, make_answer, tokenize
from replicas.simulation import SimulatedCore, SimulatedRequest
from replicas.types import SimulationSettings

BLOCK = 4
requests = st.lists(
    st.tuples(st.integers(1, 40), st.integers(1, 20), st.integers(0, 3)),  # prompt, output, family of prefixes
    min_size=1,
    max_size=12,
)
machines = st.builds(
    SimulationSettings,
    kv_capacity_tokens=st.integers(60, 200),
    block_tokens=st.just(BLOCK),
    max_running=st.integers(1, 8),
    prefill_tokens_per_s=st.sampled_from([100.0, 8000.0]),
)


def _submit(core: SimulatedCore, number: int, prompt: int, output: int, family: int) -> None:
    hashes = tuple(family * 1000 + block for block in range((prompt + output) // BLOCK))
    core.submit(SimulatedRequest(id=str(number), prompt_tokens=prompt, output_tokens=output, block_hashes=hashes))


def _run(machine: SimulationSettings, shapes: list[tuple[int, int, int]]) -> tuple[float, list[tuple[str, int]]]:
    core, now, made = SimulatedCore(machine), 0.0, list[tuple[str, int]]()
    for number, shape in enumerate(shapes):
        _submit(core, number, *shape)
    while (plan := core.begin_step()) is not None:
        assert plan.duration_s > 0
        assert core.load().running <= machine.max_running
        assert 0 <= core.load().kv_usage <= 1
        now += plan.duration_s
        made += [(token.request_id, token.index) for token in core.end_step()]
    assert core.load().running == core.load().waiting == 0
    assert core.cache.held == 0
    assert core.load().generation_tokens_total == sum(output for _, output, _ in shapes)
    assert core.load().prompt_tokens_total == sum(prompt for prompt, _, _ in shapes)
    return now, made


@given(machines, requests)
def test_every_token_is_made_once_and_in_order(machine: SimulationSettings, shapes: list[tuple[int, int, int]]) -> None:
    _, made = _run(machine, shapes)
    for number, (_, output, _) in enumerate(shapes):
        assert [index for request_id, index in made if request_id == str(number)] == list(range(output))


@given(machines, requests)
def test_the_simulation_is_deterministic(machine: SimulationSettings, shapes: list[tuple[int, int, int]]) -> None:
    assert _run(machine, shapes) == _run(machine, shapes)


@given(machines, requests, st.data())
def test_cancelling_at_any_time_frees_everything(
    machine: SimulationSettings, shapes: list[tuple[int, int, int]], data: st.DataObject
) -> None:
    core = SimulatedCore(machine)
    for number, shape in enumerate(shapes):
        _submit(core, number, *shape)
    for _ in range(data.draw(st.integers(0, 30))):
        if core.begin_step() is None:
            break
        if data.draw(st.booleans()):
            core.cancel(str(data.draw(st.integers(0, len(shapes) - 1))))
        core.end_step()
    for number in range(len(shapes)):
        core.cancel(str(number))
    assert core.begin_step() is None
    assert core.cache.held == 0


@given(st.integers(1, 12), st.lists(st.tuples(st.booleans(), st.integers(0, 2), st.integers(1, 8)), max_size=40))
def test_cache_blocks_are_conserved(capacity: int, moves: list[tuple[bool, int, int]]) -> None:
    cache, held = KvCache(capacity), list[list[int]]()
    for acquire, family, blocks in moves:
        hashes = tuple(family * 100 + block for block in range(blocks))
        if acquire:
            fits = cache.fits(hashes, blocks)
            got = cache.acquire(hashes, blocks)
            assert fits is (got is not None)
            if got is not None:
                held.append(got[0])
                for block, digest in zip(got[0], hashes, strict=True):
                    cache.remember(block, digest)
        elif held:
            cache.release(held.pop(family % len(held)))
        assert cache.held == len({block for blocks_held in held for block in blocks_held})
        assert cache.held + cache.free == capacity


@given(st.text())
def test_tokens_turn_back_into_their_text(text: str) -> None:
    clean = text.encode("utf-8", "replace").decode("utf-8")
    assert detokenize(tokenize(text)) == clean
    assert all(token < 2**53 for token in tokenize(text))


@given(st.text(max_size=50), st.integers(1, 200), st.lists(st.text(max_size=4), max_size=3), st.booleans())
def test_an_answer_keeps_its_bounds(question: str, most: int, stop: list[str], ignore_eos: bool) -> None:
    answer = make_answer(question, most, stop, ignore_eos)
    assert 1 <= len(answer.texts) <= most
    assert len(answer.texts) == max(1, len(answer.tokens))
    assert not any(word and word in "".join(answer.texts) for word in stop)


_BACK = {
    (Phase.CORDONED, Phase.READY, Event.SWAP_ENDED),
    (Phase.WAKING, Phase.READY, Event.WOKE),
    (Phase.WAKING, Phase.ASLEEP, Event.WAKE_REFUSED),
}


@given(st.lists(st.sampled_from(Event)))
def test_a_replica_never_comes_back(events: list[Event]) -> None:
    order = list(Phase)
    phase = Phase.STARTING
    for event in events:
        after = step(phase, event)
        assert (phase, after, event) in _BACK or order.index(after) >= order.index(phase)
        phase = after


@given(st.integers(0, 10), st.floats(0, 100), st.floats(0, 100))
def test_a_drain_always_ends_by_its_deadline(in_flight: int, now: float, deadline: float) -> None:
    assert drain_done(in_flight, now, deadline) == (in_flight == 0 or now >= deadline)


@settings(max_examples=200)
@given(st.lists(st.tuples(st.floats(0.1, 40), st.booleans(), st.booleans()), max_size=30))
def test_an_engine_that_generates_is_never_condemned(looks: list[tuple[float, bool, bool]]) -> None:
    memory, now, tokens, silent_since = CanaryMemory(alive_at=0.0), 0.0, 0, 0.0
    for wait_s, generates, answers in looks:
        now += wait_s
        if generates:
            tokens, silent_since = tokens + 1, now
        action, memory = look(memory, tokens_total=tokens, now=now, interval_s=30.0, timeout_s=60.0)
        if action is CanaryAction.CONDEMN:
            assert now - silent_since > 60.0
            return
        if answers and memory.asked_at is not None:
            memory, silent_since = canary_answered(memory, now), now
