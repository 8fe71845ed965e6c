"""A plan fills every consumer with every element once, from any layout, block size and number of ranks."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from runtime.handoff.contract import Code, HandoffError
from runtime.handoff.kv import layout as layouts
from runtime.handoff.kv.attention import Heads, Latent, Rope
from runtime.handoff.kv.cache import Cache
from runtime.handoff.kv.description import Element, KvDescription
from runtime.handoff.kv.layout import Axis, Layout
from runtime.handoff.kv.memory import Holding, Memory
from runtime.handoff.kv.plan import in_place, plan
from tests.runtime.handoff.kv.reference import block_ids, descriptions, models, random_kv, store

Bytes = NDArray[np.uint8]

NHD = KvDescription(
    attention=Heads(kv_heads=8, width=128, rope_dim=128),
    layers=80,
    element=Element.BF16,
    rope=Rope.HALF_SPLIT,
    layout=layouts.NHD,
    block_size=32,
)


def lay_out(cache: Cache, gap: int) -> tuple[Holding, list[Bytes]]:
    """Copy a cache into one flat memory a rank, with ``gap`` bytes behind each block; addresses start at 1000."""
    memories, flat = [], []
    for regions in cache.ranks:
        blocks = [region.reshape(len(region), -1).view(np.uint8) for region in regions]
        rows = [np.pad(block, ((0, 0), (0, gap))) for block in blocks]
        starts = np.cumsum([1000, *(row.size for row in rows[:-1])]).tolist()
        strides = tuple(row.shape[1] for row in rows)
        memories.append(Memory(bases=tuple(starts), block_strides=strides, num_blocks=len(regions[0])))
        flat.append(np.concatenate([row.reshape(-1) for row in rows]))
    holding = Holding(description=cache.description, memories=tuple(memories), block_ids=cache.block_ids)
    return holding, flat


@st.composite
def handoffs(draw: st.DrawFn) -> tuple[Cache, Cache, int]:
    """Draw a producer that holds random KV, and a consumer that ought to hold the same, both as in the reference."""
    model, tokens = draw(models()), draw(st.integers(1, 30))
    sides = []
    for description in (draw(descriptions(model)), draw(descriptions(model))):
        ids, num_blocks = draw(block_ids(description, tokens))
        sides.append(store(description, random_kv(description, tokens), ids, num_blocks))
    return sides[0], sides[1], tokens


@given(handoffs(), st.sampled_from([0, 8]))
def test_every_element_arrives_once_and_nothing_else(handoff: tuple[Cache, Cache, int], gap: int) -> None:
    source, expected, tokens = handoff
    producer, sent = lay_out(source, gap)
    consumer, wanted = lay_out(expected, gap)
    received = [np.zeros_like(memory) for memory in wanted]
    writes = [np.zeros_like(memory) for memory in wanted]
    planned = plan(producer, consumer, tokens)
    for transfer in planned.transfers:
        for local, remote, length in (transfer.pairs - [1000, 1000, 0]).tolist():
            into = slice(local, local + length)
            received[transfer.consumer_rank][into] = sent[transfer.producer_rank][remote : remote + length]
            writes[transfer.consumer_rank][into] += 1
    for first, replica in planned.copies:
        received[replica], writes[replica] = received[first], writes[first]
    assert all((got == want).all() for got, want in zip(received, wanted, strict=True))
    assert all(count.max() <= 1 for count in writes)
    assert planned.nbytes == sum(int(writes[rank].sum()) for rank in source_of_all(expected.description))
    scales = source.description.of_scales().nbytes(tokens) if source.description.scales == "token" else 0
    assert planned.nbytes == expected.description.nbytes(tokens) - scales


@given(handoffs(), st.data())
def test_layers_that_are_planned_apart_move_the_same_bytes(
    handoff: tuple[Cache, Cache, int], data: st.DataObject
) -> None:
    source, target, tokens = handoff
    producer, consumer = lay_out(source, 0)[0], lay_out(target, 0)[0]
    assume(all(Axis.LAYER in cache.description.layout.regions for cache in (source, target)))
    layers = source.description.layers
    cut = data.draw(st.integers(0, layers))
    parts = [part for part in (range(cut), range(cut, layers)) if part]
    apart = [move for part in parts for move in moves(producer.of_layers(part), consumer.of_layers(part), tokens)]
    assert sorted(apart) == sorted(moves(producer, consumer, tokens))


def moves(producer: Holding, consumer: Holding, tokens: int) -> list[tuple[int, int, int, int]]:
    """List each byte that is moved: the ranks, and where from and to."""
    return [
        (transfer.producer_rank, transfer.consumer_rank, local + byte, remote + byte)
        for transfer in plan(producer, consumer, tokens).transfers
        for local, remote, length in transfer.pairs.tolist()
        for byte in range(length)
    ]


@given(handoffs())
def test_what_lies_alike_moves_in_halves_of_blocks(handoff: tuple[Cache, Cache, int]) -> None:
    source, target, tokens = handoff
    if not in_place(source.description, target.description):
        return
    sizes = source.description.block_size, target.description.block_size
    pieces = len({token // sizes[0] * 1000 + token // sizes[1] for token in range(tokens)})
    attention = target.description.attention
    most = target.description.layers * attention.halves * attention.kv_heads * pieces
    assert sum(len(each.pairs) for each in plan(source.holding(), target.holding(), tokens).transfers) <= most


@pytest.mark.parametrize(
    ("change", "alike"),
    [
        ({}, True),
        ({"block_size": 16}, True),
        ({"layout": layouts.SPLIT_NHD}, True),
        ({"layout": layouts.TOKEN_MAJOR}, True),
        ({"layout": layouts.HND}, False),
        ({"layout": layouts.INTERLEAVED_NHD}, False),
        ({"layout": layouts.VLLM_CPU}, False),
        ({"element": Element.F16}, False),
        ({"rope": Rope.INTERLEAVED}, False),
        ({"tp_size": 2}, False),
        ({"windows": (64,) * 80}, False),
    ],
)
def test_kv_lies_alike_where_a_token_is_a_row_of_the_same_bytes(change: dict[str, Any], alike: bool) -> None:
    assert in_place(msgspec.structs.replace(NHD, **change), NHD) is alike


def test_heads_first_lie_alike_in_equal_blocks_only() -> None:
    hnd = msgspec.structs.replace(NHD, layout=layouts.HND)
    assert in_place(hnd, hnd)
    assert not in_place(hnd, msgspec.structs.replace(hnd, block_size=16))


def source_of_all(description: KvDescription) -> list[int]:
    """Return one rank for each set of heads."""
    heads = description.attention.kv_heads
    return list(range(0, description.tp_size, max(1, description.tp_size // heads)))


def place(description: KvDescription, block_ids: list[int], num_blocks: int = 128) -> Holding:
    regions = int(np.prod(description.region_shape()))
    memory = Memory(
        bases=tuple((region + 1) << 34 for region in range(regions)),
        block_strides=(description.block_bytes(),) * regions,
        num_blocks=num_blocks,
    )
    return Holding(description=description, memories=(memory,) * description.tp_size, block_ids=(tuple(block_ids),))


def test_whole_blocks_and_consecutive_blocks_are_one_range() -> None:
    cache = msgspec.structs.replace(NHD, layout=layouts.TOKEN_MAJOR, block_size=2048)
    scattered = plan(place(NHD, list(range(0, 126, 2))), place(cache, [0]), 2000)
    assert len(scattered.transfers[0].pairs) == 80 * 2 * 63
    same = plan(place(NHD, list(range(63))), place(NHD, list(range(7, 70))), 2016)
    assert len(same.transfers[0].pairs) == 80
    split = msgspec.structs.replace(NHD, layout=layouts.SPLIT_NHD)
    assert len(plan(place(split, list(range(63))), place(cache, [0]), 2000).transfers[0].pairs) == 80 * 2


def test_an_mla_latent_is_read_from_one_rank_and_copied_to_the_others() -> None:
    latent = Latent(kv_lora_rank=512, rope_dim=64)
    mla = msgspec.structs.replace(NHD, attention=latent, layers=61, tp_size=4)
    planned = plan(place(mla, [0, 1]), place(msgspec.structs.replace(mla, tp_size=2), [5, 9]), 64)
    assert [(one.producer_rank, one.consumer_rank) for one in planned.transfers] == [(0, 0)]
    assert planned.copies == ((0, 1),)
    assert planned.nbytes == 64 * 70_272


@pytest.mark.parametrize("layout", [layouts.VLLM_CPU, layouts.VLLM_CPU_AMX])
def test_packed_blocks_move_whole_between_equal_blocks_only(layout: Layout) -> None:
    packed = msgspec.structs.replace(NHD, layout=layout)
    assert plan(place(packed, [3, 1]), place(packed, [0, 2]), 33).nbytes == 64 * NHD.bytes_per_token()
    with pytest.raises(HandoffError, match="block size of packed KV is 32, needed is 16"):
        plan(place(packed, [3, 1]), place(msgspec.structs.replace(packed, block_size=16), [0, 2, 3]), 33)


@pytest.mark.parametrize(
    "change",
    [
        {"element": Element.F16},
        {"rope": Rope.INTERLEAVED},
        {"layers": 79},
        {"layout": layouts.VLLM_CPU_AMX},
        {"attention": Heads(kv_heads=8, width=64, rope_dim=64)},
    ],
)
def test_bytes_that_would_have_to_change_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(HandoffError, match="without conversion") as caught:
        plan(place(NHD, [0]), place(msgspec.structs.replace(NHD, **change), [0]), 32)
    assert caught.value.code is Code.KV_LAYOUT


@pytest.mark.parametrize(
    ("ids", "code"),
    [
        ([0], Code.KV_INCOMPLETE),
        ([0, 1, 2], Code.KV_FOREIGN),
        ([0, 0], Code.KV_FOREIGN),
        ([0, 128], Code.KV_FOREIGN),
        ([-1, 0], Code.KV_FOREIGN),
    ],
)
def test_block_ids_must_hold_these_tokens(ids: list[int], code: Code) -> None:
    for sides in ((place(NHD, ids), place(NHD, [0, 1])), (place(NHD, [0, 1]), place(NHD, ids))):
        with pytest.raises(HandoffError) as caught:
            plan(*sides, 64)
        assert caught.value.code is code


@pytest.mark.parametrize(
    "memory",
    [
        Memory(bases=(0,) * 79, block_strides=(2**20,) * 79, num_blocks=2),
        Memory(bases=(0,) * 80, block_strides=(2**10,) * 80, num_blocks=2),
        Memory(bases=(-1,) * 80, block_strides=(2**20,) * 80, num_blocks=2),
        Memory(bases=(2**63 - 2**20,) * 80, block_strides=(2**20,) * 80, num_blocks=2),
    ],
)
def test_regions_must_fit_the_description(memory: Memory) -> None:
    broken = Holding(description=NHD, memories=(memory,), block_ids=((0,),))
    with pytest.raises(HandoffError) as caught:
        plan(broken, place(NHD, [0]), 32)
    assert caught.value.code is Code.KV_LAYOUT
    with pytest.raises(HandoffError, match="ranks"):
        plan(Holding(description=NHD, memories=(), block_ids=((0,),)), place(NHD, [0]), 32)


def test_no_tokens_are_no_handoff() -> None:
    with pytest.raises(HandoffError, match="0 tokens"):
        plan(place(NHD, []), place(NHD, []), 0)
