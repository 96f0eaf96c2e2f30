"""Which replica has which beginnings of prompts in its cache, as far as this router knows. PURE.

For every replica the blocks that it was sent or has answered, bounded by the size of its KV cache (`bound_memory`); the
prompt used least recently makes room, its tail first. As in the engine's cache a block is there only with all blocks
before it: so the last block of a chain that anybody has is found by bisection, and to have used a prompt is to have
used its end.

A block is one object for all replicas: what is asked of it lies together, for most blocks have left the CPU's caches
when they are asked for again, and each further place in memory would be waited for.
"""

from collections import OrderedDict
from collections.abc import Sequence

from router.prefix_chain import CUTS, Digest, PrefixChain

_BLOCK_BYTES = tuple(after - before for before, after in zip((0, *CUTS), CUTS, strict=False))
DEFAULT_CAPACITY_BYTES = 256 * 1024
_MOST_LEVELS = 6
_COUNT_BITS = 24
_MOST_COUNTED = (1 << _COUNT_BITS) - 1


class _Block:
    """A block that some cache has."""

    __slots__ = ("before", "caches", "depth", "digest", "followers")

    def __init__(self, digest: Digest, before: "_Block | None", depth: int) -> None:
        self.digest = digest
        self.before = before
        """Whoever has this one has that one."""
        self.depth = depth
        """Blocks from the beginning of the prompt, with this one."""
        self.caches = 0
        """The bits of those who have it."""
        self.followers = 0
        """How many blocks directly follow it, `_COUNT_BITS` for each cache: those of the lowest bit first."""


class PrefixDirectory:
    """The blocks that any replica of a model has.

    Each cache that holds something has a bit of its own, and a set of caches is the sum of their bits.
    """

    __slots__ = ("_asked", "_blocks", "_found", "_root", "_taken")

    def __init__(self) -> None:
        self._blocks: dict[Digest, _Block] = {}
        self._asked: Sequence[Digest] | None = None
        self._found: _Block | None = None
        self._root: _Block | None = None
        """The last answer of `deepest`, and where its chain begins: who is chosen for a prompt inserts what was just
        asked for."""
        self._taken = 0
        """The bits that are given out."""

    def __len__(self) -> int:
        return len(self._blocks)

    def levels(self, hashes: Sequence[Digest]) -> list[tuple[int, int]]:
        """Cached bytes and the bits of those who have that many of a chain's beginning, the most first; who has none is
        nowhere.

        A replica counts for the first level that it is in. Few levels are the rule (everybody has the system prompt,
        one or two the conversation); those beyond `_MOST_LEVELS` are left out.
        """
        found: list[tuple[int, int]] = []
        block = self.deepest(hashes)
        if block is None or self._root is None:
            return found
        everybody = self._root.caches
        here = 0
        while block is not None:
            if block.caches != here:
                here = block.caches
                found.append((CUTS[block.depth - 1], here))
                if here == everybody or len(found) == _MOST_LEVELS:
                    break
            block = block.before
        return found

    def deepest(self, hashes: Sequence[Digest]) -> _Block | None:
        """The last block of a chain that anybody has."""
        if hashes is self._asked:
            return self._found
        blocks = self._blocks
        root = best = blocks.get(hashes[0]) if hashes else None
        if best is not None and len(hashes) > 1:
            low, high = 1, len(hashes)
            # The end first: prompts come again.
            middle = high
            while low < high:
                block = blocks.get(hashes[middle - 1])
                if block is None:
                    high = middle - 1
                else:
                    best, low = block, middle
                middle = (low + high + 1) // 2
        self._asked, self._found, self._root = hashes, best, root
        return best

    def take_bit(self) -> int:
        """A bit for a cache that begins to hold something."""
        bit = ~self._taken & (self._taken + 1)
        self._taken |= bit
        return bit

    def give_back(self, bit: int) -> None:
        """Nobody holds anything under this bit any more."""
        self._taken ^= bit

    def add(self, hashes: Sequence[Digest], before: _Block | None, bit: int, one: int) -> _Block:
        """The cache of that bit, which has a chain up to `before`, has the rest of it now. Returns the last block.

        `one`: a follower, in the cache's count.
        """
        blocks = self._blocks
        known = self.deepest(hashes)
        shared = 0 if known is None else known.depth
        self._asked = None
        depth = 0 if before is None else before.depth
        while True:
            digest = hashes[depth]
            depth += 1
            if depth <= shared:
                block = blocks[digest]
            else:
                block = blocks[digest] = _Block(digest, before, depth)
            block.caches |= bit
            if before is not None:
                before.followers += one
            if depth == len(hashes):
                return block
            before = block

    def drop(self, block: _Block, bit: int, one: int) -> _Block | None:
        """The cache of that bit, which had this block and none after it, has it no more. Returns the one before it."""
        block.caches ^= bit
        if not block.caches:
            del self._blocks[block.digest]
            self._asked = self._found = self._root = None
        before = block.before
        if before is not None:
            before.followers -= one
        return before


class PrefixCache:
    """What one replica's cache holds. Sizes are in bytes of prompt text."""

    __slots__ = ("_all", "_ends", "_held_bytes", "_one", "bit", "capacity_bytes", "directory", "epoch")

    def __init__(
        self, directory: PrefixDirectory | None = None, *, capacity_bytes: int = DEFAULT_CAPACITY_BYTES, epoch: int = 0
    ) -> None:
        self.capacity_bytes = capacity_bytes
        self.directory = PrefixDirectory() if directory is None else directory
        self.epoch = epoch
        """Of the replica when this was learnt; another one voids it."""
        self.bit = 0
        """In the directory's sets; 0 while nothing is held."""
        self._one = self._all = 0
        """A follower in this cache, and the whole of its count, as blocks keep it."""
        self._ends: OrderedDict[_Block, None] = OrderedDict()
        """Where what was used ends, least recently used first. Who is followed by nobody is here."""
        self._held_bytes = 0

    @property
    def held_bytes(self) -> int:
        """Bytes of prompts that are believed to be cached. Never above `capacity_bytes`."""
        return self._held_bytes

    def matched_bytes(self, hashes: Sequence[Digest]) -> int:
        """Length of the longest beginning of a prompt that is cached."""
        block = self._deepest(hashes)
        return 0 if block is None else CUTS[block.depth - 1]

    def insert(self, chain: PrefixChain) -> None:
        """The replica computes or has computed this text. What was used least recently makes room."""
        hashes = chain.hashes
        if not hashes:
            return
        end = self._deepest(hashes)
        if end is None or end.depth < len(hashes):
            end = self._add(hashes, end)
        if end in self._ends:
            self._ends.move_to_end(end)
        else:
            self._ends[end] = None
        if self._held_bytes > self.capacity_bytes:
            self._make_room()

    def _deepest(self, hashes: Sequence[Digest]) -> _Block | None:
        block = self.directory.deepest(hashes)
        while block is not None and not block.caches & self.bit:
            block = block.before
        return block

    def _add(self, hashes: Sequence[Digest], known: _Block | None) -> _Block:
        if known is not None:
            self._ends.pop(known, None)  # used with what follows it, it goes after that anyway
            self._held_bytes -= CUTS[known.depth - 1]
        elif not self.bit:
            self.bit = self.directory.take_bit()
            self._one = 1 << (self.bit.bit_length() - 1) * _COUNT_BITS
            self._all = self._one * _MOST_COUNTED
        self._held_bytes += CUTS[len(hashes) - 1]
        return self.directory.add(hashes, known, self.bit, self._one)

    def clear(self) -> None:
        """The engine's cache was emptied, or the replica has gone."""
        for end in self._ends:
            block: _Block | None = end
            # What others follow goes with the last of them; an end may have gone so before its turn.
            while block is not None and block.caches & self.bit and not block.followers & self._all:
                block = self.directory.drop(block, self.bit, self._one)
        self._ends.clear()
        self._held_bytes = 0
        self._let_go()

    def resize(self, capacity_bytes: int) -> None:
        """Another bound, as the engine reports another cache or prompts turn out to be denser in tokens."""
        self.capacity_bytes = capacity_bytes
        self._make_room()

    def _make_room(self) -> None:
        while self._held_bytes > self.capacity_bytes:
            block, _ = self._ends.popitem(last=False)
            self._shorten(block)
        if not self._held_bytes:
            self._let_go()

    def _shorten(self, end: _Block) -> None:
        """Drops blocks from the end of what was used least recently, up to one that is needed otherwise."""
        block: _Block | None = end
        while block is not None and not block.followers & self._all and block not in self._ends:
            if self._held_bytes <= self.capacity_bytes:
                self._ends[block] = None
                self._ends.move_to_end(block, last=False)
                return
            self._held_bytes -= _BLOCK_BYTES[block.depth - 1]
            block = self.directory.drop(block, self.bit, self._one)

    def _let_go(self) -> None:
        if self.bit:
            self.directory.give_back(self.bit)
            self.bit = self._one = self._all = 0
