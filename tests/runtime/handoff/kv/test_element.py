"""Elements are rounded to the nearest value of their type, and come back exactly where the type allows."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.handoff.kv.description import Element, Granularity
from runtime.handoff.kv.element import DTYPES, F8_MAX, from_f32, scales_for, to_f32

ONE = np.ones(1, np.float32)


def all_codes(element: Element) -> np.ndarray[tuple[int], np.dtype[np.unsignedinteger]]:
    size = DTYPES[element].itemsize
    return np.arange(1 << (8 * size), dtype=np.dtype(f"<u{size}"))


def f8_value(code: int) -> float:
    """Return what float8_e4m3fn's definition says: bias 7, no infinity, NaN where all but the sign are ones."""
    sign, exponent, mantissa = -1 if code & 128 else 1, code >> 3 & 15, code & 7
    if code & 127 == 127:
        return float("nan")
    return sign * (mantissa / 8 * 2.0**-6 if exponent == 0 else (1 + mantissa / 8) * 2.0 ** (exponent - 7))


F8_VALUES = np.array([f8_value(code) for code in range(256)], np.float32)


def test_bf16_keeps_all_its_bits_in_f32() -> None:
    codes = all_codes(Element.BF16)
    values = to_f32(codes, Element.BF16)
    assert (from_f32(values, Element.BF16) == codes).all()  # NaNs keep their payload
    assert values[0x3F80] == 1
    assert values[0xC049] == struct.unpack(">f", b"\xc0\x49\0\0")[0]


def test_bf16_rounds_ties_to_even_and_keeps_nan() -> None:
    lower = np.arange(0x7F7F, dtype=np.uint32)
    ties = ((lower << 16) | 0x8000).view(np.float32)
    assert (from_f32(ties, Element.BF16) == lower + (lower & 1)).all()
    nan = np.array([0x7F800001, 0xFF800001], np.uint32).view(np.float32)  # payload in the bits that are cut off
    assert np.isnan(to_f32(from_f32(nan, Element.BF16), Element.BF16)).all()


def test_f16_keeps_all_its_numbers_in_f32() -> None:
    codes = all_codes(Element.F16)
    stored = codes.view(np.float16)
    numbers = ~np.isnan(stored)
    assert (from_f32(to_f32(stored, Element.F16), Element.F16).view(np.uint16)[numbers] == codes[numbers]).all()
    assert np.isinf(from_f32(np.array([1e6], np.float32), Element.F16)).all()


@pytest.mark.parametrize("scale", [1.0, 0.37, 3e-5, 1234.5])
def test_f8_keeps_all_its_codes_under_the_same_scale(scale: float) -> None:
    codes, scales = all_codes(Element.F8_E4M3).astype(np.uint8), np.full(1, scale, np.float32)
    values = to_f32(codes, Element.F8_E4M3, scales)
    np.testing.assert_array_equal(values, F8_VALUES * np.float32(scale))
    assert (from_f32(values, Element.F8_E4M3, scales) == codes).all()


@given(st.lists(st.floats(width=32), min_size=1, max_size=50))
def test_f8_takes_the_nearest_value_and_on_a_tie_the_even_one(numbers: list[float]) -> None:
    for value, code in zip(
        numbers, from_f32(np.array(numbers, np.float32), Element.F8_E4M3, ONE).tolist(), strict=True
    ):
        if np.isnan(value):
            assert code & 127 == 127
            continue
        distance = [
            abs(abs(np.clip(value, -F8_MAX, F8_MAX)) - candidate) for candidate in F8_VALUES[:127].astype(float)
        ]
        nearest = [candidate for candidate in range(127) if distance[candidate] == min(distance)]
        assert code & 127 == min(nearest, key=lambda candidate: candidate & 1)
        assert bool(code & 128) == bool(np.signbit(np.float32(value)))


def test_f8_rounds_ties_between_all_neighbours() -> None:
    ties = (F8_VALUES[:126] + F8_VALUES[1:127]) * np.float32(0.5)
    lower = np.arange(126)
    assert (from_f32(ties, Element.F8_E4M3, ONE) == lower + (lower & 1)).all()


@given(st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=50))
def test_bf16_takes_the_nearest_value(numbers: list[float]) -> None:
    values = np.array(numbers, np.float32)
    bits = values.view(np.uint32).astype(np.int64)
    code = from_f32(values, Element.BF16).astype(np.int64) << 16
    assert (np.abs(code - bits) <= 0x8000).all()
    assert ((np.abs(code - bits) < 0x8000) | ((code >> 16) % 2 == 0)).all()


@pytest.mark.parametrize(
    ("granularity", "shape"),
    [(Granularity.TENSOR, (2, 2, 1, 1, 1)), (Granularity.HEAD, (2, 2, 1, 3, 1)), (Granularity.TOKEN, (2, 2, 5, 3, 1))],
)
def test_scales_reach_the_largest_value_of_what_shares_them(granularity: Granularity, shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(0).standard_normal((2, 2, 5, 3, 8)).astype(np.float32) * 100
    values[1, 0, 2, 1] = 0
    scales = scales_for(values, granularity)
    assert scales.shape == shape
    codes = from_f32(values, Element.F8_E4M3, scales)
    assert (codes & 127).max() == 126
    assert (np.abs(to_f32(codes, Element.F8_E4M3, scales) - values) <= np.abs(values) / 16 + scales / 512).all()


def test_f8_without_scales_has_no_value() -> None:
    with pytest.raises(ValueError, match="without scales"):
        to_f32(np.zeros(1, np.uint8), Element.F8_E4M3)
