"""Estimate which peer still has the beginning of a prompt in its prefix cache, from the prompts it was given."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Collection, Hashable, Sequence
from typing import Final, Generic, TypeVar

Peer = TypeVar("Peer", bound=Hashable)

BLOCK_BYTES: Final = 512
"""Bytes of prompt in one block: 100 to 250 tokens, so that a prompt of 32,768 tokens has some 200 blocks."""
CAPACITY: Final = 8192
"""Blocks that are remembered of one peer: 4 MiB of prompts, at some 100 bytes of our memory a block."""
_DIGEST_BYTES: Final = 8


def block_hashes(text: bytes) -> list[bytes]:
    """Return a digest for each whole block of a prompt; it covers all blocks before it, too."""
    hashes: list[bytes] = []
    before = b""
    for start in range(0, len(text) - BLOCK_BYTES + 1, BLOCK_BYTES):
        block = text[start : start + BLOCK_BYTES]
        before = hashlib.blake2b(block, digest_size=_DIGEST_BYTES, key=before).digest()
        hashes.append(before)
    return hashes


class PrefixIndex(Generic[Peer]):
    """Remember the blocks last given to each peer, ``capacity`` of them, the least recently used forgotten first.

    Any hashable will do as a block, if equal blocks mean equal prefixes.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._blocks: dict[Peer, OrderedDict[Hashable, None]] = {}

    def overlap(self, peer: Peer, blocks: Sequence[Hashable]) -> int:
        """Return how many of the leading blocks the peer was given."""
        known = self._blocks.get(peer)
        if not known:
            return 0
        for count, block in enumerate(blocks):
            if block not in known:
                return count
        return len(blocks)

    def record(self, peer: Peer, blocks: Sequence[Hashable]) -> None:
        """Note that the peer computed these blocks; of a longer prompt than fits, its beginning is kept."""
        if not blocks:
            return
        known = self._blocks.setdefault(peer, OrderedDict())
        for block in reversed(blocks[: self._capacity]):  # the beginning last: it is of use without what follows it
            known[block] = None
            known.move_to_end(block)
        while len(known) > self._capacity:
            known.popitem(last=False)

    def keep(self, peers: Collection[Peer]) -> None:
        """Forget every peer but these: one that comes back has an empty cache."""
        for gone in [peer for peer in self._blocks if peer not in peers]:
            del self._blocks[gone]
