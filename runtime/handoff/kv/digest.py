"""Digest canonical KV block by block, so that a reader can prove that it decodes what the producer computed.

The digest of tokens ``[a, b)`` is XXH3-64 over a header (element, extents, ``a``, ``b``) and then, layer by layer and
half by half, the bytes ``[token, head, dim]``, little endian. It is over canonical order, so it survives any change of
layout, and in the producer's element type: a reader that narrows KV verifies before it does.
"""

from __future__ import annotations

import sys
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


def digests(kv: Stored, size: int) -> bytes:
    """Return the digests of ``[layer, half, token, head, dim]`` KV, for ``size`` tokens each."""
    return b"".join(_digest(kv, start, min(start + size, kv.shape[2])) for start in range(0, kv.shape[2], size))


def verify(kv: Stored, seal: Seal) -> None:
    """Raise ``HandoffError`` (``kv_corrupt``) unless KV is, byte for byte, what its producer digested."""
    found = digests(kv, seal.block_tokens)
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


def _digest(kv: Stored, start: int, stop: int) -> bytes:
    layers, halves, _, heads, width = kv.shape
    state = xxhash.xxh3_64(f"{kv.dtype.str} {layers} {halves} {heads} {width} {start} {stop}".encode())
    for layer in range(layers):
        for half in range(halves):
            state.update(np.ascontiguousarray(kv[layer, half, start:stop]).view(np.uint8).reshape(-1).data)
    return state.digest()
