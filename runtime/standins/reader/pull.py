"""Check what a prefill worker says of its KV before anything of it is read."""

from __future__ import annotations

import math
from typing import Any, Final

from runtime.handoff.contract import Code, HandoffError
from runtime.handoff.kv import layout
from runtime.handoff.kv.attention import Heads, Rope
from runtime.handoff.kv.description import Element, KvDescription
from runtime.handoff.kv.layout import Layout
from runtime.handoff.kv.memory import Holding, Memory
from runtime.handoff.sidechannel import NixlAgentMetadata
from runtime.standins.engine.weights import Geometry

LAYOUT: Final = "NHD"
"""The layout that a handshake must name where nothing else says how its worker keeps KV."""


def describe(remote: NixlAgentMetadata, geometry: Geometry) -> KvDescription:
    """Return how a worker that does not say more keeps KV; raise ``HandoffError`` (``kv_layout``) unless it is NHD.

    The element type is in no handshake; it is taken to be f16, which bf16 would pass for.
    """
    if remote.kv_cache_layout != LAYOUT:
        raise HandoffError(
            Code.KV_LAYOUT,
            f"worker's kv_cache_layout is {remote.kv_cache_layout!r}: its handshake tells neither element nor packing, "
            "describe its KV",
        )
    return f16(geometry, layout.NHD, remote.block_size)


def check_layout(remote: NixlAgentMetadata, worker: KvDescription, geometry: Geometry) -> None:
    """Raise ``HandoffError`` (``kv_layout``) unless the regions are of ``worker``'s layout, and of our model."""
    engine = f16(geometry, layout.TOKEN_MAJOR, 1)
    block_bytes = worker.block_bytes()
    got_and_needed = {
        "attention and layers": ((worker.attention, worker.layers), (engine.attention, engine.layers)),
        "scales": (worker.scales, None),
        "tensor-parallel ranks": (worker.tp_size, 1),
        "block groups": (set(worker.groups) | {0}, {0}),
        "block_size": (remote.block_size, worker.block_size),
        "regions": (len(remote.kv_caches_base_addr), math.prod(worker.region_shape())),
        "block_lens": (set(remote.block_lens), {block_bytes}),
        "block_strides below block_lens": (min(remote.block_strides) < block_bytes, False),
        "regions outside of memory": (not _in_memory(remote), False),
        "physical_blocks_per_logical_kv_block": (remote.physical_blocks_per_logical_kv_block, 1),
    }
    wrong = [f"{name} is {got}, needed is {needed}" for name, (got, needed) in got_and_needed.items() if got != needed]
    if wrong:
        raise HandoffError(Code.KV_LAYOUT, f"worker's KV has another layout: {'; '.join(wrong)}")


def needed_blocks(groups: list[Any], num_tokens: int, *, block_size: int, num_blocks: int) -> list[int]:
    """Return the ids of the blocks that hold ``num_tokens`` tokens, in order.

    ``groups`` are vLLM's block ids, a list per KV cache group; this model has one group. Raises ``HandoffError``:
    ``kv_layout`` on more groups, ``kv_incomplete`` on too few blocks, ``kv_foreign`` on ids the worker cannot have.
    """
    if len(groups) != 1 or not isinstance(groups[0], list):
        raise HandoffError(Code.KV_LAYOUT, f"KV has {len(groups)} block groups, one list of block ids is needed")
    needed = -(-num_tokens // block_size)
    ids: list[Any] = groups[0][:needed]
    if len(ids) < needed:
        raise HandoffError(
            Code.KV_INCOMPLETE, f"{len(ids)} blocks of {block_size} tokens came, {num_tokens} tokens need {needed}"
        )
    # type() and not isinstance: True is no block id
    if any(type(block) is not int or not 0 <= block < num_blocks for block in ids) or len(set(ids)) < needed:
        raise HandoffError(Code.KV_FOREIGN, f"block ids must be distinct and from 0 to {num_blocks - 1}")
    return ids


def holding(remote: NixlAgentMetadata, worker: KvDescription, blocks: list[int]) -> Holding:
    """Return where a worker's blocks lie; its handshake was checked against ``worker``."""
    memory = Memory(
        bases=tuple(remote.kv_caches_base_addr),
        block_strides=tuple(remote.block_strides),
        num_blocks=remote.num_blocks,
    )
    return Holding(description=worker, memories=(memory,), block_ids=(tuple(blocks),))


def f16(geometry: Geometry, order: Layout, block_size: int) -> KvDescription:
    """Describe KV as the engine computes it, in any layout."""
    return KvDescription(
        attention=Heads(kv_heads=geometry.kv_heads, width=geometry.head_dim, rope_dim=geometry.head_dim),
        layers=geometry.layers,
        element=Element.F16,
        rope=Rope.HALF_SPLIT,
        layout=order,
        block_size=block_size,
    )


def _in_memory(remote: NixlAgentMetadata) -> bool:
    end = max(remote.kv_caches_base_addr) + remote.num_blocks * max(remote.block_strides)
    return min(remote.kv_caches_base_addr) > 0 and end < 2**63  # beyond that int64 would turn into float
