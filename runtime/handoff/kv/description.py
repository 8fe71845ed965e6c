"""Describe one engine's KV without naming the engine, so that a reader can plan, convert and refuse.

Sources of figures: DeepSeek's published bytes a token (70.272 KB for V3, 327.680 KB for Qwen-2.5-72B).
"""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Annotated

import msgspec

from runtime.handoff.contract import Code, HandoffError
from runtime.handoff.kv.attention import Count, Heads, Latent, Rope
from runtime.handoff.kv.layout import Axis, Layout, Packing


class Element(StrEnum):
    """Enumerate the types of one element; ``F8_E4M3`` has no infinity (``float8_e4m3fn``) and comes with scales."""

    F16 = "f16"
    BF16 = "bf16"
    F32 = "f32"
    F8_E4M3 = "f8-e4m3"

    @property
    def nbytes(self) -> int:
        """The bytes of one element."""
        return {Element.F32: 4, Element.F8_E4M3: 1}.get(self, 2)


class Granularity(StrEnum):
    """Enumerate what shares one f32 scale: a layer's half, a head of it, or one token of a head."""

    TENSOR = "tensor"
    HEAD = "head"
    TOKEN = "token"  # noqa: S105 - no password


class KvDescription(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Describe the KV cache of one engine over all its tensor-parallel ranks; every layer has the same attention.

    ``windows`` is the sliding window of each layer in tokens (None: full attention), ``groups`` the list of block ids
    that each layer uses; empty means no window, and one list. Raises ``ValueError`` where the parts contradict.
    """

    attention: Heads | Latent
    layers: Count
    element: Element
    rope: Rope
    layout: Layout
    block_size: Count
    scales: Granularity | None = None
    tp_size: Count = 1
    windows: tuple[Count | None, ...] = ()
    groups: tuple[Annotated[int, msgspec.Meta(ge=0)], ...] = ()

    def __post_init__(self) -> None:
        heads = self.attention.kv_heads
        if heads % self.tp_size and self.tp_size % heads:
            raise ValueError(f"{heads} KV heads do not divide over {self.tp_size} ranks, nor the other way round")
        if (self.element is Element.F8_E4M3) != (self.scales is not None):
            raise ValueError(f"{self.element} has scales {self.scales}: f8-e4m3 needs them, other types have none")
        if {len(self.windows), len(self.groups)} - {0, self.layers}:
            raise ValueError(f"windows and groups must be empty or one a layer, of {self.layers} layers")
        if max(len(set(self.windows)), len(set(self.groups))) > 1 and Axis.LAYER not in self.layout.regions:
            raise ValueError("layers with different windows or groups need regions of their own")
        if self.layout.packing is not Packing.PLAIN:
            self._check_packed()

    def heads_of(self, rank: int) -> range:
        """Return the KV heads that a rank holds; with more ranks than heads, neighbours hold the same one."""
        heads, ranks = self.attention.kv_heads, self.tp_size
        return range(rank * heads // ranks, max(rank * heads // ranks + 1, (rank + 1) * heads // ranks))

    def first_token(self, layer: int, tokens: int) -> int:
        """Return the first of ``tokens`` tokens that a layer still needs."""
        window = self.windows[layer] if self.windows else None
        return max(0, tokens - window) if window else 0

    def keeps_for(self, other: KvDescription) -> bool:
        """Tell whether no layer here forgets a token that ``other``, of the same model, still needs."""
        none = (None,) * self.layers
        pairs = zip(self.windows or none, other.windows or none, strict=True)
        return all(mine is None or (needed is not None and needed <= mine) for mine, needed in pairs)

    def group(self, layer: int) -> int:
        """Return the number of the list of block ids that a layer uses."""
        return self.groups[layer] if self.groups else 0

    def groups_of(self, layers: range) -> list[int]:
        """Return the numbers of the lists of block ids that some layers use, in order."""
        return sorted({self.group(layer) for layer in layers})

    def block_shape(self) -> tuple[int, ...]:
        """Return the extents of one rank's block, in the order of ``layout.block``."""
        return tuple(self._extent(axis) for axis in self.layout.block)

    def axis_strides(self) -> dict[Axis, int]:
        """Return, for each axis inside a block, the bytes from one index to the next."""
        strides, step = {}, self.element.nbytes
        for axis, extent in zip(reversed(self.layout.block), reversed(self.block_shape()), strict=True):
            strides[axis] = step
            step *= extent
        return strides

    def block_bytes(self) -> int:
        """Return the bytes of one block in one region of one rank."""
        return math.prod(self.block_shape()) * self.element.nbytes

    def region_shape(self) -> tuple[int, ...]:
        """Return the extents of the axes that pick a region; a rank has as many regions as their product."""
        return tuple(self._extent(axis) for axis in self.layout.regions)

    def first_holders(self) -> list[int]:
        """Return the ranks that hold all heads between them, each head once."""
        return [rank for rank in range(self.tp_size) if rank == 0 or self.heads_of(rank) != self.heads_of(rank - 1)]

    def bytes_per_token(self) -> int:
        """Return what one more token takes over all ranks, once all windows are full; replicas count once."""
        return self._token_bytes() * sum(window is None for window in self.windows or (None,) * self.layers)

    def nbytes(self, tokens: int) -> int:
        """Return the bytes of ``tokens`` tokens, windows clipped, with scales that come with tokens."""
        return self._token_bytes() * sum(tokens - self.first_token(layer, tokens) for layer in range(self.layers))

    def of_layers(self, layers: range) -> KvDescription:
        """Describe all or some layers, their groups numbered anew from 0; some need regions of their own."""
        if len(layers) == self.layers:
            return self
        if Axis.LAYER not in self.layout.regions:
            raise ValueError("all layers share a region: they cannot be described apart")
        groups = self.groups_of(layers)
        return msgspec.structs.replace(
            self,
            layers=len(layers),
            windows=self.windows[layers.start : layers.stop],
            groups=tuple(groups.index(group) for group in self.groups[layers.start : layers.stop]),
        )

    def of_scales(self) -> KvDescription:
        """Describe the scales of granularity ``TOKEN`` as KV of width one, to plan and convert them like KV."""
        if self.scales is not Granularity.TOKEN:
            raise ValueError(f"scales {self.scales} are not stored with tokens: hand them over by value")
        latent = isinstance(self.attention, Latent)
        heads = Heads(kv_heads=self.attention.kv_heads, width=1, rope_dim=0)
        attention = Latent(kv_lora_rank=1, rope_dim=0) if latent else heads
        changes = {"attention": attention, "element": Element.F32, "scales": None, "rope": Rope.NOT_APPLIED}
        return msgspec.structs.replace(self, **changes)

    def _token_bytes(self) -> int:
        scale = 4 if self.scales is Granularity.TOKEN else 0
        vector = self.attention.width * self.element.nbytes + scale
        return self.attention.halves * self.attention.kv_heads * vector

    def _extent(self, axis: Axis) -> int:
        match axis:
            case Axis.LAYER:
                return self.layers
            case Axis.HALF:
                return self.attention.halves
            case Axis.HEAD:
                return len(self.heads_of(0))
            case Axis.TOKEN:
                return self.block_size
            case Axis.DIM:
                return self.attention.width

    def _check_packed(self) -> None:
        packing = self.layout.packing
        if not isinstance(self.attention, Heads):
            raise ValueError(f"{packing} packs K and V, a latent is neither")
        if packing is not Packing.VNNI:
            return
        if self.element.nbytes != 2:
            raise ValueError("vnni packs 16-bit elements")
        if self.block_size % 16 or self.attention.width % 16:
            raise ValueError(
                f"vnni packs 16 by 16, a block has {self.block_size} tokens and a head {self.attention.width} elements"
            )


def encode(description: KvDescription) -> bytes:
    """Return a description as JSON."""
    return msgspec.json.encode(description)


def decode(document: bytes | str) -> KvDescription:
    """Read a peer's description; raise ``HandoffError`` (``kv_layout``) unless it is whole and consistent."""
    try:
        return msgspec.json.decode(document, type=KvDescription)
    except msgspec.MsgspecError as error:
        raise HandoffError(Code.KV_LAYOUT, f"KV description is unusable: {error}") from error
