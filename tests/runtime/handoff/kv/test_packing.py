"""Packing puts every element where vLLM's CPU backend was seen to keep it."""

from __future__ import annotations

import numpy as np
import pytest

from runtime.handoff.kv.layout import Packing
from runtime.handoff.kv.packing import pack, unpack


@pytest.mark.parametrize(("tokens", "width"), [(16, 16), (32, 64), (48, 16)])
def test_elements_stand_where_amx_wants_them(tokens: int, width: int) -> None:
    plain = np.arange(3 * tokens * width, dtype=np.uint16).reshape(3, tokens, width)
    keys = pack(plain, Packing.VNNI, half=0).reshape(3, tokens // 16, width // 2, 16, 2)
    values = pack(plain, Packing.VNNI, half=1).reshape(3, width // 16, tokens // 2, 16, 2)
    for token, dim in np.ndindex(tokens, width):
        assert (keys[:, token // 16, dim // 2, token % 16, dim % 2] == plain[:, token, dim]).all()
        assert (values[:, dim // 16, token // 2, dim % 16, token % 2] == plain[:, token, dim]).all()


def test_without_amx_a_dim_of_all_tokens_lies_together_in_k_and_v_is_plain() -> None:
    plain = np.arange(3 * 32 * 64, dtype=np.uint16).reshape(3, 32, 64)
    keys = pack(plain, Packing.K_TRANSPOSED, half=0).reshape(3, 64, 32)
    for token, dim in np.ndindex(32, 64):
        assert (keys[:, dim, token] == plain[:, token, dim]).all()
    assert (pack(plain, Packing.K_TRANSPOSED, half=1) == plain).all()


@pytest.mark.parametrize(
    ("packing", "half"), [(Packing.VNNI, 0), (Packing.VNNI, 1), (Packing.K_TRANSPOSED, 0)], ids=str
)
def test_unpacking_undoes_packing(packing: Packing, half: int) -> None:
    plain = np.random.default_rng(0).integers(0, 2**16, (2, 5, 32, 64), np.uint16)
    packed = pack(plain, packing, half=half)
    assert packed.shape == plain.shape
    assert not (packed == plain).all()
    assert (unpack(packed, packing, half=half) == plain).all()
