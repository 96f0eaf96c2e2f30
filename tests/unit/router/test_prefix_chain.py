"""The chain of hashes of a prompt's beginning."""

from itertools import pairwise
from time import perf_counter

from router.prefix_chain import CUTS, EMPTY, chain_of
from tests.unit.router.fakes import facts

BLOCK = CUTS[0]


def test_cuts_are_a_block_apart_and_then_at_most_a_tenth() -> None:
    for before, after in pairwise((0, *CUTS)):
        assert after - before == BLOCK or after - before <= before / 10


def test_chain_grows_with_the_logarithm_of_its_text() -> None:
    blocks = [len(chain_of(b"x" * size).hashes) for size in (10_000, 100_000, 1_000_000, 10_000_000)]
    assert all(after - before < 30 for before, after in pairwise(blocks)), "10 ln 10 and rounding"


def test_text_shorter_than_a_block_has_no_hashes() -> None:
    assert chain_of(b"x" * (BLOCK - 1)).hashes == ()
    assert len(chain_of(b"x" * BLOCK).hashes) == 1
    assert facts(EMPTY.extended(b"x" * BLOCK)) == facts(chain_of(b"x" * BLOCK))


def test_same_block_behind_another_beginning_is_another_block() -> None:
    one, other = chain_of(b"a" * BLOCK + b"x" * BLOCK), chain_of(b"b" * BLOCK + b"x" * BLOCK)
    assert not set(one.hashes) & set(other.hashes)


def test_chain_of_a_long_prompt_takes_its_time_in_proportion() -> None:
    """Some 0.7 µs a KiB; a bound that only a quadratic one would break."""
    text = b"x" * 4_000_000
    began = perf_counter()
    chain_of(text)
    assert perf_counter() - began < 0.5
