"""Blocks of a simulated KV cache, with reuse of common prefixes. PURE.

A block is free (possibly still holding something worth finding again) or held by one or more requests. Free blocks
are taken in the order in which they were freed: least recently used first, and within one request its tail first, as
in vLLM.
"""

from collections import OrderedDict
from collections.abc import Sequence


class KvCache:
    """`capacity` blocks. Block ids are 0 to `capacity` - 1."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._free: OrderedDict[int, None] = OrderedDict((block, None) for block in range(capacity))
        self._holders = [0] * capacity
        self._hash_of: dict[int, int] = {}
        self._block_of: dict[int, int] = {}

    @property
    def free(self) -> int:
        """Blocks that no request holds."""
        return len(self._free)

    @property
    def held(self) -> int:
        return self.capacity - len(self._free)

    def match(self, hashes: Sequence[int]) -> int:
        """How many leading blocks of `hashes` are in the cache."""
        for count, digest in enumerate(hashes):
            if digest not in self._block_of:
                return count
        return len(hashes)

    def fits(self, hashes: Sequence[int], blocks: int) -> bool:
        """Whether `acquire` with the same arguments would succeed."""
        matched = hashes[: self.match(hashes[:blocks])]
        revived = sum(1 for digest in matched if self._block_of[digest] in self._free)
        return blocks - len(matched) <= self.free - revived

    def acquire(self, hashes: Sequence[int], blocks: int) -> tuple[list[int], int] | None:
        """Hold `blocks` blocks, reusing those that match `hashes` from the start.

        Returns the blocks in order and how many of them were reused; None, with nothing changed, if they do not fit.
        """
        if not self.fits(hashes, blocks):
            return None
        reused = [self._block_of[digest] for digest in hashes[: self.match(hashes[:blocks])]]
        for block in reused:
            self._hold(block)
        fresh = [self._take() for _ in range(blocks - len(reused))]
        return reused + fresh, len(reused)

    def extend(self) -> int | None:
        """Hold one more block; None if every block is held."""
        return self._take() if self._free else None

    def remember(self, block: int, digest: int) -> None:
        """Note that held `block` now holds what `digest` names. A digest known already keeps its first block."""
        if digest not in self._block_of and block not in self._hash_of:
            self._hash_of[block] = digest
            self._block_of[digest] = block

    def release(self, blocks: Sequence[int]) -> None:
        """Let go of `blocks` (in order). What they hold can be found until another request takes the block."""
        for block in reversed(blocks):
            self._holders[block] -= 1
            if self._holders[block] == 0:
                self._free[block] = None

    def clear(self) -> None:
        """Forget what free and held blocks hold."""
        self._hash_of.clear()
        self._block_of.clear()

    def _hold(self, block: int) -> None:
        if self._holders[block] == 0:
            del self._free[block]
        self._holders[block] += 1

    def _take(self) -> int:
        block, _ = self._free.popitem(last=False)
        digest = self._hash_of.pop(block, None)
        if digest is not None:
            del self._block_of[digest]
        self._holders[block] = 1
        return block
