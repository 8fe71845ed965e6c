"""Packing puts every element where vLLM's CPU backend was seen to keep it."""

from __future__ import annotations

import numpy as np
import pytest

from runtime.handoff.kv import vnni


@pytest.mark.parametrize(("tokens", "width"), [(16, 16), (32, 64), (48, 16)])
def test_elements_stand_where_amx_wants_them(tokens: int, width: int) -> None:
    plain = np.arange(3 * tokens * width, dtype=np.uint16).reshape(3, tokens, width)
    keys = vnni.pack(plain, half=0).reshape(3, tokens // 16, width // 2, 16, 2)
    values = vnni.pack(plain, half=1).reshape(3, width // 16, tokens // 2, 16, 2)
    for token, dim in np.ndindex(tokens, width):
        assert (keys[:, token // 16, dim // 2, token % 16, dim % 2] == plain[:, token, dim]).all()
        assert (values[:, dim // 16, token // 2, dim % 16, token % 2] == plain[:, token, dim]).all()


@pytest.mark.parametrize("half", [0, 1])
def test_unpacking_undoes_packing(half: int) -> None:
    plain = np.random.default_rng(0).integers(0, 2**16, (2, 5, 32, 64), np.uint16)
    packed = vnni.pack(plain, half=half)
    assert packed.shape == plain.shape
    assert not (packed == plain).all()
    assert (vnni.unpack(packed, half=half) == plain).all()
