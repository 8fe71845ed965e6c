"""Pack and unpack one head's ``[token, dim]`` as vLLM's CPU backend stores it.

``N`` is the tokens of a block, ``D`` the elements of a head; leading axes stay. Half 0 is K, 1 is V.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from runtime.handoff.kv.layout import Packing

Array = NDArray[Any]


def pack(plain: Array, packing: Packing, *, half: int) -> Array:
    """Return ``[…, N, D]`` packed, in the same shape."""
    *_, tokens, width = plain.shape
    if packing is Packing.K_TRANSPOSED and half == 0:
        return _reordered(plain, (tokens, width), (1, 0))
    if packing is Packing.VNNI and half == 0:
        return _reordered(plain, (tokens // 16, 16, width // 2, 2), (0, 2, 1, 3))
    if packing is Packing.VNNI:
        return _reordered(plain, (tokens // 2, 2, width // 16, 16), (2, 0, 3, 1))
    return plain


def unpack(packed: Array, packing: Packing, *, half: int) -> Array:
    """Undo ``pack``."""
    *_, tokens, width = packed.shape
    if packing is Packing.K_TRANSPOSED and half == 0:
        return _reordered(packed, (width, tokens), (1, 0))
    if packing is Packing.VNNI and half == 0:
        return _reordered(packed, (tokens // 16, width // 2, 16, 2), (0, 2, 1, 3))
    if packing is Packing.VNNI:
        return _reordered(packed, (width // 16, tokens // 2, 16, 2), (1, 3, 0, 2))
    return packed


def _reordered(array: Array, tiles: tuple[int, ...], order: tuple[int, ...]) -> Array:
    leading = array.shape[:-2]
    axes = (*range(len(leading)), *(len(leading) + axis for axis in order))
    return array.reshape(*leading, *tiles).transpose(axes).reshape(array.shape)
