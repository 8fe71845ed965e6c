"""What a worker says of its KV is believed only where it fits the model and itself."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from runtime.handoff.contract import Code, HandoffError
from runtime.handoff.kv import layout
from runtime.handoff.kv.attention import Heads
from runtime.handoff.kv.description import Element, Granularity
from runtime.handoff.sidechannel import NixlAgentMetadata
from runtime.standins.engine.weights import Geometry
from runtime.standins.reader.pull import check_layout, describe, f16, needed_blocks

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


@pytest.mark.parametrize(
    "changes",
    [
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
    worker = describe(metadata(), GEOMETRY)
    check_layout(metadata(), worker, GEOMETRY)
    with pytest.raises(HandoffError, match="another layout") as caught:
        check_layout(metadata(**changes), worker, GEOMETRY)
    assert caught.value.code is Code.KV_LAYOUT


@pytest.mark.parametrize(
    "changes",
    [
        {"block_size": 8},
        {"layers": 2},
        {"attention": Heads(kv_heads=2, width=4, rope_dim=2)},
        {"element": Element.F32},
        {"element": Element.F8_E4M3, "scales": Granularity.TENSOR},
        {"tp_size": 2},
        {"groups": (0, 0, 1)},
    ],
)
def test_a_description_must_fit_handshake_and_model(changes: dict[str, Any]) -> None:
    worker = msgspec.structs.replace(f16(GEOMETRY, layout.NHD, 4), **changes)
    with pytest.raises(HandoffError, match="another layout"):
        check_layout(metadata(), worker, GEOMETRY)


def test_a_handshake_that_leaves_element_and_packing_open_is_refused() -> None:
    with pytest.raises(HandoffError, match="'LBHNC': its handshake tells neither element nor packing") as caught:
        describe(metadata(kv_cache_layout="LBHNC"), GEOMETRY)
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
