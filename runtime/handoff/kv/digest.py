"""Digest canonical KV block by block, so that a reader can prove that it decodes what the producer computed.

The digest of tokens ``[a, b)`` is XXH3-64 over a header (element, extents, ``a``, ``b``) and then, layer by layer and
half by half, the bytes ``[token, head, dim]``, little endian. It is over canonical order, so it survives any change of
layout, and in the producer's element type: a reader that narrows KV verifies before it does.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

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
    """Digest ``[layer, half, token, head, dim]`` KV as it comes, ``size`` tokens together, layer by layer.

    Different blocks may be advanced in different threads.
    """

    def __init__(self, kv: Stored, size: int) -> None:
        layers, halves, tokens, heads, width = kv.shape
        self._kv = kv
        self._spans = [(start, min(start + size, tokens)) for start in range(0, tokens, size)]
        head = f"{kv.dtype.str} {layers} {halves} {heads} {width}"
        self._states = [xxhash.xxh3_64(f"{head} {start} {stop}".encode()) for start, stop in self._spans]
        self._layers = [0] * len(self._spans)

    def advance(self, block: int, layers: int) -> None:
        """Digest a block's first ``layers`` layers, those that were not before: they must not change any more."""
        start, stop = self._spans[block]
        for layer in range(self._layers[block], layers):
            for half in self._kv[layer, :, start:stop]:
                self._states[block].update(np.ascontiguousarray(half).view(np.uint8).reshape(-1).data)
        self._layers[block] = max(self._layers[block], layers)

    def advance_to(self, front: Sequence[int]) -> None:
        """Digest all blocks whose KV is there, up to the tokens that ``front`` says of each layer."""
        for block, (_, stop) in enumerate(self._spans):
            self.advance(block, next((layer for layer, tokens in enumerate(front) if tokens < stop), len(front)))

    def digests(self) -> bytes:
        """Return the digests, once all layers were digested."""
        if {*self._layers} != {self._kv.shape[0]}:
            raise RuntimeError(f"blocks are digested up to layers {self._layers}, not up to {self._kv.shape[0]}")
        return b"".join(state.digest() for state in self._states)


def digests(kv: Stored, size: int) -> bytes:
    """Return the digests of whole KV, for ``size`` tokens each."""
    digester = Digester(kv, size)
    digester.advance_to([kv.shape[2]] * kv.shape[0])
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
