"""Scatter a cache over blocks and find it again."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from runtime.standins.engine.weights import Geometry
from runtime.standins.vllm.kv_pool import KvPool

GEOMETRY = Geometry(layers=2, kv_heads=3, head_dim=4, context=64, vocabulary=10)


@pytest.mark.parametrize("step", [1, 5, 8, 24])
@pytest.mark.parametrize("tokens", [1, 7, 8, 9, 24])
def test_blocks_hold_the_cache_in_order(tokens: int, step: int) -> None:
    pool = KvPool(GEOMETRY, num_blocks=6, block_size=8)
    cache = np.random.default_rng(tokens).random((2, 2, tokens, 3, 4)).astype(np.float16)
    blocks = (5, 1, 3)[: pool.blocks_for(tokens)]
    for layer, first in itertools.product(range(2), range(0, tokens, step)):
        pool.write(blocks, layer, cache[layer, :, first : first + step], first)
    for layer, region in enumerate(pool.regions):
        found = region[list(blocks)].swapaxes(0, 1).reshape(2, -1, 3, 4)[:, :tokens]
        assert (found == cache[layer]).all()
        others = [block for block in range(6) if block not in blocks]
        assert not region[others].any()
