"""What the loads are made of, and what is read from runs."""

from collections.abc import Sequence
from statistics import fmean

import pytest

from router.prefix_chain import chain_of
from router.prompt_text import answered
from tests.simulation.bounds import capacity_rate, reuse_bounds
from tests.simulation.cases import _CARD, CASES, load_of
from tests.simulation.loads import Load, arrival, block_hashes, text
from tests.simulation.metrics import estimate, imbalance, ratio
from tests.simulation.synthetic import bursts, chats
from tests.simulation.traces import SHRINK, azure, mooncake, mooncake_load


def shared_blocks(left: Sequence[object], right: Sequence[object]) -> int:
    """Length of the common beginning."""
    count = 0
    for a, b in zip(left, right, strict=False):
        if a != b:
            break
        count += 1
    return count


def test_traces_are_whole() -> None:
    assert len(azure()) == 19366
    assert len(mooncake()) == 12031
    blocks = [block for request in mooncake() for block in request.blocks]
    seen: set[int] = set()
    hits = 0
    for request in mooncake():
        for block in request.blocks:
            if block not in seen:
                break
            hits += 1
        seen.update(request.blocks)
    assert hits / len(blocks) == pytest.approx(0.366, abs=0.001)  # as published


def test_mooncake_prompts_share_text_as_far_as_they_share_blocks() -> None:
    arrivals = mooncake_load(shrink_answers=True)(10.0, 1, 400)
    assert fmean(each.prompt_tokens for each in arrivals) == pytest.approx(12035 / SHRINK, rel=0.4)
    load = Load(name="", arrivals=arrivals, fleet=[_CARD])
    # Half a trace block at the end of a shared prefix is reused here, which the trace's whole blocks do not count.
    assert reuse_bounds(load).infinite == pytest.approx(_reuse_of_blocks(400), abs=0.06)


def _reuse_of_blocks(count: int) -> float:
    from random import Random

    rng = Random("mooncake 1")
    first = rng.randrange(len(mooncake()) - count + 1)
    seen: set[int] = set()
    hits = total = 0
    for request in mooncake()[first : first + count]:
        leading = 0
        while leading < len(request.blocks) and request.blocks[leading] in seen:
            leading += 1
        hits += min(leading * 512, request.prompt_tokens)
        total += request.prompt_tokens
        seen.update(request.blocks)
    return hits / total


def test_router_and_engine_see_the_same_sharing() -> None:
    history = text("history", 500)
    left, right = history + text("left", 300), history + text("right", 300)
    chains = chain_of(left).hashes, chain_of(right).hashes
    blocks = block_hashes(left, b"", 1, 16), block_hashes(right, b"", 1, 16)
    assert shared_blocks(*blocks) == 500 // 16
    assert shared_blocks(*chains) > 0
    assert chains[0][-1] != chains[1][-1]


def test_next_turn_of_a_chat_begins_with_the_text_of_the_last() -> None:
    said = chats(turns=3)(5.0, 1, 200)
    by_session: dict[bytes, list[bytes]] = {}
    for each in said:
        before = by_session.setdefault(each.session, [])
        if before:
            assert each.prompt.startswith(before[-1])
        before.append(each.prompt + answered(each.opening, each.answer.decode()))
    assert max(map(len, by_session.values())) > 1


@pytest.mark.parametrize("name", sorted(CASES))
def test_load_comes_in_order_and_is_the_same_for_the_same_seed(name: str) -> None:
    first, again, other = (load_of(name, 0.8, seed, 150) for seed in (1, 1, 2))
    times = [each.at for each in first.arrivals]
    assert times == sorted(times)
    assert [(a.at, a.prompt, a.output_tokens) for a in first.arrivals] == [
        (a.at, a.prompt, a.output_tokens) for a in again.arrivals
    ]
    assert [a.at for a in other.arrivals] != times
    most = min(settings.kv_capacity_tokens for settings in first.fleet)
    assert all(a.prompt_tokens + a.output_tokens <= most for a in first.arrivals)
    assert CASES[name].reuse == (reuse_bounds(first).infinite > 0.01)


def test_bursts_keep_the_mean_rate() -> None:
    from itertools import takewhile
    from random import Random

    times = list(takewhile(lambda at: at < 2000, bursts(Random(1), 10.0)))
    assert len(times) / 2000 == pytest.approx(10.0, rel=0.05)


def test_pooled_bound_forgets_what_does_not_fit() -> None:
    prompts = [text("a", 64), text("b", 64), text("a", 64) + text("c", 16), text("b", 64) + text("d", 16)]
    arrivals = [arrival(float(at), prompt, b"", output_tokens=1) for at, prompt in enumerate(prompts)]
    large, small = (
        reuse_bounds(Load(name="", arrivals=arrivals, fleet=[_CARD.__class__(kv_capacity_tokens=tokens)]))
        for tokens in (1600, 64)
    )
    assert large.infinite == large.pooled == pytest.approx(128 / 288)
    assert small.infinite == pytest.approx(128 / 288)
    assert small.pooled == 0


def test_capacity_grows_with_the_fleet_and_with_reuse() -> None:
    arrivals = [arrival(float(at), text(str(at), 1000), b"", output_tokens=100) for at in range(10)]
    one, two = (Load(name="", arrivals=arrivals, fleet=[_CARD] * count) for count in (1, 2))
    assert capacity_rate(two, 0.0) == pytest.approx(2 * capacity_rate(one, 0.0))
    assert capacity_rate(one, 0.5) > 1.2 * capacity_rate(one, 0.0)


def test_interval_is_that_of_students_t() -> None:
    found = estimate([1.0, 2.0, 3.0, 4.0, 5.0])
    assert found.mean == 3
    assert found.half == pytest.approx(2.776 * 1.5811 / 5**0.5, rel=1e-3)
    assert ratio([2, 4], [1, 2]).half == 0


def test_imbalance_of_even_and_uneven_replicas() -> None:
    assert imbalance([(3, 3), (5, 5)]) == 0
    assert imbalance([(0, 2)]) == 1
