"""Which replica has which beginnings of prompts in its cache, as far as this router knows. PURE.

For every replica the blocks it was sent or has answered, least recently used first, bounded by what its KV cache
holds. As in the engine's cache a block is there only with all blocks before it, and within one prompt the tail goes
first: so the number of leading blocks that a replica has is found by bisection.
"""

from collections import OrderedDict
from collections.abc import Container, Sequence

from router.prefix_chain import CUTS, PrefixChain

_BLOCK_BYTES = tuple(after - before for before, after in zip((0, *CUTS), CUTS, strict=False))
DEFAULT_CAPACITY_BYTES = 256 * 1024
_MOST_LEVELS = 6


def _leading(hashes: Sequence[int], held: Container[int]) -> int:
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
    """The same the other way round, for all replicas of a model: who has a block. Kept by their caches."""

    __slots__ = ("_holders",)

    def __init__(self) -> None:
        self._holders: dict[int, set[str]] = {}

    def __len__(self) -> int:
        return len(self._holders)

    def levels(self, hashes: Sequence[int]) -> list[tuple[int, set[str]]]:
        """Cached bytes and who has that many of a chain's beginning, the most first; who has none is nowhere.

        A replica counts for the first level that it is in. Few levels are the rule (everybody has the system prompt,
        one or two the conversation), and each takes a bisection; those beyond `_MOST_LEVELS` are left out.
        """
        found: list[tuple[int, set[str]]] = []
        holders = self._holders
        depth = _leading(hashes, holders)
        while depth and len(found) < _MOST_LEVELS:
            here = holders[hashes[depth - 1]]
            found.append((CUTS[depth - 1], here))
            # The next level is where more replicas are: the further forward, the more there are.
            count, low, high = len(here), 1, depth - 1
            if not high or len(holders[hashes[0]]) == count:
                break
            while low < high:
                middle = (low + high + 1) // 2
                if len(holders.get(hashes[middle - 1], here)) > count:
                    low = middle
                else:
                    high = middle - 1
            depth = low
        return found

    def add(self, digest: int, replica_id: str) -> None:
        """`replica_id` has this block now."""
        holders = self._holders.get(digest)
        if holders is None:
            self._holders[digest] = {replica_id}
        else:
            holders.add(replica_id)

    def discard(self, digest: int, replica_id: str) -> None:
        """`replica_id` has it no more."""
        holders = self._holders.get(digest)
        if holders is not None:
            holders.discard(replica_id)
            if not holders:
                del self._holders[digest]


class PrefixCache:
    """What one replica's cache holds. Sizes are in bytes of prompt text."""

    __slots__ = ("_blocks", "_held_bytes", "_replica_id", "capacity_bytes", "directory", "epoch")

    def __init__(
        self,
        replica_id: str = "",
        directory: PrefixDirectory | None = None,
        *,
        capacity_bytes: int = DEFAULT_CAPACITY_BYTES,
        epoch: int = 0,
    ) -> None:
        self.capacity_bytes = capacity_bytes
        self.directory = PrefixDirectory() if directory is None else directory
        self.epoch = epoch
        """Of the replica when this was learnt; another one voids it."""
        self._replica_id = replica_id
        self._blocks: OrderedDict[int, int] = OrderedDict()
        """Hash -> bytes of the block, least recently used first."""
        self._held_bytes = 0

    def __len__(self) -> int:
        return len(self._blocks)

    @property
    def held_bytes(self) -> int:
        """Bytes of prompts that are believed to be cached. Never above `capacity_bytes`."""
        return self._held_bytes

    def matched_bytes(self, hashes: Sequence[int]) -> int:
        """Length of the longest beginning of a prompt that is cached."""
        count = _leading(hashes, self._blocks)
        return CUTS[count - 1] if count else 0

    def insert(self, chain: PrefixChain) -> None:
        """The replica computes or has computed this text. What was used least recently makes room."""
        blocks = self._blocks
        hashes = chain.hashes
        # Tail first, so that a prompt's beginning is the last to go.
        for index in range(len(hashes) - 1, -1, -1):
            digest = hashes[index]
            if digest in blocks:
                blocks.move_to_end(digest)
            else:
                blocks[digest] = _BLOCK_BYTES[index]
                self._held_bytes += _BLOCK_BYTES[index]
                self.directory.add(digest, self._replica_id)
        if self._held_bytes > self.capacity_bytes:
            self._make_room()

    def clear(self) -> None:
        """The engine's cache was emptied, or the replica has gone."""
        for digest in self._blocks:
            self.directory.discard(digest, self._replica_id)
        self._blocks.clear()
        self._held_bytes = 0

    def resize(self, capacity_bytes: int) -> None:
        """Another bound, as the engine reports another cache or prompts turn out to be denser in tokens."""
        self.capacity_bytes = capacity_bytes
        self._make_room()

    def _make_room(self) -> None:
        while self._held_bytes > self.capacity_bytes:
            digest, size = self._blocks.popitem(last=False)
            self._held_bytes -= size
            self.directory.discard(digest, self._replica_id)
