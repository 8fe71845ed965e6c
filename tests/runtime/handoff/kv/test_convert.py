"""Conversion changes the layout, the element and RoPE's order, and never the values that both sides can hold."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.handoff.contract import Code, HandoffError
from runtime.handoff.kv import layout as layouts
from runtime.handoff.kv.attention import Heads, Latent, Rope
from runtime.handoff.kv.cache import Cache
from runtime.handoff.kv.convert import convert, reorder_rope, translate
from runtime.handoff.kv.description import Element, Granularity, KvDescription
from runtime.handoff.kv.packing import pack
from tests.runtime.handoff.kv.reference import K_THEN_V, block_ids, clipped, descriptions, models, random_kv, store

AMX = KvDescription(
    attention=Heads(kv_heads=3, width=64, rope_dim=64),
    layers=2,
    element=Element.BF16,
    rope=Rope.HALF_SPLIT,
    layout=layouts.VLLM_CPU_AMX,
    block_size=32,
)


@st.composite
def chains(draw: st.DrawFn) -> tuple[list[Cache], int]:
    """Draw three empty caches for the same model."""
    model, tokens = draw(models()), draw(st.integers(1, 30))
    caches = []
    for _ in range(3):
        description = draw(descriptions(model))
        ids, num_blocks = draw(block_ids(description, tokens))
        caches.append(Cache.allocate(description, num_blocks, ids))
    return caches, tokens


def same(first: Cache, second: Cache) -> bool:
    pairs = zip(first.ranks, second.ranks, strict=True)
    return all((a == b).all() for ours, theirs in pairs for a, b in zip(ours, theirs, strict=True))


@given(chains())
def test_writing_equals_the_reference_and_reading_undoes_it(chain: tuple[list[Cache], int]) -> None:
    (cache, _, _), tokens = chain
    kv = random_kv(cache.description, tokens)
    cache.write(kv)
    assert same(cache, store(cache.description, kv, cache.block_ids, len(cache.ranks[0][0])))
    assert (cache.read(tokens) == clipped(cache.description, kv)).all()


@given(chains())
def test_any_way_leads_to_the_same_place(chain: tuple[list[Cache], int]) -> None:
    (first, between, last), tokens = chain
    kv = random_kv(first.description, tokens)
    first.write(kv)
    direct = Cache.allocate(last.description, len(last.ranks[0][0]), last.block_ids)
    convert(first, direct, tokens)
    convert(first, between, tokens)
    convert(between, last, tokens)
    assert same(direct, last)
    back = Cache.allocate(first.description, len(first.ranks[0][0]), first.block_ids)
    convert(last, back, tokens)
    assert same(back, first)


@given(st.integers(1, 80), st.sampled_from([layouts.VLLM_CPU, layouts.VLLM_CPU_AMX]), st.sampled_from(Element))
def test_packed_blocks_hold_what_plain_ones_do(tokens: int, layout: layouts.Layout, element: Element) -> None:
    if element.nbytes != 2:
        element = Element.BF16
    packed = msgspec.structs.replace(AMX, layout=layout, element=element)
    ids = ((5, 0, 3)[: -(-tokens // 32)],)
    kv = random_kv(packed, tokens)
    cache = Cache.allocate(packed, 6, ids)
    cache.write(kv)
    plain = store(msgspec.structs.replace(packed, layout=K_THEN_V), kv, ids, 6)
    for region, expected in zip(cache.ranks[0], plain.ranks[0], strict=True):
        for half in (0, 1):
            assert (region[:, :, half] == pack(expected[:, :, half], layout.packing, half=half)).all()
    assert (cache.read(tokens) == kv).all()


@pytest.mark.parametrize("layout", [layouts.VLLM_CPU_AMX, layouts.VLLM_CPU, layouts.NHD])
def test_the_rest_of_the_blocks_stays(layout: layouts.Layout) -> None:
    cache = Cache.allocate(msgspec.structs.replace(AMX, layout=layout), 3, [[2, 0]])
    before = random_kv(AMX, 64, seed=1)
    cache.write(before)
    cache.ranks[0][0][1] = 7
    after = random_kv(AMX, 40, seed=2)
    cache.write(after)
    assert (cache.read(64) == np.concatenate([after, before[:, :, 40:]], axis=2)).all()
    assert (cache.ranks[0][0][1] == 7).all()


def change(description: KvDescription, **changes: Any) -> KvDescription:
    return msgspec.structs.replace(description, **changes)


def rotate(k: np.ndarray[Any, Any], rope: Rope) -> np.ndarray[Any, Any]:
    """Apply RoPE to ``[token, dim]`` pair by pair, as either convention's paper code does."""
    tokens, dim = k.shape
    out = np.empty_like(k)
    for pair in range(dim // 2):
        a, b = (pair, pair + dim // 2) if rope is Rope.HALF_SPLIT else (2 * pair, 2 * pair + 1)
        angle = np.arange(tokens) * 10000.0 ** (-2 * pair / dim)
        out[:, a] = k[:, a] * np.cos(angle) - k[:, b] * np.sin(angle)
        out[:, b] = k[:, b] * np.cos(angle) + k[:, a] * np.sin(angle)
    return out


@pytest.mark.parametrize("attention", [Heads(kv_heads=1, width=12, rope_dim=8), Latent(kv_lora_rank=4, rope_dim=8)])
def test_rope_in_one_order_becomes_rope_in_the_other(attention: Heads | Latent) -> None:
    rotated, kept = (slice(0, 8), slice(8, 12)) if isinstance(attention, Heads) else (slice(4, 12), slice(0, 4))
    half_split = np.random.default_rng(0).standard_normal((1, attention.halves, 9, 1, 12))
    interleaved = half_split.copy()
    # element j of a pair's first half stands at 2j, of its second half at 2j + 1
    places = [2 * j if j < 4 else 2 * (j - 4) + 1 for j in range(8)]
    start = rotated.start
    for j, place in enumerate(places):
        interleaved[0, 0, :, 0, start + place] = half_split[0, 0, :, 0, start + j]
    half_split[0, 0, :, 0, rotated] = rotate(half_split[0, 0, :, 0, rotated], Rope.HALF_SPLIT)
    interleaved[0, 0, :, 0, rotated] = rotate(interleaved[0, 0, :, 0, rotated], Rope.INTERLEAVED)
    half_split.setflags(write=False)  # what is given stays
    got = reorder_rope(half_split, attention, Rope.HALF_SPLIT, Rope.INTERLEAVED)
    assert (got == interleaved).all()
    assert (got[:, 0, ..., kept] == half_split[:, 0, ..., kept]).all()
    assert (reorder_rope(got, attention, Rope.INTERLEAVED, Rope.HALF_SPLIT) == half_split).all()


@pytest.mark.parametrize("granularity", Granularity)
def test_f8_comes_back_exactly_by_way_of_f32_and_keeps_its_scales(granularity: Granularity) -> None:
    f32 = change(AMX, layout=layouts.NHD, element=Element.F32)
    f8 = change(f32, element=Element.F8_E4M3, scales=granularity)
    values = random_kv(f32, 50)
    codes, scales = translate(values, f32, f8)
    wide, none = translate(codes, f8, f32, scales)
    assert none is None
    again, scales_again = translate(wide, f32, f8)
    assert (again == codes).all()
    assert scales is not None
    assert scales_again is not None
    np.testing.assert_allclose(scales_again, scales, rtol=1e-6)
    moved, kept = translate(codes, f8, change(f8, layout=layouts.HND, rope=Rope.INTERLEAVED), scales)
    assert kept is scales
    assert (moved[:, 1] == codes[:, 1]).all()
    if granularity is Granularity.TOKEN:  # such scales are stored as KV is
        store_of_scales = Cache.allocate(f8.of_scales(), 2, [[1, 0]])
        store_of_scales.write(scales)
        assert (store_of_scales.read(50) == scales).all()


@pytest.mark.parametrize("narrow", [Element.F16, Element.BF16])
def test_narrow_floats_survive_f32(narrow: Element) -> None:
    source = change(AMX, layout=layouts.NHD, element=narrow)
    kv = random_kv(source, 40)
    wide, _ = translate(kv, source, change(source, element=Element.F32))
    back, _ = translate(wide, change(source, element=Element.F32), source)
    assert (back == kv).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layers": 3}, "other layers or heads"),
        ({"attention": Heads(kv_heads=3, width=64, rope_dim=32)}, "other layers or heads"),
        ({"rope": Rope.NOT_APPLIED}, "only the order"),
    ],
)
def test_what_is_no_matter_of_layout_is_refused(changes: dict[str, Any], message: str) -> None:
    for source, target in ((AMX, change(AMX, **changes)), (change(AMX, **changes), AMX)):
        with pytest.raises(HandoffError, match=message) as caught:
            translate(random_kv(source, 2), source, target)
        assert caught.value.code is Code.KV_LAYOUT


def test_a_shorter_window_lacks_tokens_for_a_longer_one() -> None:
    short, full = change(AMX, windows=(8, None)), change(AMX, windows=(9, None))
    with pytest.raises(HandoffError, match="tokens are missing"):
        translate(random_kv(short, 20), short, full)
    translate(random_kv(full, 20), full, short)


@pytest.mark.parametrize("ids", [[0], [0, 1, 2], [0, 0], [0, 9], [-1, 0]])
def test_wrong_blocks_are_neither_read_nor_written(ids: list[int]) -> None:
    cache = Cache.allocate(change(AMX, layout=layouts.HND), 3, [ids])
    with pytest.raises(HandoffError):
        cache.read(40)
    with pytest.raises(HandoffError):
        cache.write(random_kv(AMX, 40))
    assert not any(region.any() for region in cache.ranks[0])


def test_kv_of_another_shape_or_type_is_not_written() -> None:
    cache, kv = Cache.allocate(AMX, 3, [[0, 1]]), random_kv(AMX, 40)
    for wrong in (kv[:1], kv[..., :32], kv.astype(np.float32)):
        with pytest.raises(ValueError, match="needed is uint16"):
            cache.write(wrong)
