"""Read and write elements of KV; bf16 and fp8, which numpy lacks, are held as their bits (uint16, uint8)."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from runtime.handoff.kv.description import Element, Granularity

Floats = NDArray[np.float32]
Stored = NDArray[Any]
"""KV in ``DTYPES[element]``."""

DTYPES: Final[dict[Element, np.dtype[Any]]] = {
    Element.F16: np.dtype("<f2"),
    Element.BF16: np.dtype("<u2"),
    Element.F32: np.dtype("<f4"),
    Element.F8_E4M3: np.dtype("u1"),
}

F8_MAX: Final = 448.0
_F8_NAN: Final = 0x7F


def to_f32(stored: Stored, element: Element, scales: Floats | None = None) -> Floats:
    """Return the values, exact but for f8-e4m3, whose product with its scale is rounded to f32.

    ``scales`` broadcast against ``stored``; only f8-e4m3 has them.
    """
    if element is Element.BF16:
        return (stored.astype(np.uint32) << 16).view(np.float32)
    if element is Element.F8_E4M3:
        return np.multiply(_F8_VALUES[stored], _needed(scales))
    return stored.astype(np.float32)


def from_f32(values: Floats, element: Element, scales: Floats | None = None) -> Stored:
    """Round to the nearest, ties to even; f8-e4m3 saturates at its largest value, f16 overflows to infinity."""
    if element is Element.BF16:
        return _bf16(values)
    if element is Element.F8_E4M3:
        return _f8(np.divide(values, _needed(scales), dtype=np.float32))
    with np.errstate(over="ignore"):
        return values.astype(DTYPES[element])


def scales_for(values: Floats, granularity: Granularity) -> Floats:
    """Return the f32 scales, for ``[layer, half, token, head, dim]``, that let f8-e4m3 hold the largest values.

    They keep all five axes, of extent one where they are shared, so that they broadcast.
    """
    shared = {Granularity.TENSOR: (2, 3, 4), Granularity.HEAD: (2, 4), Granularity.TOKEN: (4,)}[granularity]
    largest = np.abs(values).max(axis=shared, keepdims=True)
    return np.where(largest > 0, largest / np.float32(F8_MAX), np.float32(1)).astype(np.float32)


def _needed(scales: Floats | None) -> Floats:
    if scales is None:
        raise ValueError("f8-e4m3 came without scales, which it has no value without")
    return scales


def _bf16(values: Floats) -> Stored:
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16  # half of what is cut off, less one unless the rest is odd
    nan = np.isnan(values)
    if nan.any():  # rounding could turn a NaN into an infinity: keep its bits, and one of them set
        high = bits >> 16
        rounded = np.where(nan, np.where(high & 0x7F, high, high | 0x40), rounded)
    return np.asarray(rounded, np.uint16)


def _f8(values: Floats) -> Stored:
    magnitude = np.minimum(np.abs(values), np.float32(F8_MAX))
    bits = magnitude.view(np.uint32)
    # three of f32's 23 mantissa bits stay, and the exponent's bias falls from 127 to 7
    normal = ((bits + 0x7FFFF + ((bits >> 20) & 1)) >> 20) - (120 << 3)
    # subnormals are units of 2^-9, to which the addition rounds: it is the last place of 2^14
    subnormal = (magnitude + np.float32(2**14)).view(np.uint32) - np.float32(2**14).view(np.uint32)
    code = np.where(magnitude < 2.0**-6, subnormal, normal)
    code = np.where(np.isnan(values), _F8_NAN, code)
    return np.asarray(code | np.signbit(values).astype(np.uint32) << 7, np.uint8)


def _f8_values() -> Floats:
    code = np.arange(256)
    exponent, mantissa = (code >> 3) & 15, code & 7
    magnitude = np.where(exponent > 0, np.ldexp(8.0 + mantissa, exponent - 10), np.ldexp(0.0 + mantissa, -9))
    magnitude = np.where((code & 0x7F) == _F8_NAN, np.nan, magnitude)
    return np.asarray(np.where(code & 0x80, -magnitude, magnitude), np.float32)


_F8_VALUES: Final = _f8_values()
