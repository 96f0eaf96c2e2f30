"""The policies that stand beside the production one."""

import importlib.util
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replicas.types import SimulationSettings
from router.types import PolicyName
from tests.simulation.baselines import BASELINES, ORACLES, Oracle, RoundRobin
from tests.simulation.harness import World, run
from tests.simulation.loads import Arrival, Load, arrival, text
from tests.simulation.metrics import figures
from tests.simulation.ray_prefix import PrefixTree, RayPrefixAware

CARD = SimulationSettings()
OWNERS = ["a", "b", "c"]


def load_of(arrivals: list[Arrival], replicas: int = 3) -> Load:
    return Load(name="", arrivals=arrivals, fleet=[CARD] * replicas)


def lone(at: float, name: str, tokens: int = 200, output: int = 20) -> Arrival:
    return arrival(at, text(name, tokens), b"", output_tokens=output)


@pytest.mark.parametrize("name", sorted({**BASELINES, **ORACLES}))
def test_policy_answers_every_request(name: str) -> None:
    arrivals = [lone(index * 0.05, f"prompt {index % 7}", tokens=20 + index) for index in range(60)]
    found = run(load_of(arrivals), {**BASELINES, **ORACLES}[name], 1)
    assert all(outcome.ended_at > outcome.first_at > outcome.arrival.at for outcome in found.outcomes)
    assert len(found.outcomes) == 60


def test_round_robin_takes_turns() -> None:
    found = run(load_of([lone(index * 1.0, str(index)) for index in range(9)]), RoundRobin)
    assert [outcome.replica_id for outcome in found.outcomes] == [f"replica-{index % 3}" for index in range(9)]


def test_short_prompts_reach_the_policy_too() -> None:
    """The router has a short cut for them, which is the production policy's."""
    found = run(load_of([lone(index * 1.0, str(index), tokens=10) for index in range(6)]), RoundRobin)
    assert found.reasons == {"round_robin": 6}


def test_oracle_goes_where_the_prompt_is_cached() -> None:
    first = lone(0.0, "document", 3000)
    again = [lone(5.0 + index, "document", 3000) for index in range(3)]
    found = run(load_of([first, *again]), partial(Oracle, work_weight=1.0))
    assert len({outcome.replica_id for outcome in found.outcomes}) == 1
    assert figures(found).hit_rate > 0.7


def test_oracle_does_not_break_others_promises() -> None:
    """Three replicas write answers that reading a long prompt would hold up; the fourth has nothing to do."""
    shared = text("document", 6000)
    running = [arrival(0.1 * n, text(f"{n}", 10), b"", output_tokens=60) for n in range(3)]
    heavy = [arrival(0.6, shared, b"", output_tokens=1), arrival(0.61, text("other", 6000), b"", output_tokens=1)]
    load = Load(name="", arrivals=[*running, *heavy], fleet=[CARD] * 4, target_itl_s=0.03)
    found = run(load, partial(Oracle, work_weight=1.0))
    assert figures(found).goodput == figures(found).offered


def test_oracle_foresees_what_happens() -> None:
    arrivals = [lone(index * 0.3, str(index), 400 + 90 * index, 30) for index in range(12)]
    world = World(load_of(arrivals, 2), PolicyName.PREFIX_AWARE, 1, chooser=partial(Oracle, work_weight=0.0))
    found = world.run()
    oracle = world.chooser
    assert isinstance(oracle, Oracle)
    last = found.outcomes[-1]
    fate = oracle._fates[last.replica_id][str(len(arrivals) - 1)]
    assert last.ended_at == pytest.approx(fate.times.ended_at)


def test_oracle_knows_whose_turn_it_is_where_only_one_replica_has_room() -> None:
    """Then it is told of what was sent without having been asked."""
    arrivals = [lone(index * 0.1, str(index), 400, 30) for index in range(4)]
    world = World(load_of(arrivals, 1), PolicyName.PREFIX_AWARE, 1, chooser=partial(Oracle, work_weight=0.0))
    found = world.run()
    oracle = world.chooser
    assert isinstance(oracle, Oracle)
    fates = oracle._fates["replica-0"]
    assert [fates[str(number)].client.outcome for number in range(4)] == found.outcomes


texts = st.lists(
    st.tuples(st.text("ab", min_size=1, max_size=12), st.sampled_from(OWNERS), st.booleans()), min_size=1, max_size=30
)


@pytest.fixture(scope="module")
def ray_tree_class() -> type:
    """Ray's own tree, from the installed Ray."""
    spec = importlib.util.find_spec("ray")
    if spec is None or spec.origin is None:
        pytest.skip("Ray is not installed")
    path = Path(spec.origin).parent / "llm/_internal/serve/routing_policies/prefix_aware/prefix_tree.py"
    if not path.exists():
        pytest.skip("This Ray has no prefix-aware router")
    loaded = importlib.util.spec_from_file_location("ray_prefix_tree", path)
    assert loaded is not None
    assert loaded.loader is not None
    module = importlib.util.module_from_spec(loaded)
    loaded.loader.exec_module(module)
    return module.PrefixTree  # type: ignore[no-any-return]


@given(texts)
@settings(deadline=None)
def test_tree_agrees_with_rays(ray_tree_class: type, steps: list[tuple[str, str, bool]]) -> None:
    ours, theirs = PrefixTree(OWNERS), ray_tree_class()
    theirs.add_tenants(OWNERS, 0.0)
    for at, (said, owner, evicts) in enumerate(steps, start=1):
        matched, owners = theirs.prefix_match(said, OWNERS)
        assert ours.match(said.encode(), OWNERS) == (len(matched), owners or [])
        assert ours.smallest() == theirs.get_smallest_tenants()
        ours.insert(said.encode(), owner, float(at))
        theirs.insert(said, owner, float(at))
        assert ours.sizes == theirs.tenant_to_char_count
        if evicts and theirs.tenant_to_char_count[owner] > 4:
            ours.evict(owner, 4)
            theirs.evict_tenant_by_lru(owner, 4)
            assert ours.sizes == theirs.tenant_to_char_count


def test_ray_sends_short_matches_to_the_one_with_the_smallest_tree() -> None:
    arrivals = [lone(0.0, "long", 2000), lone(5.0, "other", 100), lone(10.0, "third", 100), lone(15.0, "fourth", 10)]
    found = run(load_of(arrivals), RayPrefixAware)
    assert len({outcome.replica_id for outcome in found.outcomes[:3]}) == 3
    assert found.outcomes[3].replica_id in {outcome.replica_id for outcome in found.outcomes[1:3]}


def test_ray_stays_with_the_match_however_long_its_queue_unless_a_threshold_is_set() -> None:
    arrivals = [lone(index * 0.01, "document", 500, 200) for index in range(20)]
    stays = run(load_of(arrivals), RayPrefixAware)
    spreads = run(load_of(arrivals), partial(RayPrefixAware, imbalanced_threshold=5))
    assert len({outcome.replica_id for outcome in stays.outcomes}) == 1
    assert len({outcome.replica_id for outcome in spreads.outcomes}) == 3


def test_random_choice_is_the_same_for_the_same_seed() -> None:
    arrivals = [lone(index * 0.2, str(index)) for index in range(20)]
    first, again, other = (
        [outcome.replica_id for outcome in run(load_of(arrivals), BASELINES["random"], seed).outcomes]
        for seed in (1, 1, 2)
    )
    assert first == again != other
