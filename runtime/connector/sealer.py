"""Seal KV in a vLLM worker's memory."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from runtime.connector.prefilled import Prefilled
from runtime.handoff.kv import digest, layout
from runtime.handoff.kv.attention import Heads, Rope
from runtime.handoff.kv.cache import Cache
from runtime.handoff.kv.description import Element, KvDescription
from runtime.handoff.kv.element import DTYPES
from runtime.handoff.kv.layout import Layout
from runtime.handoff.seal import Seal

LAYOUTS: dict[tuple[str, str], Layout] = {
    ("CPU_ATTN", "vec"): layout.VLLM_CPU,
    ("CPU_ATTN", "amx"): layout.VLLM_CPU_AMX,
}
"""What is known of vLLM's layouts, by attention backend and instruction set; KV of others is not sealed."""
ELEMENTS = {"torch.bfloat16": Element.BF16, "torch.float16": Element.F16, "torch.float32": Element.F32}


def describe(regions: Sequence[tuple[int, ...]], dtype: str, kind: tuple[str, str]) -> KvDescription | None:
    """Describe regions ``[num_blocks, heads, block_size, 2 * width]``, one a layer; None where they are unknown."""
    if kind not in LAYOUTS or dtype not in ELEMENTS or len(set(regions)) != 1:
        return None
    _, heads, block_size, width = regions[0]
    return KvDescription(
        # how RoPE turned K changes no digest, which is of the bytes
        attention=Heads(kv_heads=heads, width=width // 2, rope_dim=0),
        layers=len(regions),
        element=ELEMENTS[dtype],
        rope=Rope.NOT_APPLIED,
        layout=LAYOUTS[kind],
        block_size=block_size,
    )


class Sealer:
    """Seal prompts whose KV lies in ``regions`` of ``description``; ``generation`` lives as long as this object."""

    def __init__(self, description: KvDescription, regions: Sequence[NDArray[Any]]) -> None:
        self.generation = uuid.uuid4().hex
        self._description = description
        shape, dtype = description.block_shape(), DTYPES[description.element]
        self._regions = tuple(region.view(dtype).reshape(len(region), *shape, copy=False) for region in regions)
        row = description.attention.kv_heads * description.attention.width * description.element.nbytes
        self._block_tokens = digest.block_tokens(row, block_size=description.block_size)

    def seal(self, prompt: Prefilled) -> Seal:
        """Return the digests of a prompt's KV; raise ``HandoffError`` where its blocks cannot hold it."""
        cache = Cache(description=self._description, ranks=(self._regions,), block_ids=(prompt.blocks,))
        return Seal(
            generation=self.generation,
            model_digest="",
            block_tokens=self._block_tokens,
            digests=digest.digests(cache.read(prompt.num_tokens), self._block_tokens, self._description.block_size),
        )
