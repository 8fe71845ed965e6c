"""Hand out the numbers of KV blocks."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable


class BlockAllocator:
    """Know which of ``num_blocks`` blocks are free; block 0 is never given out, it is vLLM's null block.

    The block freed longest ago is given out first, so a late reader finds its data as long as possible.
    """

    def __init__(self, num_blocks: int) -> None:
        if num_blocks < 2:
            raise ValueError(f"pool has {num_blocks} blocks, at least 2 are needed: the null block and one more")
        self.total = num_blocks - 1
        self._free = deque(range(1, num_blocks))
        self._used: set[int] = set()

    @property
    def used(self) -> int:
        """How many blocks are given out."""
        return len(self._used)

    def allocate(self, count: int) -> tuple[int, ...] | None:
        """Return ``count`` blocks that nobody else holds, or None while there are not as many."""
        if count > len(self._free):
            return None
        blocks = tuple(self._free.popleft() for _ in range(count))
        self._used.update(blocks)
        return blocks

    def free(self, blocks: Iterable[int]) -> None:
        """Take blocks back; raise ``ValueError`` for one that is not given out."""
        for block in blocks:
            if block not in self._used:
                raise ValueError(f"block {block} is freed but not given out")
            self._used.remove(block)
            self._free.append(block)
