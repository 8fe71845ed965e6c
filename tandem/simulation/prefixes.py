"""Keep the blocks of prompts that were prefilled, as a worker's prefix cache does: the least recently used go first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence


class PrefixCache:
    """Remember block ids; ``room`` is given at each call, since running and leased KV takes the same memory."""

    def __init__(self) -> None:
        self._blocks: OrderedDict[int, None] = OrderedDict()

    def match(self, blocks: Sequence[int]) -> int:
        """Return how many leading blocks are held, and count them as used."""
        held, touch = self._blocks, self._blocks.move_to_end
        for count, block in enumerate(blocks):
            if block not in held:
                return count
            touch(block)
        return len(blocks)

    def keep(self, blocks: Sequence[int], room: int) -> None:
        """Hold ``blocks`` as the newest, and no more than ``room`` in all."""
        held = self._blocks
        for block in blocks:
            if block in held:
                held.move_to_end(block)
            else:
                held[block] = None
        while len(held) > max(0, room):
            held.popitem(last=False)
