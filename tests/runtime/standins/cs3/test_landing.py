"""KV of any layout comes into the engine's cache whole, and nothing else does."""

from __future__ import annotations

import ctypes
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.handoff.contract import Code, HandoffError
from runtime.handoff.kv import layout as layouts
from runtime.handoff.kv.attention import Rope
from runtime.handoff.kv.cache import Cache
from runtime.handoff.kv.description import Element, KvDescription
from runtime.handoff.kv.element import from_f32
from runtime.handoff.kv.memory import Integers
from runtime.handoff.sidechannel import NixlAgentMetadata
from runtime.standins.cs3.landing import Landing, land
from runtime.standins.cs3.pull import check_layout, f16
from runtime.standins.engine.weights import Geometry

GEOMETRY = Geometry(layers=3, kv_heads=2, head_dim=16, context=128, vocabulary=10)
NHD = f16(GEOMETRY, layouts.NHD, 16)


def described(**changes: Any) -> KvDescription:
    return msgspec.structs.replace(NHD, **changes)


WORKERS = {
    "vLLM's stand-in": NHD,
    "odd blocks": described(block_size=5),
    "heads first": described(layout=layouts.HND),
    "split": described(layout=layouts.SPLIT_NHD),
    "RoPE interleaved": described(rope=Rope.INTERLEAVED),
    "vLLM on a CPU": described(layout=layouts.VLLM_CPU, element=Element.BF16),
    "vLLM on a CPU with AMX": described(layout=layouts.VLLM_CPU_AMX, element=Element.BF16),
    "wide": described(element=Element.F32),
}


def handshake(worker: Cache) -> NixlAgentMetadata:
    """Describe memory as a NIXL handshake does."""
    (memory,) = worker.holding().memories
    lens = [worker.description.block_bytes()] * len(memory.bases)
    return NixlAgentMetadata(
        engine_id="engine",
        agent_metadata=b"",
        kv_caches_base_addr=list(memory.bases),
        device_id=0,
        num_blocks=memory.num_blocks,
        block_lens=lens,
        block_strides=list(memory.block_strides),
        kv_cache_layout="any",
        block_size=worker.description.block_size,
        ssm_sizes=(0, 0),
        attn_backend_name="any",
        physical_blocks_per_logical_kv_block=1,
    )


def read(pairs: Integers) -> None:
    """Do what NIXL does."""
    for local, remote, length in pairs.tolist():
        ctypes.memmove(local, remote, length)


def flown(worker: Cache, num_tokens: int, cache: Any) -> Landing:
    """Land a worker's KV, up to the READ."""
    remote = handshake(worker)
    check_layout(remote, worker.description, GEOMETRY)
    landing = land(remote, worker.description, list(worker.block_ids[0]), num_tokens, GEOMETRY, cache)
    low = landing.memory.ctypes.data
    assert all(
        low <= local and local + size <= low + landing.memory.nbytes for local, _, size in landing.pairs.tolist()
    )
    read(landing.pairs)
    return landing


@given(st.sampled_from(list(WORKERS)), st.integers(1, 60), st.integers(0, 5), st.randoms(use_true_random=False))
def test_the_cache_holds_what_the_worker_computed(name: str, num_tokens: int, room: int, random: Any) -> None:
    description = WORKERS[name]
    needed = -(-num_tokens // description.block_size)
    ids = random.sample(range(needed + 3), needed)
    worker = Cache.allocate(description, needed + 3, [ids])
    # a few bits of mantissa only, which every element type holds
    values = np.random.default_rng(0).integers(-64, 64, (3, 2, num_tokens, 2, 16)).astype(np.float32)
    computed = from_f32(values, description.element)
    worker.write(computed)
    cache = np.zeros((3, 2, num_tokens + room, 2, 16), np.float16)
    landing = flown(worker, num_tokens, cache)
    assert (landing.received() == computed).all()
    landing.settle(landing.received())
    if description.rope is NHD.rope:
        assert (cache[:, :, :num_tokens] == values).all()
    assert not cache[:, :, num_tokens:].any()
    if name in ("vLLM's stand-in", "odd blocks"):
        assert landing.memory is cache
        assert landing.pairs[:, 2].sum() == num_tokens * GEOMETRY.kv_bytes_per_token


def test_values_beyond_f16_are_refused() -> None:
    worker = Cache.allocate(described(element=Element.F32), 1, [[0]])
    worker.write(np.full((3, 2, 16, 2, 16), 70_000, np.float32))
    landing = flown(worker, 16, np.zeros((3, 2, 16, 2, 16), np.float16))
    with pytest.raises(HandoffError, match="f16 cannot hold") as caught:
        landing.settle(landing.received())
    assert caught.value.code is Code.KV_LAYOUT
