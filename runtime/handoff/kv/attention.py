"""Describe what attention keeps of a token in one layer, and how RoPE left it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec

Count = Annotated[int, msgspec.Meta(ge=1, le=2**24)]
"""A size; its limit keeps what a peer says from overflowing addresses of 64 bits."""


class Rope(StrEnum):
    """Enumerate what was done to K: pairs half the rotated width apart, pairs side by side, or nothing yet."""

    HALF_SPLIT = "half-split"
    INTERLEAVED = "interleaved"
    NOT_APPLIED = "not-applied"


class Heads(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="heads"):
    """Describe MHA and GQA; the first ``rope_dim`` elements of each K head are rotated."""

    kv_heads: Count
    width: Count
    rope_dim: Annotated[int, msgspec.Meta(ge=0, multiple_of=2)]

    def __post_init__(self) -> None:
        if self.rope_dim > self.width:
            raise ValueError(f"{self.rope_dim} elements of a head are rotated, it has {self.width}")

    @property
    def halves(self) -> int:
        """K and V."""
        return 2

    @property
    def rotated(self) -> slice:
        """Where RoPE applies in a K head."""
        return slice(0, self.rope_dim)


class Latent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="latent"):
    """Describe MLA: one vector a token for all heads, ``kv_lora_rank`` latent elements and then ``rope_dim`` of K."""

    kv_lora_rank: Count
    rope_dim: Annotated[int, msgspec.Meta(ge=0, multiple_of=2)]

    @property
    def kv_heads(self) -> int:
        """One, which every tensor-parallel rank holds."""
        return 1

    @property
    def halves(self) -> int:
        """One: K and V are made of the same latent."""
        return 1

    @property
    def width(self) -> int:
        """The elements of a token in one layer."""
        return self.kv_lora_rank + self.rope_dim

    @property
    def rotated(self) -> slice:
        """Where RoPE applies in the vector."""
        return slice(self.kv_lora_rank, self.width)
