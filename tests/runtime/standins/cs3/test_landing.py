"""KV of any layout comes into the engine's cache whole, and nothing else does."""

from __future__ import annotations

import asyncio
import ctypes
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from runtime.handoff.contract import Code, HandoffError
from runtime.handoff.kv import digest
from runtime.handoff.kv import layout as layouts
from runtime.handoff.kv.attention import Rope
from runtime.handoff.kv.cache import Cache
from runtime.handoff.kv.description import Element, KvDescription
from runtime.handoff.kv.element import Stored, from_f32
from runtime.handoff.kv.memory import Integers
from runtime.handoff.seal import Seal
from runtime.handoff.sidechannel import NixlAgentMetadata
from runtime.standins.cs3.landing import Landing
from runtime.standins.cs3.pull import check_layout, f16, holding
from runtime.standins.cs3.window import cut
from runtime.standins.engine.layer import Half
from runtime.standins.engine.weights import Geometry

GEOMETRY = Geometry(layers=3, kv_heads=2, head_dim=16, context=128, vocabulary=10)
NHD = f16(GEOMETRY, layouts.NHD, 16)
REST = 3
"""Tokens of the cache behind those that come."""


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


def seal(kv: Stored, size: int = 16) -> Seal:
    return Seal(generation="g", model_digest="", block_tokens=size, digests=digest.digests(kv, size))


def landing(worker: Cache, cache: Half, stated: Seal | None, window_bytes: int = 1) -> Landing:
    """Prepare for a worker's KV, which fills the cache but for a rest."""
    remote = handshake(worker)
    check_layout(remote, worker.description, GEOMETRY)
    there = holding(remote, worker.description, list(worker.block_ids[0]))
    return Landing(there, cache.shape[2] - REST, cache, stated, window_bytes=window_bytes)


class Reader:
    """Do what NIXL does, and refuse what it would refuse; ``flip`` is the READ that arrives with a bit flipped."""

    def __init__(self, memory: Stored, flip: int | None = None) -> None:
        self._low, self._high, self._flip = memory.ctypes.data, memory.ctypes.data + memory.nbytes, flip
        self.reads = 0

    async def read(self, pairs: Integers) -> int:
        """Read as ``Landing`` asks for it."""
        for local, remote, length in pairs.tolist():
            assert self._low <= local
            assert local + length <= self._high
            ctypes.memmove(local, remote, length)
        if self.reads == self._flip:
            ctypes.c_uint8.from_address(int(pairs[0, 0])).value ^= 1
        self.reads += 1
        return int(pairs[:, 2].sum())


def worked(description: KvDescription, values: NDArray[np.float32], ids: list[int]) -> tuple[Cache, Stored]:
    """Return a worker's blocks with these values in them, and the same in canonical order."""
    worker = Cache.allocate(description, max(ids) + 2, [ids])
    computed = from_f32(values, description.element)
    worker.write(computed)
    return worker, computed


def some_values(num_tokens: int) -> NDArray[np.float32]:
    """Return values of a few bits of mantissa, which every element type holds."""
    return np.random.default_rng(0).integers(-64, 64, (3, 2, num_tokens, 2, 16)).astype(np.float32)


@given(
    st.sampled_from(list(WORKERS)),
    st.integers(1, 60),
    st.sampled_from([1, 7_000, 1 << 20]),
    st.randoms(use_true_random=False),
)
def test_the_cache_holds_what_the_worker_computed(name: str, tokens: int, window_bytes: int, random: Any) -> None:
    description, values = WORKERS[name], some_values(tokens)
    needed = -(-tokens // description.block_size)
    worker, computed = worked(description, values, random.sample(range(needed + 3), needed))
    cache = np.zeros((3, 2, tokens + REST, 2, 16), np.float16)
    landed = landing(worker, cache, seal(computed), window_bytes)
    reader = Reader(landed.memory)
    moved = asyncio.run(landed.bring(reader.read))
    landed.verify()
    if description.rope is NHD.rope:
        assert (cache[:, :, :tokens] == values).all()
    assert not cache[:, :, tokens:].any()
    assert reader.reads == {1: 3, 1 << 20: 1}.get(window_bytes, reader.reads)
    if description.layout.packing is layouts.Packing.PLAIN:
        assert moved == computed.nbytes


def test_memory_is_three_windows_however_many_there_are() -> None:
    deep = msgspec.structs.replace(NHD, layers=10)
    worker = Cache.allocate(deep, 4, [[0, 1, 2, 3]])
    memory, windows = cut(worker.holding(), 60, 2 * 4 * NHD.block_bytes())
    assert [window.layers.stop - window.layers.start for window in windows] == [2] * 5
    assert memory.nbytes == 3 * 2 * 4 * NHD.block_bytes()


def test_layers_that_share_a_region_are_one_window() -> None:
    worker, computed = worked(described(layout=layouts.TOKEN_MAJOR), some_values(30), [1, 0])
    cache = np.zeros((3, 2, 30 + REST, 2, 16), np.float16)
    landed = landing(worker, cache, seal(computed))
    reader = Reader(landed.memory)
    asyncio.run(landed.bring(reader.read))
    landed.verify()
    assert reader.reads == 1
    assert (cache[:, :, :30] == computed).all()


@pytest.mark.parametrize("flip", [0, 1, 2])
@pytest.mark.parametrize("name", WORKERS)
def test_a_flipped_bit_is_found_in_whatever_window(name: str, flip: int) -> None:
    worker, computed = worked(WORKERS[name], some_values(40), list(range(-(-40 // WORKERS[name].block_size))))
    landed = landing(worker, np.zeros((3, 2, 40 + REST, 2, 16), np.float16), seal(computed))
    asyncio.run(landed.bring(Reader(landed.memory, flip).read))
    with pytest.raises(HandoffError, match="not what the worker computed") as caught:
        landed.verify()
    assert caught.value.code is Code.KV_CORRUPT


def test_without_a_seal_nothing_is_compared() -> None:
    worker, _ = worked(NHD, some_values(16), [0])
    landed = landing(worker, np.zeros((3, 2, 16 + REST, 2, 16), np.float16), None)
    asyncio.run(landed.bring(Reader(landed.memory, flip=0).read))
    landed.verify()


def test_values_beyond_f16_are_refused() -> None:
    worker, computed = worked(described(element=Element.F32), np.full((3, 2, 16, 2, 16), 70_000, np.float32), [0])
    landed = landing(worker, np.zeros((3, 2, 16 + REST, 2, 16), np.float16), seal(computed))
    asyncio.run(landed.bring(Reader(landed.memory).read))
    with pytest.raises(HandoffError, match="f16 cannot hold") as caught:
        landed.verify()
    assert caught.value.code is Code.KV_LAYOUT


def test_bytes_that_are_wrong_count_as_corrupt_even_where_f16_cannot_hold_them() -> None:
    worker, computed = worked(described(element=Element.F32), np.full((3, 2, 16, 2, 16), 70_000, np.float32), [0])
    landed = landing(worker, np.zeros((3, 2, 16 + REST, 2, 16), np.float16), seal(computed + 1))
    asyncio.run(landed.bring(Reader(landed.memory).read))
    with pytest.raises(HandoffError, match="not what the worker computed"):
        landed.verify()


async def test_a_read_that_fails_ends_it() -> None:
    worker, computed = worked(NHD, some_values(16), [0])
    landed = landing(worker, np.zeros((3, 2, 16 + REST, 2, 16), np.float16), seal(computed))
    reader = Reader(landed.memory)

    async def read(pairs: Integers) -> int:
        if reader.reads == 2:
            raise HandoffError(Code.KV_TRANSFER, "the worker is gone")
        return await reader.read(pairs)

    with pytest.raises(HandoffError, match="the worker is gone"):
        await landed.bring(read)
    with pytest.raises(RuntimeError, match="digested up to"):
        landed.verify()
