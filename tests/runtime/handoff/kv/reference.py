"""Store KV slowly and obviously, layout by layout, to hold the package's arithmetic against; and draw descriptions."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from runtime.handoff.kv import layout as layouts
from runtime.handoff.kv.attention import Heads, Latent, Rope
from runtime.handoff.kv.cache import Cache
from runtime.handoff.kv.description import Element, Granularity, KvDescription
from runtime.handoff.kv.layout import Layout, Packing

Array = NDArray[Any]

K_THEN_V = msgspec.structs.replace(layouts.VLLM_CPU, packing=Packing.PLAIN)
"""The order that vLLM's CPU backend packs."""

ORDERS = {
    layouts.NHD: "htnd",
    layouts.HND: "hntd",
    layouts.INTERLEAVED_NHD: "tnhd",
    layouts.INTERLEAVED_HND: "nthd",
    K_THEN_V: "nhtd",
    layouts.SPLIT_NHD: "tnd",
    layouts.SPLIT_HND: "ntd",
    layouts.TOKEN_MAJOR: "lhtnd",
}
"""Blocks in the letters of einsum: layer, half, token, number of the head, dim."""

DTYPES = {Element.F16: "f2", Element.BF16: "u2", Element.F32: "f4", Element.F8_E4M3: "u1"}


def heads_of(description: KvDescription, rank: int) -> list[int]:
    heads, ranks = description.attention.kv_heads, description.tp_size
    if ranks > heads:
        return [rank // (ranks // heads)]
    return list(range(rank * (heads // ranks), (rank + 1) * (heads // ranks)))


def store(description: KvDescription, kv: Array, block_ids: tuple[tuple[int, ...], ...], num_blocks: int) -> Cache:
    """Store canonical KV block by block, head by head, in every plain layout; unused memory is zero."""
    cache = Cache.allocate(description, num_blocks, block_ids)
    size, tokens, order = description.block_size, kv.shape[2], ORDERS[description.layout]
    for rank, regions in enumerate(cache.ranks):
        for layer in range(description.layers):
            ids = block_ids[description.groups[layer] if description.groups else 0]
            skipped = math.ceil(tokens / size) - len(ids)
            for number, block in enumerate(ids, skipped):
                window = description.windows[layer] if description.windows else None
                for token in range(number * size, min(tokens, (number + 1) * size)):
                    if window is None or token >= tokens - window:
                        part = kv[layer][:, token : token + 1, heads_of(description, rank)]
                        _put(order, regions, layer, block, token % size, part)
    return cache


def _put(order: str, regions: tuple[Array, ...], layer: int, block: int, token: int, part: Array) -> None:
    """Put one token ``[half, 1, head, dim]`` where it belongs."""
    halves = len(part)
    if order == "lhtnd":
        regions[0][block][layer, :, token] = part[:, 0]
        return
    if "h" not in order:
        for half in range(halves):
            view = np.einsum(f"{order}->tnd", regions[layer * halves + half][block])
            view[token] = part[half, 0]
        return
    np.einsum(f"{order}->htnd", regions[layer][block])[:, token] = part[:, 0]


def random_kv(description: KvDescription, tokens: int, seed: int = 0) -> Array:
    """Return canonical KV of random bits (finite ones in floats)."""
    shape = (description.layers, description.attention.halves, tokens, description.attention.kv_heads)
    random, width = np.random.default_rng(seed), description.attention.width
    kind = np.dtype(DTYPES[description.element])
    if kind.kind == "u":
        return random.integers(0, 1 << (8 * kind.itemsize), (*shape, width), kind)
    return random.standard_normal((*shape, width)).astype(kind)


def clipped(description: KvDescription, kv: Array) -> Array:
    """Zero what has left a layer's window."""
    kv = kv.copy()
    for layer, window in enumerate(description.windows):
        if window is not None:
            kv[layer, :, : max(0, kv.shape[2] - window)] = 0
    return kv


@st.composite
def models(draw: st.DrawFn) -> dict[str, Any]:
    """Draw what both sides of a handoff share; the first layer always has full attention."""
    heads = st.builds(
        Heads,
        kv_heads=st.sampled_from([1, 2, 3, 4, 6]),
        width=st.sampled_from([4, 6]),
        rope_dim=st.sampled_from([2, 4]),
    )
    latents = st.builds(Latent, kv_lora_rank=st.sampled_from([3, 4]), rope_dim=st.just(2))
    layers, element = draw(st.integers(1, 3)), draw(st.sampled_from(Element))
    windows = draw(st.lists(st.none() | st.integers(1, 12), min_size=layers, max_size=layers) | st.just([]))
    return {
        "attention": draw(heads | latents),
        "layers": layers,
        "element": element,
        "scales": draw(st.sampled_from(Granularity)) if element is Element.F8_E4M3 else None,
        "rope": draw(st.sampled_from(Rope)),
        "windows": tuple(windows),
    }


@st.composite
def descriptions(draw: st.DrawFn, model: dict[str, Any] | None = None) -> KvDescription:
    """Draw one side: a plain layout, a block size, ranks, groups of layers."""
    model = model or draw(models())
    alike = len(set(model["windows"])) < 2
    plain: list[Layout] = [layout for layout in ORDERS if alike or layout is not layouts.TOKEN_MAJOR]
    layout, heads = draw(st.sampled_from(plain)), model["attention"].kv_heads
    ranks = [tp for tp in (1, 2, 3, 4, 6, 8) if heads % tp == 0 or tp % heads == 0]
    groups: list[int] = []
    if layout is not layouts.TOKEN_MAJOR:
        groups = draw(st.lists(st.integers(0, 2), min_size=model["layers"], max_size=model["layers"]))
    numbers = sorted(set(groups))
    return KvDescription(
        **model,
        layout=layout,
        block_size=draw(st.integers(1, 9)),
        tp_size=draw(st.sampled_from(ranks)),
        groups=tuple(numbers.index(group) for group in groups),
    )


@st.composite
def block_ids(draw: st.DrawFn, description: KvDescription, tokens: int) -> tuple[tuple[tuple[int, ...], ...], int]:
    """Draw permuted ids for each group, without some of the leading blocks that no layer needs; and a pool's size."""
    size, total = description.block_size, -(-tokens // description.block_size)
    num_blocks = total + draw(st.integers(0, 3))
    drawn = []
    for group in range(max(description.groups, default=0) + 1):
        layers = [n for n in range(description.layers) if not description.groups or description.groups[n] == group]
        windows = [description.windows[layer] if description.windows else None for layer in layers]
        first = min(0 if window is None else max(0, tokens - window) for window in windows)
        skipped = draw(st.integers(0, first // size))
        drawn.append(tuple(draw(st.permutations(range(num_blocks)))[skipped:total]))
    return tuple(drawn), num_blocks
