import pytest

from replicas.simulated_text import block_hashes, make_answer, tokenize
from replicas.simulation import SimulatedCore, SimulatedRequest
from replicas.types import SimulationSettings

SETTINGS = SimulationSettings(
    prefill_tokens_per_s=1000.0, inter_token_s=0.01, inter_token_per_running_s=0.001, kv_capacity_tokens=1024
)


def _request(name: str, prompt: int, output: int, hashes: tuple[int, ...] = ()) -> SimulatedRequest:
    return SimulatedRequest(id=name, prompt_tokens=prompt, output_tokens=output, block_hashes=hashes)


def _run(core: SimulatedCore) -> tuple[float, dict[str, list[float]]]:
    """Run until idle. Returns the time it took, and when each token was made."""
    now, times = 0.0, dict[str, list[float]]()
    while (step := core.begin_step()) is not None:
        now += step.duration_s
        for made in core.end_step():
            times.setdefault(made.request_id, []).append(now)
    return now, times


def test_one_request_takes_prefill_then_one_interval_a_token() -> None:
    core = SimulatedCore(SETTINGS)
    core.submit(_request("a", 100, 3))
    assert _run(core)[1] == {"a": pytest.approx([0.1, 0.11, 0.12])}


def test_a_batch_slows_every_token_a_little() -> None:
    core = SimulatedCore(SETTINGS)
    for name in "abc":
        core.submit(_request(name, 10, 2))
    _, times = _run(core)
    assert times["a"] == pytest.approx([0.03, 0.03 + 0.012])


def test_a_known_prefix_is_not_read_again() -> None:
    core = SimulatedCore(SETTINGS)
    hashes = tuple(range(10))
    core.submit(_request("a", 160, 1, hashes))
    assert _run(core)[0] == pytest.approx(0.16)
    core.submit(_request("b", 160, 1, hashes))
    assert _run(core)[0] == pytest.approx(0.016)  # all but the block of the last token


def test_the_oldest_prefix_is_forgotten_first() -> None:
    core = SimulatedCore(SETTINGS)  # 64 blocks
    for start in (0, 100, 200):
        core.submit(_request(str(start), 480, 1, tuple(range(start, start + 30))))
        _run(core)
    assert core.cache.match(tuple(range(30))) < 30
    assert core.cache.match(tuple(range(200, 230))) == 30


def test_a_full_cache_makes_the_youngest_start_again_and_nothing_is_lost() -> None:
    core = SimulatedCore(SimulationSettings(kv_capacity_tokens=64, block_tokens=16))
    core.submit(_request("old", 30, 30))
    core.submit(_request("young", 30, 30))
    _, times = _run(core)
    assert [len(times[name]) for name in ("old", "young")] == [30, 30]
    assert times["old"][-1] < times["young"][-1]
    assert core.load().prompt_tokens_total == 60


def test_a_cancelled_request_gives_its_cache_back() -> None:
    core = SimulatedCore(SETTINGS)
    core.submit(_request("a", 100, 50))
    core.submit(_request("b", 100, 50))
    core.begin_step()
    core.cancel("a")
    assert {made.request_id for made in core.end_step()} == {"b"}
    core.cancel("b")
    assert core.begin_step() is None
    assert core.load().kv_usage == 0


@pytest.mark.parametrize(("prompt", "output"), [(0, 1), (1, 0), (1000, 25)])
def test_what_can_never_be_served_is_refused(prompt: int, output: int) -> None:
    with pytest.raises(ValueError, match="request"):
        SimulatedCore(SETTINGS).submit(_request("a", prompt, output))


def test_the_same_question_has_the_same_answer_marked_as_simulated() -> None:
    answer = make_answer("What is 2+2?", 1000)
    assert answer == make_answer("What is 2+2?", 1000)
    assert "".join(answer.texts).startswith("[simulated] You asked: What is 2+2?")
    assert answer.finish_reason == "stop"


def test_an_answer_ends_at_its_length_or_its_stop() -> None:
    assert make_answer("hello", 3).finish_reason == "length"
    assert len(make_answer("hello", 3).texts) == 3
    stopped = make_answer("hello", 1000, stop=("nope", "hello"))
    assert "".join(stopped.texts) == "[simulated] You asked: "
    assert (stopped.finish_reason, stopped.stop) == ("stop", "hello")
    assert make_answer("hello", 1000, stop=("[",)).texts == ("",)
    forced = make_answer("hello", 500, ignore_eos=True)
    assert (len(forced.texts), forced.finish_reason) == (500, "length")


def test_block_hashes_depend_on_everything_before() -> None:
    first, second = tokenize("abcdef " * 40), tokenize("Xbcdef " + "abcdef " * 39)
    assert len(block_hashes(first, 16)) == len(first) // 16
    assert not set(block_hashes(first, 16)) & set(block_hashes(second, 16))
    assert block_hashes(first[:32], 16) == block_hashes(first, 16)[:2]
