"""KV of any layout comes into the engine's cache whole, and nothing else does."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import threading
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
from runtime.handoff.kv.layout import Axis, Layout
from runtime.handoff.kv.memory import Integers
from runtime.handoff.seal import Seal
from runtime.standins.engine.layer import Half
from runtime.standins.engine.weights import Geometry
from runtime.standins.reader.landing import Landing
from runtime.standins.reader.pull import check_layout, f16, holding
from runtime.standins.reader.window import WINDOW_BYTES, block_size, cut, staging_bytes
from tests.runtime.standins.handshake import handshake

GEOMETRY = Geometry(layers=3, kv_heads=2, head_dim=16, context=128, vocabulary=10)
NHD = f16(GEOMETRY, layouts.NHD, 16)
REST = 3
"""Tokens of the cache behind those that come."""


def described(**changes: Any) -> KvDescription:
    return msgspec.structs.replace(NHD, **changes)


IN_PLACE = {
    "vLLM's stand-in": NHD,
    "odd blocks": described(block_size=5),
    "split": described(layout=layouts.SPLIT_NHD),
    "layers in one region": described(layout=layouts.TOKEN_MAJOR),
}
WORKERS = IN_PLACE | {
    "heads first": described(layout=layouts.HND),
    "heads first, in odd blocks": described(layout=layouts.HND, block_size=5),
    "RoPE interleaved": described(rope=Rope.INTERLEAVED),
    "vLLM on a CPU": described(layout=layouts.VLLM_CPU, element=Element.BF16),
    "vLLM on a CPU with AMX": described(layout=layouts.VLLM_CPU_AMX, element=Element.BF16),
    "wide": described(element=Element.F32),
}


def smallest_windows(worker: KvDescription) -> int:
    """Return how many windows there are where none is to be larger than it must be."""
    return worker.layers if Axis.LAYER in worker.layout.regions else 1


def new_cache(worker: KvDescription, num_tokens: int) -> Half:
    """Return what the engine would, with room for a rest."""
    size = block_size(worker, num_tokens + REST)
    return np.zeros((3, -(-(num_tokens + REST) // size), 2, size, 2, 16), np.float16).swapaxes(1, 2)


def tokens_of(cache: Half) -> Half:
    """Copy a cache to canonical order."""
    return cache.reshape(3, 2, -1, 2, 16)


def seal(kv: Stored, worker: KvDescription) -> Seal:
    stated = digest.digests(kv, 16, worker.block_size)
    return Seal(generation="g", model_digest="", block_tokens=16, digests=stated)


def landing(
    worker: Cache, computed: Stored, *, cache: Half | None = None, window_bytes: int = 1, sealed: bool = True
) -> Landing:
    """Prepare for a worker's KV, which is to be what it computed."""
    remote, num_tokens = handshake(worker), computed.shape[2]
    check_layout(remote, worker.description, GEOMETRY)
    there = holding(remote, worker.description, list(worker.block_ids[0]))
    cache = new_cache(worker.description, num_tokens) if cache is None else cache
    stated = seal(computed, worker.description) if sealed else None
    return Landing(there, num_tokens, cache, stated, window_bytes=window_bytes)


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
    cache = new_cache(description, tokens)
    landed = landing(worker, computed, cache=cache, window_bytes=window_bytes)
    reader = Reader(landed.memory)
    moved = asyncio.run(landed.bring(reader.read))
    landed.verify()
    landed_kv = tokens_of(cache)
    if description.rope is NHD.rope:
        assert (landed_kv[:, :, :tokens] == values).all()
    assert not landed_kv[:, :, tokens:].any()
    assert reader.reads == {1: smallest_windows(description), 1 << 20: 1}.get(window_bytes, reader.reads)
    if description.layout.packing is layouts.Packing.PLAIN:
        assert moved == computed.nbytes


@pytest.mark.parametrize("name", WORKERS)
def test_kv_that_lies_as_in_the_cache_is_read_into_it_and_takes_no_other_memory(name: str) -> None:
    worker, computed = worked(WORKERS[name], some_values(40), list(range(-(-40 // WORKERS[name].block_size))))
    cache = new_cache(worker.description, 40)
    landed = landing(worker, computed, cache=cache, window_bytes=WINDOW_BYTES)
    assert np.shares_memory(landed.memory, cache) is (name in IN_PLACE)
    taken = 0 if name in IN_PLACE else landed.memory.nbytes
    assert staging_bytes(worker.description, len(worker.block_ids[0])) == taken


def test_whole_blocks_are_one_range_and_blocks_in_a_row_too() -> None:
    for ids, ranges in ([0, 1, 2], 1 + 1), ([4, 0, 2], 3 + 1):
        worker = Cache.allocate(NHD, 5, [ids])
        _, (window, *_) = cut(worker.holding(), 40, new_cache(NHD, 40), 1)
        assert len(window.pairs) == ranges  # K and V of the last block, which is not full, are apart


def test_blocks_beside_each_other_are_one_range_in_whatever_order_they_come_where_they_are_converted() -> None:
    worker, computed = worked(WORKERS["heads first"], some_values(48), [7, 6, 2])
    there = holding(handshake(worker), worker.description, [7, 6, 2])
    _, windows = cut(there, 48, new_cache(worker.description, 48), 1)
    assert [len(window.pairs) for window in windows] == [2, 2, 2]
    arrived = landing(worker, computed)
    asyncio.run(arrived.bring(Reader(arrived.memory).read))
    arrived.verify()


def test_memory_is_five_windows_however_many_there_are() -> None:
    deep = described(layout=layouts.HND, layers=12)
    worker = Cache.allocate(deep, 4, [[0, 1, 2, 3]])
    memory, windows = cut(worker.holding(), 60, new_cache(NHD, 60), 2 * 4 * NHD.block_bytes())
    assert [window.layers.stop - window.layers.start for window in windows] == [2] * 6
    assert memory.nbytes == 5 * 2 * 4 * NHD.block_bytes()


def test_layers_that_share_a_region_are_one_window() -> None:
    heads_first = Layout(regions=(), block=(Axis.LAYER, Axis.HALF, Axis.HEAD, Axis.TOKEN, Axis.DIM))
    worker, computed = worked(described(layout=heads_first), some_values(30), [1, 0])
    cache = new_cache(worker.description, 30)
    landed = landing(worker, computed, cache=cache)
    reader = Reader(landed.memory)
    asyncio.run(landed.bring(reader.read))
    landed.verify()
    assert reader.reads == 1
    assert (tokens_of(cache)[:, :, :30] == computed).all()


@pytest.mark.parametrize(
    ("name", "flip"), [(name, flip) for name, worker in WORKERS.items() for flip in range(smallest_windows(worker))]
)
def test_a_flipped_bit_is_found_in_whatever_window(name: str, flip: int) -> None:
    worker, computed = worked(WORKERS[name], some_values(40), list(range(-(-40 // WORKERS[name].block_size))))
    landed = landing(worker, computed)
    asyncio.run(landed.bring(Reader(landed.memory, flip).read))
    with pytest.raises(HandoffError, match="not what the worker computed") as caught:
        landed.verify()
    assert caught.value.code is Code.KV_CORRUPT


def test_without_a_seal_nothing_is_compared() -> None:
    worker, computed = worked(NHD, some_values(16), [0])
    landed = landing(worker, computed, sealed=False)
    asyncio.run(landed.bring(Reader(landed.memory, flip=0).read))
    landed.verify()


def test_values_beyond_f16_are_refused() -> None:
    worker, computed = worked(described(element=Element.F32), np.full((3, 2, 16, 2, 16), 70_000, np.float32), [0])
    landed = landing(worker, computed)
    asyncio.run(landed.bring(Reader(landed.memory).read))
    with pytest.raises(HandoffError, match="f16 cannot hold") as caught:
        landed.verify()
    assert caught.value.code is Code.KV_LAYOUT


def test_bytes_that_are_wrong_count_as_corrupt_even_where_f16_cannot_hold_them() -> None:
    worker, computed = worked(described(element=Element.F32), np.full((3, 2, 16, 2, 16), 70_000, np.float32), [0])
    landed = landing(worker, computed + 1)
    asyncio.run(landed.bring(Reader(landed.memory).read))
    with pytest.raises(HandoffError, match="not what the worker computed"):
        landed.verify()


async def test_a_read_that_fails_ends_it() -> None:
    worker, computed = worked(NHD, some_values(16), [0])
    landed = landing(worker, computed)
    reader = Reader(landed.memory)

    async def read(pairs: Integers) -> int:
        if reader.reads == 2:
            raise HandoffError(Code.KV_TRANSFER, "the worker is gone")
        return await reader.read(pairs)

    with pytest.raises(HandoffError, match="the worker is gone"):
        await landed.bring(read)
    with pytest.raises(RuntimeError, match="digested up to"):
        landed.verify()


async def test_whoever_gives_up_waits_for_the_windows_that_are_being_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    worker, computed = worked(WORKERS["heads first"], some_values(40), [2, 0, 1])
    arrived = landing(worker, computed)
    began, go, ended = threading.Event(), threading.Event(), list[Any]()

    def settle(window: Any) -> None:
        began.set()
        go.wait(10)
        ended.append(window)

    monkeypatch.setattr(arrived, "_settle", settle)
    bringing = asyncio.create_task(arrived.bring(Reader(arrived.memory).read))
    await asyncio.to_thread(began.wait, 10)
    for _ in range(3):
        bringing.cancel()
        for _ in range(10):
            await asyncio.sleep(0)
        assert not bringing.done()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await bringing
    assert len(ended) == 3


async def test_what_fails_first_is_raised_and_what_fails_beside_it_is_not_left_unasked(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    worker, computed = worked(WORKERS["heads first"], some_values(40), [2, 0, 1])
    arrived = landing(worker, computed)
    reads, failed = 0, threading.Event()

    def settle(_: Any) -> None:
        failed.wait(10)
        raise ValueError("settled")

    async def read(pairs: Integers) -> int:
        nonlocal reads
        reads += 1
        if reads == 2:
            failed.set()
            raise HandoffError(Code.KV_TRANSFER, "cut")
        return int(pairs[:, 2].sum())

    monkeypatch.setattr(arrived, "_settle", settle)
    with pytest.raises(HandoffError, match="cut"):
        await arrived.bring(read)
    gc.collect()
    assert not caplog.records
