"""Which replica has which beginnings of prompts in its cache, as far as this router knows. PURE.

For every replica the blocks that it was sent or has answered, bounded by what its KV cache holds; the prompt used least
recently makes room, its tail first. As in the engine's cache a block is there only with all blocks before it: so the
number of leading blocks that a replica has is found by bisection, and to have used a prompt is to have used its end.
"""

from collections import OrderedDict
from collections.abc import Sequence

from router.prefix_chain import CUTS, PrefixChain

_BLOCK_BYTES = tuple(after - before for before, after in zip((0, *CUTS), CUTS, strict=False))
DEFAULT_CAPACITY_BYTES = 256 * 1024
_MOST_LEVELS = 6


def _leading(hashes: Sequence[int], held: dict[int, int]) -> int:
    """How many leading hashes are in `held`, where each one's presence implies that of all before it."""
    if not hashes or hashes[0] not in held:
        return 0
    if hashes[-1] in held:
        return len(hashes)
    low, high = 1, len(hashes) - 1
    while low < high:
        middle = (low + high + 1) // 2
        if hashes[middle - 1] in held:
            low = middle
        else:
            high = middle - 1
    return low


class PrefixDirectory:
    """The same the other way round, for all replicas of a model: who has a block. Kept by their caches.

    Each cache that holds something has a bit of its own, and a set of caches is the sum of their bits.
    """

    __slots__ = ("_holders", "_taken")

    def __init__(self) -> None:
        self._holders: dict[int, int] = {}
        self._taken = 0
        """The bits that are given out."""

    def __len__(self) -> int:
        return len(self._holders)

    def levels(self, hashes: Sequence[int]) -> list[tuple[int, int]]:
        """Cached bytes and the bits of those who have that many of a chain's beginning, the most first; who has none is
        nowhere.

        A replica counts for the first level that it is in. Few levels are the rule (everybody has the system prompt,
        one or two the conversation), and each takes a bisection; those beyond `_MOST_LEVELS` are left out.
        """
        found: list[tuple[int, int]] = []
        holders = self._holders
        depth = _leading(hashes, holders)
        if not depth:
            return found
        everybody = holders[hashes[0]]
        while True:
            here = holders[hashes[depth - 1]]
            found.append((CUTS[depth - 1], here))
            if here == everybody or len(found) == _MOST_LEVELS:
                return found
            # The next level is where more replicas are: the further forward, the more there are.
            low, high = 1, depth - 1
            while low < high:
                middle = (low + high + 1) // 2
                if holders[hashes[middle - 1]] != here:
                    low = middle
                else:
                    high = middle - 1
            depth = low

    def take_bit(self) -> int:
        """A bit for a cache that begins to hold something."""
        bit = ~self._taken & (self._taken + 1)
        self._taken |= bit
        return bit

    def give_back(self, bit: int) -> None:
        """Nobody holds anything under this bit any more."""
        self._taken ^= bit

    def add(self, hashes: Sequence[int], bit: int) -> None:
        """The cache of that bit has these blocks now."""
        holders = self._holders
        for digest in hashes:
            holders[digest] = holders.get(digest, 0) | bit

    def discard(self, digest: int, bit: int) -> None:
        """The cache of that bit, which had this block, has it no more."""
        others = self._holders[digest] ^ bit
        if others:
            self._holders[digest] = others
        else:
            del self._holders[digest]


class PrefixCache:
    """What one replica's cache holds. Sizes are in bytes of prompt text."""

    __slots__ = ("_ends", "_followers", "_held_bytes", "bit", "capacity_bytes", "directory", "epoch")

    def __init__(
        self, directory: PrefixDirectory | None = None, *, capacity_bytes: int = DEFAULT_CAPACITY_BYTES, epoch: int = 0
    ) -> None:
        self.capacity_bytes = capacity_bytes
        self.directory = PrefixDirectory() if directory is None else directory
        self.epoch = epoch
        """Of the replica when this was learnt; another one voids it."""
        self.bit = 0
        """In the directory's sets; 0 while nothing is held."""
        self._followers: dict[int, int] = {}
        """Blocks that are held, by hash, with the number of those that directly follow each."""
        self._ends: OrderedDict[int, tuple[int, ...]] = OrderedDict()
        """Last block -> chain of what was used, least recently used first. Who is followed by nobody is here."""
        self._held_bytes = 0

    def __len__(self) -> int:
        return len(self._followers)

    @property
    def held_bytes(self) -> int:
        """Bytes of prompts that are believed to be cached. Never above `capacity_bytes`."""
        return self._held_bytes

    def matched_bytes(self, hashes: Sequence[int]) -> int:
        """Length of the longest beginning of a prompt that is cached."""
        count = _leading(hashes, self._followers)
        return CUTS[count - 1] if count else 0

    def insert(self, chain: PrefixChain) -> None:
        """The replica computes or has computed this text. What was used least recently makes room."""
        hashes = chain.hashes
        if not hashes:
            return
        end = hashes[-1]
        if end not in self._followers:
            self._add(hashes)
        self._ends[end] = hashes
        self._ends.move_to_end(end)
        if self._held_bytes > self.capacity_bytes:
            self._make_room()

    def _add(self, hashes: tuple[int, ...]) -> None:
        followers = self._followers
        known = _leading(hashes, followers)
        if known:
            before = hashes[known - 1]
            followers[before] += 1
            self._ends.pop(before, None)  # used with what follows it, it goes after that anyway
            self._held_bytes -= CUTS[known - 1]
        elif not self.bit:
            self.bit = self.directory.take_bit()
        new = hashes[known:]
        for digest in new:
            followers[digest] = 1
        followers[hashes[-1]] = 0
        self.directory.add(new, self.bit)
        self._held_bytes += CUTS[len(hashes) - 1]

    def clear(self) -> None:
        """The engine's cache was emptied, or the replica has gone."""
        for digest in self._followers:
            self.directory.discard(digest, self.bit)
        self._followers.clear()
        self._ends.clear()
        self._held_bytes = 0
        self._let_go()

    def resize(self, capacity_bytes: int) -> None:
        """Another bound, as the engine reports another cache or prompts turn out to be denser in tokens."""
        self.capacity_bytes = capacity_bytes
        self._make_room()

    def _make_room(self) -> None:
        while self._held_bytes > self.capacity_bytes:
            _, hashes = self._ends.popitem(last=False)
            self._shorten(hashes)
        if not self._followers:
            self._let_go()

    def _shorten(self, hashes: tuple[int, ...]) -> None:
        """Drops blocks from the end of what was used least recently, up to one that is needed otherwise."""
        followers = self._followers
        left = len(hashes)
        while left and not followers[hashes[left - 1]] and hashes[left - 1] not in self._ends:
            if self._held_bytes <= self.capacity_bytes:
                self._ends[hashes[left - 1]] = hashes[:left]
                self._ends.move_to_end(hashes[left - 1], last=False)
                return
            left -= 1
            del followers[hashes[left]]
            self._held_bytes -= _BLOCK_BYTES[left]
            self.directory.discard(hashes[left], self.bit)
            if left:
                followers[hashes[left - 1]] -= 1

    def _let_go(self) -> None:
        if self.bit:
            self.directory.give_back(self.bit)
            self.bit = 0
