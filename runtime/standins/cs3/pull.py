"""Decide which bytes of a prefill worker's KV go where: the checks and the exact list of reads.

The worker's regions are one a layer, f16 ``[num_blocks, 2 (K, V), block_size, kv_heads, head_dim]`` (vLLM's NHD); the
engine's cache is f16 ``[layers, 2, capacity, kv_heads, head_dim]``. Tokens of one half block are contiguous in both.
"""

from __future__ import annotations

from typing import Any, Final

from runtime.handoff.contract import Code, HandoffError
from runtime.handoff.kv import layout
from runtime.handoff.kv.attention import Heads, Rope
from runtime.handoff.kv.description import Element, KvDescription
from runtime.handoff.kv.layout import Layout
from runtime.handoff.kv.memory import Holding, Memory
from runtime.handoff.kv.plan import plan
from runtime.handoff.nixl import Pair
from runtime.handoff.sidechannel import NixlAgentMetadata
from runtime.standins.engine.weights import Geometry

LAYOUT: Final = "NHD"


def check_layout(remote: NixlAgentMetadata, geometry: Geometry) -> None:
    """Raise ``HandoffError`` (``kv_layout``) unless the worker's regions are what this module reads."""
    block_bytes = _description(geometry, layout.NHD, remote.block_size).block_bytes()
    # the element type is not in the handshake: bf16 would look the same, which only vLLM's compatibility hash can tell
    got_and_needed = {
        "kv_cache_layout": (remote.kv_cache_layout, LAYOUT),
        "regions": (len(remote.kv_caches_base_addr), geometry.layers),
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


def plan_reads(
    remote: NixlAgentMetadata,
    block_ids: list[int],
    num_tokens: int,
    geometry: Geometry,
    *,
    cache_address: int,
    capacity: int,
) -> list[Pair]:
    """Return the reads that fill the first ``num_tokens`` of a cache of ``capacity`` tokens at ``cache_address``.

    Nothing beyond those tokens is moved: the lengths add up to ``num_tokens * kv_bytes_per_token``.
    """
    worker = _description(geometry, layout.NHD, remote.block_size)
    engine = _description(geometry, layout.TOKEN_MAJOR, capacity)
    there = Memory(
        bases=tuple(remote.kv_caches_base_addr),
        block_strides=tuple(remote.block_strides),
        num_blocks=remote.num_blocks,
    )
    here = Memory(bases=(cache_address,), block_strides=(engine.block_bytes(),), num_blocks=1)
    producer = Holding(description=worker, memories=(there,), block_ids=(tuple(block_ids),))
    consumer = Holding(description=engine, memories=(here,), block_ids=((0,),))
    (transfer,) = plan(producer, consumer, num_tokens).transfers
    return [(local, distant, length) for local, distant, length in transfer.pairs.tolist()]


def _in_memory(remote: NixlAgentMetadata) -> bool:
    end = max(remote.kv_caches_base_addr) + remote.num_blocks * max(remote.block_strides)
    return min(remote.kv_caches_base_addr) > 0 and end < 2**63  # beyond that int64 would turn into float


def _description(geometry: Geometry, order: Layout, block_size: int) -> KvDescription:
    return KvDescription(
        attention=Heads(kv_heads=geometry.kv_heads, width=geometry.head_dim, rope_dim=geometry.head_dim),
        layers=geometry.layers,
        element=Element.F16,
        rope=Rope.HALF_SPLIT,
        layout=order,
        block_size=block_size,
    )
