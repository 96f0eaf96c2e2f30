"""What replicas are believed to have in their caches."""

from random import Random

from router.prefix_chain import CUTS, PrefixChain, chain_of
from router.prefix_index import PrefixCache, PrefixDirectory
from tests.unit.router.fakes import held

BLOCK = CUTS[0]


def text(*pieces: int) -> bytes:
    """A text of one block for each piece."""
    return b"".join(b"%0*d" % (BLOCK, piece) for piece in pieces)


def chain(*pieces: int) -> PrefixChain:
    return chain_of(text(*pieces))


def matched(cache: PrefixCache, *pieces: int) -> int:
    """Blocks of this text that are cached."""
    return cache.matched_bytes(chain(*pieces).hashes) // BLOCK


def test_match_ends_where_texts_part() -> None:
    cache = PrefixCache()
    cache.insert(chain(1, 2, 3, 4))
    assert matched(cache, 1, 2, 3, 4) == 4
    assert matched(cache, 1, 2, 3, 4, 5) == 4
    assert matched(cache, 1, 2, 9, 4) == 2
    assert matched(cache, 9, 2, 3, 4) == 0
    assert cache.matched_bytes(()) == 0


def test_prompt_used_least_recently_makes_room() -> None:
    cache = PrefixCache(capacity_bytes=6 * BLOCK)
    cache.insert(chain(1, 2, 3))
    cache.insert(chain(4, 5, 6))
    cache.insert(chain(1, 2, 3))
    cache.insert(chain(7, 8, 9))
    assert [matched(cache, *prompt) for prompt in ((1, 2, 3), (4, 5, 6), (7, 8, 9))] == [3, 0, 3]


def test_tail_of_the_oldest_prompt_goes_before_its_head() -> None:
    cache = PrefixCache(capacity_bytes=6 * BLOCK)
    cache.insert(chain(1, 2, 3, 4))
    cache.insert(chain(5, 6, 7))
    assert matched(cache, 1, 2, 3, 4) == 3
    cache.insert(chain(8, 9))
    assert matched(cache, 1, 2, 3, 4) == 1


def test_shared_head_stays_longest() -> None:
    cache = PrefixCache(capacity_bytes=5 * BLOCK)
    for tail in range(10, 50):
        cache.insert(chain(1, 2, tail))
        assert matched(cache, 1, 2) == 2
    assert matched(cache, 1, 2, 49) == 3
    assert matched(cache, 1, 2, 10) == 2


def test_prompt_larger_than_the_cache_keeps_its_head() -> None:
    cache = PrefixCache(capacity_bytes=3 * BLOCK)
    cache.insert(chain(*range(10)))
    assert matched(cache, *range(10)) == 3
    assert cache.held_bytes == 3 * BLOCK


def test_smaller_bound_makes_room_at_once() -> None:
    cache = PrefixCache(capacity_bytes=100 * BLOCK)
    cache.insert(chain(1, 2, 3, 4))
    cache.resize(2 * BLOCK)
    assert (matched(cache, 1, 2, 3, 4), cache.held_bytes) == (2, 2 * BLOCK)
    cache.resize(0)
    assert (held(cache), len(cache.directory)) == (set(), 0)


def test_cleared_cache_leaves_nothing_in_the_directory() -> None:
    directory = PrefixDirectory()
    one, other = PrefixCache(directory), PrefixCache(directory)
    for cache in (one, other):
        cache.insert(chain(1, 2, 3))
    one.clear()
    assert matched(one, 1, 2, 3) == 0
    assert directory.levels(chain(1, 2, 3).hashes) == [(3 * BLOCK, other.bit)]
    other.clear()
    assert len(directory) == 0


def test_levels_name_who_has_most_first() -> None:
    directory = PrefixDirectory()
    prompts = {"a": (1,), "b": (1, 2, 3), "c": (1, 2, 3, 4), "d": (9,), "e": (1, 2, 3)}
    bits = {}
    for name, pieces in prompts.items():
        cache = PrefixCache(directory)
        cache.insert(chain(*pieces))
        bits[name] = cache.bit
    assert directory.levels(chain(1, 2, 3, 4, 5).hashes) == [
        (size * BLOCK, sum(bits[name] for name in names)) for size, names in ((4, "c"), (3, "bce"), (1, "abce"))
    ]
    assert directory.levels(chain(8).hashes) == []
    assert directory.levels(()) == []


def test_levels_beyond_the_sixth_are_left_out() -> None:
    directory = PrefixDirectory()
    pieces = tuple(range(10))
    for depth in range(1, 11):
        PrefixCache(directory).insert(chain(*pieces[:depth]))
    levels = directory.levels(chain(*pieces).hashes)
    assert [level for level, _ in levels] == [CUTS[depth - 1] for depth in (10, 9, 8, 7, 6, 5)]


def test_held_bytes_are_the_sum_of_the_blocks_that_are_held() -> None:
    rng = Random(7)
    cache = PrefixCache(capacity_bytes=20_000)
    for _ in range(300):
        cache.insert(chain_of(text(*(rng.randrange(3) for _ in range(rng.randrange(1, 15))))))
        assert cache.held_bytes == BLOCK * len(held(cache)) <= 20_000
        assert len(cache.directory) == len(held(cache))


def test_bit_of_a_cache_that_holds_nothing_is_given_to_another() -> None:
    directory = PrefixDirectory()
    caches = [PrefixCache(directory) for _ in range(3)]
    for cache in caches:
        cache.insert(chain(1))
    assert [cache.bit for cache in caches] == [1, 2, 4]
    caches[1].clear()
    caches[2].resize(0)
    newcomer = PrefixCache(directory)
    newcomer.insert(chain(2))
    assert [cache.bit for cache in (*caches, newcomer)] == [1, 0, 0, 2]
    assert directory.levels(chain(2).hashes) == [(BLOCK, 2)]
