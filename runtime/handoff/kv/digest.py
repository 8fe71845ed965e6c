"""Digest canonical KV block by block, so that a reader can prove that it decodes what the producer computed.

The digest of tokens ``[a, b)`` is XXH3-64 over a header (element, extents, ``a``, ``b``) and then, layer by layer and
half by half, the bytes ``[token, head, dim]``, little endian. It is over canonical order, so it survives any change of
layout, and in the producer's element type: a reader that narrows KV verifies before it does.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import xxhash

from runtime.handoff.contract import Code, HandoffError
from runtime.handoff.kv.element import Stored
from runtime.handoff.seal import DIGEST_BYTES, Seal

PIECE_BYTES: Final = 64 * 1024
"""Least bytes to hash at once: below, the call costs as much as the hashing (1 µs against 6 KB)."""

if sys.byteorder != "little":
    raise ImportError("KV digests are defined over little-endian bytes, which this machine does not have")


def block_tokens(token_bytes: int, *, block_size: int) -> int:
    """Return how many tokens to digest together: a multiple of ``block_size`` worth ``PIECE_BYTES`` or more.

    ``token_bytes`` are those of one token in one layer's half.
    """
    return -(-PIECE_BYTES // (token_bytes * block_size)) * block_size


class Digester:
    """Digest KV of ``shape`` ``[layer, half, token, head, dim]`` as it comes, ``size`` tokens together, layer by layer.

    Different blocks may be advanced in different threads.
    """

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any], size: int) -> None:
        self._layers, halves, tokens, heads, width = shape
        self._spans = [slice(start, min(start + size, tokens)) for start in range(0, tokens, size)]
        head = f"{dtype.str} {self._layers} {halves} {heads} {width}"
        self._states = [xxhash.xxh3_64(f"{head} {span.start} {span.stop}".encode()) for span in self._spans]
        self._digested = [0] * len(self._spans)

    def advance(self, block: int, layers: Stored) -> None:
        """Digest a block's next layers, which come with all tokens; what is of the block must not change any more."""
        self._update((block,), layers)

    def advance_all(self, layers: Stored) -> None:
        """Digest the next layers of all blocks."""
        self._update(range(len(self._spans)), layers)

    def advance_to(self, front: Sequence[int], kv: Stored) -> None:
        """Digest the blocks of whole KV that are there: ``front`` says how many tokens there are of each layer."""
        for block, span in enumerate(self._spans):
            there = next((layer for layer, tokens in enumerate(front) if tokens < span.stop), len(front))
            self.advance(block, kv[self._digested[block] : there])

    def _update(self, blocks: Sequence[int], layers: Stored) -> None:
        """Digest in the order of memory: block after block took twice as long, on KV that was just written."""
        start, stop = self._spans[blocks[0]].start, self._spans[blocks[-1]].stop
        for layer in layers:
            for half in layer:
                octets = np.ascontiguousarray(half[start:stop]).view(np.uint8)
                for block in blocks:
                    span = self._spans[block]
                    self._states[block].update(octets[span.start - start : span.stop - start].data)
        for block in blocks:
            self._digested[block] += len(layers)

    def digests(self) -> bytes:
        """Return the digests, once all layers were digested."""
        if {*self._digested} != {self._layers}:
            raise RuntimeError(f"blocks are digested up to layers {self._digested}, not up to {self._layers}")
        return b"".join(state.digest() for state in self._states)


def digests(kv: Stored, size: int) -> bytes:
    """Return the digests of whole KV, for ``size`` tokens each."""
    digester = Digester(kv.shape, kv.dtype, size)
    digester.advance_all(kv)
    return digester.digests()


def verify(kv: Stored, seal: Seal) -> None:
    """Raise ``HandoffError`` (``kv_corrupt``) unless KV is, byte for byte, what its producer digested."""
    compare(digests(kv, seal.block_tokens), seal)


def compare(found: bytes, seal: Seal) -> None:
    """Raise ``HandoffError`` (``kv_corrupt``) unless the digests found are those of the seal."""
    if found == seal.digests:
        return
    starts = range(0, len(found), DIGEST_BYTES)
    wrong = [
        at // DIGEST_BYTES for at in starts if found[at : at + DIGEST_BYTES] != seal.digests[at : at + DIGEST_BYTES]
    ]
    raise HandoffError(
        Code.KV_CORRUPT,
        f"{len(wrong)} of {len(starts)} blocks of {seal.block_tokens} tokens are not what the worker computed, "
        f"the first is block {wrong[0] if wrong else len(starts)}: prefill again",
    )
