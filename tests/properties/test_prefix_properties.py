"""Properties of prefix chains, of what replicas are believed to have cached, and of the directory over them."""

import json
from itertools import takewhile
from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from router.bodies import decode_request
from router.features import RequestFeatures
from router.prefix_chain import CUTS, Digest, PrefixChain, chain_of
from router.prefix_index import PrefixCache, PrefixDirectory
from router.prompt_text import answered, read_prompt
from tests.unit.router.fakes import COMPACT, facts, held, read

BLOCK = CUTS[0]
MOST_LEVELS = 6


def long_text(length: int, seed: int) -> bytes:
    return bytes((index * 31 + seed * 7 + index // 251) % 256 for index in range(length))


texts = st.builds(long_text, st.integers(0, 6000), st.integers(0, 3)) | st.binary(max_size=400)


def common_bytes(one: bytes, other: bytes) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def block_before(cut_or_length: int) -> int:
    """Length of the block in which this byte lies."""
    after = next(cut for cut in CUTS if cut > cut_or_length)
    return after - max((cut for cut in CUTS if cut <= cut_or_length), default=0)


@given(st.lists(texts, max_size=6))
def test_chain_extended_piece_by_piece_is_the_chain_of_the_whole(pieces: list[bytes]) -> None:
    chain = chain_of(b"")
    for piece in pieces:
        chain = chain.extended(piece)
    whole = b"".join(pieces)
    assert facts(chain) == facts(chain_of(whole))
    assert chain.size_bytes == len(whole)
    assert len(chain.rest) == len(whole) - (CUTS[len(chain.hashes) - 1] if chain.hashes else 0)


@given(texts, texts, texts)
def test_match_is_short_of_the_common_beginning_by_less_than_a_block(head: bytes, tail: bytes, other: bytes) -> None:
    one, two = head + tail, head + other
    cache = PrefixCache(capacity_bytes=1 << 20)
    cache.insert(chain_of(one))
    matched, common = cache.matched_bytes(chain_of(two).hashes), common_bytes(one, two)
    assert matched <= common
    assert matched > common - block_before(common)


@given(st.integers(1, 10_000), st.integers(0, 6000), st.data())
def test_tokens_to_read_fall_with_what_is_cached_and_never_to_none(tokens: int, size: int, data: st.DataObject) -> None:
    chain = chain_of(b"x" * size)
    request = RequestFeatures(chain=chain, prompt_tokens=tokens)
    cached = sorted(data.draw(st.lists(st.integers(0, size), max_size=5)))
    uncached = [request.uncached_tokens(each) for each in cached]
    assert uncached == sorted(uncached, reverse=True)
    assert all(1 <= each <= tokens for each in uncached)
    assert request.uncached_tokens(0) == tokens


# Caches. Prompts are paths in a small tree, so that they share beginnings and part again.

paths = st.lists(st.integers(0, 2), max_size=9)


def prompt(path: list[int]) -> PrefixChain:
    return chain_of(b"".join(b"%0*d" % (BLOCK, step) for step in path))


class Touch(NamedTuple):
    replica: int
    path: list[int]
    what: str


touches = st.lists(
    st.builds(Touch, st.integers(0, 3), paths, st.sampled_from(["insert"] * 6 + ["clear", "resize"])), max_size=30
)


@given(touches, st.lists(paths, max_size=4))
def test_directory_agrees_with_the_caches_and_caches_with_their_bounds(
    history: list[Touch], asked: list[list[int]]
) -> None:
    directory = PrefixDirectory()
    caches = [PrefixCache(directory, capacity_bytes=12 * BLOCK) for index in range(4)]
    for replica, path, what in history:
        cache = caches[replica]
        match what:
            case "insert":
                cache.insert(prompt(path))
                room = cache.capacity_bytes // BLOCK
                assert cache.matched_bytes(prompt(path).hashes) == BLOCK * min(len(path), room)
            case "clear":
                cache.clear()
                assert (held(cache), cache.held_bytes) == (set(), 0)
            case "resize":
                cache.resize(BLOCK * len(path))
        assert cache.held_bytes == BLOCK * len(held(cache)) <= cache.capacity_bytes
        for path_asked in (*asked, path):
            assert_levels_agree(directory, caches, prompt(path_asked))
    for cache in caches:
        cache.clear()
    assert len(directory) == 0


def assert_levels_agree(directory: PrefixDirectory, caches: list[PrefixCache], chain: PrefixChain) -> None:
    """Brute force: block by block, cache by cache."""
    have = [BLOCK * sum(1 for _ in takewhile(held(cache).__contains__, chain.hashes)) for cache in caches]
    for cache, own in zip(caches, have, strict=True):
        assert cache.matched_bytes(chain.hashes) == own
    assert directory.levels(chain.hashes) == levels_by_hand(caches, have)[:MOST_LEVELS]


def levels_by_hand(caches: list[PrefixCache], have: list[int]) -> list[tuple[int, int]]:
    depths = sorted({depth for depth in have if depth}, reverse=True)
    return [(d, sum(cache.bit for cache, own in zip(caches, have, strict=True) if own >= d)) for d in depths]


LONG = long_text(CUTS[40], 1)


@settings(max_examples=40)
@given(st.lists(st.sets(st.integers(1, 40), max_size=12), min_size=1, max_size=12))
def test_levels_agree_up_to_the_sixth_when_there_are_many(depths: list[set[int]]) -> None:
    """Long chains and many replicas, so that there are more levels than are told."""
    directory = PrefixDirectory()
    caches = [PrefixCache(directory, capacity_bytes=1 << 20) for index in range(len(depths))]
    for cache, own in zip(caches, depths, strict=True):
        for depth in own:
            cache.insert(chain_of(LONG[: CUTS[depth - 1]]))
    have = [CUTS[max(own) - 1] if own else 0 for own in depths]
    assert directory.levels(chain_of(LONG).hashes) == levels_by_hand(caches, have)[:MOST_LEVELS]


@given(st.lists(paths, min_size=1, max_size=20), st.integers(0, 20))
def test_cache_keeps_whole_beginnings_of_the_prompts_used_last(history: list[list[int]], blocks: int) -> None:
    """What stays is what counting back from the last use gives: each prompt's blocks, head first, until it is full."""
    cache = PrefixCache(capacity_bytes=blocks * BLOCK)
    for path in history:
        cache.insert(prompt(path))
    kept: list[Digest] = []
    for path in reversed(history):
        kept += [digest for digest in prompt(path).hashes if digest not in kept]
    # Blocks that went for want of room came back only by being used again, so nothing else is remembered.
    assert held(cache) == set(kept[:blocks])


# Texts of prompts


@given(
    st.lists(st.tuples(st.sampled_from(["user", "assistant", "tool"]), st.text(max_size=300)), min_size=1, max_size=4),
    st.text(max_size=3000),
    st.text(max_size=300),
    st.sampled_from([COMPACT, {}]),
    st.booleans(),
)
def test_next_prompt_shares_the_chain_of_the_last_one_and_its_answer(
    said: list[tuple[str, str]], answer: str, more: str, way: dict[str, Any], role_first: bool
) -> None:
    turns = [*said, ("assistant", answer), ("user", more)]
    messages = [message(role, text, role_first=role_first) for role, text in turns]
    first, opening = read(way, messages=messages[:-2])
    after = chain_of(first).extended(answered(opening, answer))
    assert chain_of(read(way, messages=messages)[0]).hashes[: len(after.hashes)] == after.hashes
    assert after.size_bytes > len(first) + len(answer)


def message(role: str, text: str, *, role_first: bool) -> dict[str, str]:
    return {"role": role, "content": text} if role_first else {"content": text, "role": role}


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["role", "content", "text", "type", "tool_calls", "x"]), inner, max_size=4
    ),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=50)
@given(_JSON, _JSON, _JSON, _JSON)
def test_any_json_has_a_text(messages: Any, prompt: Any, system: Any, tools: Any) -> None:
    body = {"messages": messages, "prompt": prompt, "system": system, "tools": tools}
    text, opening = read_prompt(decode_request(json.dumps(body).encode()))
    assert len(text) < len(json.dumps(body))
    assert isinstance(answered(opening, "yes"), bytes)
