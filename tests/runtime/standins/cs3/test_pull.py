"""The plan of reads moves exactly the prompt's KV, whatever the blocks."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from runtime.handoff.contract import Code, HandoffError
from runtime.handoff.sidechannel import NixlAgentMetadata
from runtime.standins.cs3.pull import check_layout, needed_blocks, plan_reads
from runtime.standins.engine.weights import Geometry

GEOMETRY = Geometry(layers=3, kv_heads=2, head_dim=4, context=64, vocabulary=10)
ROW = 2 * 4 * 2


def metadata(block_size: int = 4, num_blocks: int = 8, *, gap: int = 0, **changes: Any) -> NixlAgentMetadata:
    """Describe a worker whose regions lie 1 MiB apart, with ``gap`` unused bytes after each block."""
    block_bytes = 2 * block_size * ROW
    described = NixlAgentMetadata(
        engine_id="engine",
        agent_metadata=b"",
        kv_caches_base_addr=[(layer + 1) << 20 for layer in range(GEOMETRY.layers)],
        device_id=0,
        num_blocks=num_blocks,
        block_lens=[block_bytes] * GEOMETRY.layers,
        block_strides=[block_bytes + gap] * GEOMETRY.layers,
        kv_cache_layout="NHD",
        block_size=block_size,
        ssm_sizes=(0, 0),
        attn_backend_name="any",
        physical_blocks_per_logical_kv_block=1,
    )
    return msgspec.structs.replace(described, **changes)


@st.composite
def placements(draw: st.DrawFn) -> tuple[NixlAgentMetadata, list[int], int, int]:
    """Draw a worker, permuted block ids, a number of tokens and a cache's capacity."""
    block_size = draw(st.integers(1, 9))
    num_tokens = draw(st.integers(1, 40))
    needed = -(-num_tokens // block_size)
    num_blocks = needed + draw(st.integers(0, 3))
    ids = draw(st.permutations(range(num_blocks)))[:needed]
    remote = metadata(block_size, num_blocks, gap=draw(st.sampled_from([0, 32])))
    return remote, ids, num_tokens, num_tokens + draw(st.integers(0, 5))


def worker_memory(remote: NixlAgentMetadata) -> NDArray[np.uint8]:
    """Return random memory for one layer after the other, as far as blocks reach."""
    size = remote.num_blocks * remote.block_strides[0]
    return np.random.default_rng(0).integers(0, 256, (GEOMETRY.layers, size), np.uint8)


@given(placements())
def test_the_reads_move_every_token_once_and_nothing_else(
    placement: tuple[NixlAgentMetadata, list[int], int, int],
) -> None:
    remote, ids, num_tokens, capacity = placement
    memory = worker_memory(remote)
    cache = np.zeros((GEOMETRY.layers, 2, capacity, ROW), np.uint8)
    flat, touched = cache.reshape(-1), np.zeros(cache.size, np.uint8)
    reads = plan_reads(remote, ids, num_tokens, GEOMETRY, cache_address=5000, capacity=capacity)
    for local, distant, length in reads:
        layer, offset = distant // (1 << 20) - 1, distant % (1 << 20)
        flat[local - 5000 : local - 5000 + length] = memory[layer, offset : offset + length]
        touched[local - 5000 : local - 5000 + length] += 1
    assert sum(length for _, _, length in reads) == num_tokens * GEOMETRY.kv_bytes_per_token
    assert (touched.reshape(cache.shape)[:, :, :num_tokens] == 1).all()
    assert not touched.reshape(cache.shape)[:, :, num_tokens:].any()
    for token in range(num_tokens):  # the slow and obvious way to say where a token's K and V lie
        start = ids[token // remote.block_size] * remote.block_strides[0]
        for half in (0, 1):
            at = start + (half * remote.block_size + token % remote.block_size) * ROW
            assert (cache[:, half, token] == memory[:, at : at + ROW]).all()


@pytest.mark.parametrize(
    "changes",
    [
        {"kv_cache_layout": "HND"},
        {"kv_caches_base_addr": [1 << 20], "block_lens": [128], "block_strides": [128]},
        {"block_lens": [128, 128, 256]},
        {"block_strides": [128, 127, 128]},
        {"block_lens": [256] * 3, "block_strides": [256] * 3},  # as with blocks of 8 tokens, or of f32
        {"kv_caches_base_addr": [1 << 20, 0, 1 << 20]},
        {"kv_caches_base_addr": [1 << 20, 1 << 63, 1 << 20]},
        {"physical_blocks_per_logical_kv_block": 2},
    ],
)
def test_another_layout_is_refused_by_what_differs(changes: dict[str, Any]) -> None:
    check_layout(metadata(), GEOMETRY)
    with pytest.raises(HandoffError, match="another layout") as caught:
        check_layout(metadata(**changes), GEOMETRY)
    assert caught.value.code is Code.KV_LAYOUT


@pytest.mark.parametrize(
    ("groups", "code"),
    [
        ([[1, 2]], None),
        ([[7, 0, 3]], None),  # a block more than needed does no harm
        ([[1]], Code.KV_INCOMPLETE),
        ([[]], Code.KV_INCOMPLETE),
        ([[1, 1]], Code.KV_FOREIGN),
        ([[1, 8]], Code.KV_FOREIGN),
        ([[-1, 2]], Code.KV_FOREIGN),
        ([[True, 2]], Code.KV_FOREIGN),
        ([["1", 2]], Code.KV_FOREIGN),
        ([[[1], 2]], Code.KV_FOREIGN),
        ([1, 2], Code.KV_LAYOUT),
        ([[1, 2], [3, 4]], Code.KV_LAYOUT),
    ],
)
def test_block_ids_must_name_enough_blocks_of_the_worker(groups: list[Any], code: Code | None) -> None:
    if code is None:
        assert needed_blocks(groups, 8, block_size=4, num_blocks=8) == groups[0][:2]
        return
    with pytest.raises(HandoffError) as caught:
        needed_blocks(groups, 8, block_size=4, num_blocks=8)
    assert caught.value.code is code
