"""Digest canonical KV block by block, so that a reader can prove that it decodes what the producer computed.

The digest of tokens ``[a, b)`` is XXH3-64 over a header (element, extents, ``a``, ``b``) and then, layer by layer, the
producer's block by block and half by half, the bytes ``[token, head, dim]``, little endian. That is their order in
whatever layout, so a digest survives any change of it; in NHD blocks it is the order of memory. It is over the
producer's element type: a reader that narrows KV verifies before it does.

*Paged* KV is ``[layer, half, page, token, head, dim]``, canonical but in pages, of which the last need not be full.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, Final

import numpy as np
import xxhash
from numpy.lib.stride_tricks import as_strided

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

    ``block_size`` is the producer's. Different blocks may be advanced in different threads.
    """

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any], size: int, block_size: int) -> None:
        self._layers, halves, tokens, heads, width = shape
        self._spans = [range(start, min(start + size, tokens)) for start in range(0, tokens, size)]
        self._block_size = block_size
        self._places: dict[tuple[int, ...], list[list[slice]]] = {}
        head = f"{dtype.str} {self._layers} {halves} {heads} {width}"
        self._states = [xxhash.xxh3_64(f"{head} {span.start} {span.stop}".encode()) for span in self._spans]
        self._digested = [0] * len(self._spans)

    def advance(self, block: int, layers: Stored) -> None:
        """Digest a block's next layers, paged, which come with all tokens; what is of it must not change any more."""
        self._update((block,), layers)

    def advance_all(self, layers: Stored) -> None:
        """Digest the next layers, paged, of all blocks."""
        self._update(range(len(self._spans)), layers)

    def advance_to(self, front: Sequence[int], kv: Stored) -> None:
        """Digest the blocks of whole paged KV that are there: ``front`` says how many tokens of each layer are."""
        for block, span in enumerate(self._spans):
            there = next((layer for layer, tokens in enumerate(front) if tokens < span.stop), len(front))
            self.advance(block, kv[self._digested[block] : there])

    def _update(self, blocks: Sequence[int], layers: Stored) -> None:
        """Digest layer by layer: block after block took twice as long, on KV that was just written."""
        if not layers[:1, :1, :1].flags.c_contiguous:
            layers = np.ascontiguousarray(layers)
        if len(layers):
            places = self._placed(layers[0])
            for octets in _octets(layers):
                for block in blocks:
                    for place in places[block]:
                        self._states[block].update(octets[place])
        for block in blocks:
            self._digested[block] += len(layers)

    def digests(self) -> bytes:
        """Return the digests, once all layers were digested."""
        if {*self._digested} != {self._layers}:
            raise RuntimeError(f"blocks are digested up to layers {self._digested}, not up to {self._layers}")
        return b"".join(state.digest() for state in self._states)

    def _placed(self, layer: Stored) -> list[list[slice]]:
        """Return ``_places`` of all blocks, which are the same in all layers."""
        key = (layer.shape[2], *layer.strides)
        if key not in self._places:
            self._places[key] = [_places(span, self._block_size, layer) for span in self._spans]
        return self._places[key]


def _octets(layers: Stored) -> Iterator[memoryview]:
    """Yield the memory that each paged layer spans, from its first byte to its last, with what lies between."""
    steps = zip(layers.shape[1:], layers.strides[1:], strict=True)
    extent = layers.itemsize + sum((count - 1) * step for count, step in steps)
    return (octets.data for octets in as_strided(layers.view(np.uint8), (len(layers), extent), (layers.strides[0], 1)))


def _places(tokens: range, block_size: int, layer: Stored) -> list[slice]:
    """Return where the bytes of ``tokens`` lie in a paged layer, in the digest's order; neighbours are one."""
    (halves, _, page), (half_step, page_step, _) = layer.shape[:3], layer.strides[:3]
    row = layer[0, 0, 0].nbytes
    found: list[slice] = []
    for block in _cut(tokens, block_size):
        for half in range(halves):
            for part in _cut(block, page):
                start = half * half_step + part.start // page * page_step + part.start % page * row
                first = found.pop().start if found and found[-1].stop == start else start
                found.append(slice(first, start + len(part) * row))
    return found


def _cut(tokens: range, size: int) -> Iterator[range]:
    """Cut tokens at the multiples of ``size``."""
    ends = [*range((tokens.start // size + 1) * size, tokens.stop, size), tokens.stop]
    return (range(start, stop) for start, stop in pairwise([tokens.start, *ends]))


def digests(kv: Stored, size: int, block_size: int) -> bytes:
    """Return the digests of whole canonical KV from blocks of ``block_size`` tokens, for ``size`` tokens each."""
    digester = Digester(kv.shape, kv.dtype, size, block_size)
    digester.advance_all(kv[:, :, None])
    return digester.digests()


def verify(kv: Stored, seal: Seal, block_size: int) -> None:
    """Raise ``HandoffError`` (``kv_corrupt``) unless KV is, byte for byte, what its producer digested."""
    compare(digests(kv, seal.block_tokens, block_size), seal)


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
