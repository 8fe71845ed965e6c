"""Say in which order KV lies in memory.

Memory is *regions* of *blocks*. Some axes pick the region, the others order the elements of a block, outermost first.
A contiguous cache is one block of its whole capacity. Block ``b`` of a region starts at ``b`` times the block's bytes.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec


class Axis(StrEnum):
    """Enumerate the axes of KV; ``HALF`` is K, V (one half only in an MLA latent), ``DIM`` one head's elements."""

    LAYER = "layer"
    HALF = "half"
    HEAD = "head"
    TOKEN = "token"  # noqa: S105 - no password
    DIM = "dim"


class Packing(StrEnum):
    """Enumerate how ``[token, dim]`` of one head is stored.

    For ``N`` tokens a block and ``D`` elements a head, vLLM's CPU backend keeps ``K_TRANSPOSED``, K as ``[D][N]`` and V
    plain; and for AMX ``VNNI``, K as ``[N/16][D/2][16][2]`` and V as ``[D/16][N/2][16][2]``.
    """

    PLAIN = "plain"
    K_TRANSPOSED = "k-transposed"
    VNNI = "vnni"


class Layout(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Order the axes: ``regions`` pick a region (numbered row-major), ``block`` lie inside each block.

    Together they name every axis once. Raises ``ValueError`` on anything else.
    """

    regions: tuple[Axis, ...]
    block: tuple[Axis, ...]
    packing: Packing = Packing.PLAIN

    def __post_init__(self) -> None:
        axes = (*self.regions, *self.block)
        if sorted(axes) != sorted(Axis):
            raise ValueError(f"layout has the axes {', '.join(axes)}; each of {', '.join(Axis)} is needed once")
        if not {*self.regions} <= {Axis.LAYER, Axis.HALF}:
            raise ValueError(f"regions are picked by {', '.join(self.regions)}; only layer and half may pick one")
        if self.block[-1] is not Axis.DIM:
            raise ValueError(f"the innermost axis is {self.block[-1]}, dim is needed: a head's elements lie together")
        if self.packing is not Packing.PLAIN and self.block[-2:] != (Axis.TOKEN, Axis.DIM):
            raise ValueError(f"{self.packing} packs token and dim, which must be the two innermost axes")


NHD: Final = Layout(regions=(Axis.LAYER,), block=(Axis.HALF, Axis.TOKEN, Axis.HEAD, Axis.DIM))
"""vLLM, ``[block, 2, token, head, dim]`` a layer."""

HND: Final = Layout(regions=(Axis.LAYER,), block=(Axis.HALF, Axis.HEAD, Axis.TOKEN, Axis.DIM))
"""vLLM, ``[block, 2, head, token, dim]`` a layer."""

SPLIT_NHD: Final = Layout(regions=(Axis.LAYER, Axis.HALF), block=(Axis.TOKEN, Axis.HEAD, Axis.DIM))
"""vLLM with K and V apart (``[2, block, token, head, dim]`` a layer, or two tensors)."""

SPLIT_HND: Final = Layout(regions=(Axis.LAYER, Axis.HALF), block=(Axis.HEAD, Axis.TOKEN, Axis.DIM))
"""vLLM with K and V apart, ``[block, head, token, dim]``."""

INTERLEAVED_NHD: Final = Layout(regions=(Axis.LAYER,), block=(Axis.TOKEN, Axis.HEAD, Axis.HALF, Axis.DIM))
"""K and V of a head beside each other, ``[block, token, head, 2 * dim]`` a layer."""

INTERLEAVED_HND: Final = Layout(regions=(Axis.LAYER,), block=(Axis.HEAD, Axis.TOKEN, Axis.HALF, Axis.DIM))
"""K and V of a head beside each other, ``[block, head, token, 2 * dim]`` a layer."""

VLLM_CPU: Final = Layout(
    regions=(Axis.LAYER,), block=(Axis.HEAD, Axis.HALF, Axis.TOKEN, Axis.DIM), packing=Packing.K_TRANSPOSED
)
"""vLLM 0.32's CPU backend: a head's K of the whole block, transposed, then its V (``make test-vllm`` reads it)."""

VLLM_CPU_AMX: Final = Layout(regions=VLLM_CPU.regions, block=VLLM_CPU.block, packing=Packing.VNNI)
"""The same in bf16 where the CPU has AMX (found by experiment on all layers)."""

HEAD_MAJOR: Final = SPLIT_HND
"""transformers' DynamicCache, ``[head, token, dim]`` for each layer's K and V: one block of the whole capacity."""

TOKEN_MAJOR: Final = Layout(regions=(), block=(Axis.LAYER, Axis.HALF, Axis.TOKEN, Axis.HEAD, Axis.DIM))
"""One array ``[layer, 2, token, head, dim]``: one block of the whole capacity."""
