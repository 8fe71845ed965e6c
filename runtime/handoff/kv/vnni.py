"""Pack and unpack one head's ``[token, dim]`` as vLLM's CPU backend does for AMX, 16 rows by pairs.

K of ``N`` tokens and ``D`` elements becomes ``[N/16][D/2][16][2]``, V ``[D/16][N/2][16][2]``. Leading axes stay; ``N``
and ``D`` are multiples of 16.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]


def pack(plain: Array, *, half: int) -> Array:
    """Return ``[…, N, D]`` packed, in the same shape; half 0 is K, 1 is V."""
    *_, tokens, width = plain.shape
    if half == 0:
        return _reordered(plain, (tokens // 16, 16, width // 2, 2), (0, 2, 1, 3))
    return _reordered(plain, (tokens // 2, 2, width // 16, 16), (2, 0, 3, 1))


def unpack(packed: Array, *, half: int) -> Array:
    """Undo ``pack``."""
    *_, tokens, width = packed.shape
    if half == 0:
        return _reordered(packed, (tokens // 16, width // 2, 16, 2), (0, 2, 1, 3))
    return _reordered(packed, (width // 16, tokens // 2, 16, 2), (1, 3, 0, 2))


def _reordered(array: Array, tiles: tuple[int, ...], order: tuple[int, ...]) -> Array:
    leading = array.shape[:-2]
    axes = (*range(len(leading)), *(len(leading) + axis for axis in order))
    return array.reshape(*leading, *tiles).transpose(axes).reshape(array.shape)
