"""Read and write one request's KV in arrays of any layout.

Canonical KV is ``[layer, half, token, head, dim]`` over all heads, in the element's storage type. Tokens that have left
a layer's window are zero in it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.handoff.kv.description import KvDescription
from runtime.handoff.kv.element import DTYPES, Stored
from runtime.handoff.kv.layout import Axis, Packing
from runtime.handoff.kv.memory import Holding, Memory
from runtime.handoff.kv.packing import pack, unpack

Plane = NDArray[Any]
"""A view of what one region of a rank holds, ``[layer, half, block, token, head, dim]``."""
Ids = NDArray[np.intp]


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class Cache:
    """Hold arrays ``[num_blocks, *description.block_shape()]``, a tuple of regions for each rank.

    ``block_ids`` are those of a ``Holding``, whose ``check`` says what they must be.
    """

    description: KvDescription
    ranks: tuple[tuple[NDArray[Any], ...], ...]
    block_ids: tuple[tuple[int, ...], ...]

    @classmethod
    def allocate(cls, description: KvDescription, num_blocks: int, block_ids: Sequence[Sequence[int]]) -> Cache:
        """Return zeroed arrays for every rank."""
        shape, dtype = (num_blocks, *description.block_shape()), DTYPES[description.element]
        regions = range(math.prod(description.region_shape()))
        ranks = tuple(tuple(np.zeros(shape, dtype) for _ in regions) for _ in range(description.tp_size))
        return cls(description=description, ranks=ranks, block_ids=tuple(tuple(ids) for ids in block_ids))

    def holding(self) -> Holding:
        """Return where the arrays lie, to plan a transfer; blocks may have gaps between them."""
        memories = tuple(
            Memory(
                bases=tuple(region.ctypes.data for region in regions),
                block_strides=tuple(region.strides[0] for region in regions),
                num_blocks=len(regions[0]),
            )
            for regions in self.ranks
        )
        return Holding(description=self.description, memories=memories, block_ids=self.block_ids)

    def read(self, tokens: int) -> Stored:
        """Return canonical KV of ``tokens`` tokens; raise as ``write`` does."""
        kv = np.zeros(self._canonical_shape(tokens), DTYPES[self.description.element])
        self.read_into(kv[:, :, None], tokens)
        return kv

    def read_into(self, pages: Stored, tokens: int) -> None:
        """Fill the first ``tokens`` tokens of KV ``[layer, half, page, token, head, dim]``, and touch nothing else.

        It is one page of canonical KV, or pages as long as the blocks; what has left a window is not touched either.
        Raises as ``write`` does.
        """
        *outer, count, size, heads, width = pages.shape
        if count > 1 and size != self.description.block_size:
            raise ValueError(f"pages have {size} tokens, blocks {self.description.block_size}")
        self._check((*outer, min(tokens, count * size), heads, width), pages.dtype)
        packing, places = self.description.layout.packing, self._places(tokens)
        for rank in self.description.first_holders():
            held = _slice(self.description.heads_of(rank))
            for layers, halves, plane in self._planes(rank):
                ids, pieces = places[layers.start]
                given = pages[layers, halves, :, :, held]
                blocks = plane if packing is Packing.PLAIN else _unpacked(plane[:, :, ids], packing, halves.start)
                for piece in pieces:
                    piece.of(given)[:] = blocks[:, :, piece.ids if blocks is plane else piece.blocks, piece.inside]

    def write(self, kv: Stored) -> None:
        """Write canonical KV into the blocks of every rank, replicas too; what else the blocks hold stays.

        Raises ``HandoffError`` where the block ids do not hold these tokens, ``ValueError`` on another shape or type.
        """
        self._check(kv.shape, kv.dtype)
        packing, places = self.description.layout.packing, self._places(kv.shape[2])
        for rank in range(len(self.ranks)):
            held = _slice(self.description.heads_of(rank))
            for layers, halves, plane in self._planes(rank):
                ids, pieces = places[layers.start]
                given = kv[layers, halves, None, :, held]
                blocks = plane if packing is Packing.PLAIN else _unpacked(plane[:, :, ids], packing, halves.start)
                for piece in pieces:
                    blocks[:, :, piece.ids if blocks is plane else piece.blocks, piece.inside] = piece.of(given)
                if blocks is not plane:
                    plane[:, :, ids] = _packed(blocks, packing, halves.start)

    def _canonical_shape(self, tokens: int) -> tuple[int, ...]:
        attention = self.description.attention
        return (self.description.layers, attention.halves, tokens, attention.kv_heads, attention.width)

    def _check(self, got: tuple[int, ...], element: np.dtype[Any]) -> None:
        shape, dtype = self._canonical_shape(got[2]), DTYPES[self.description.element]
        if got != shape or element != dtype:
            raise ValueError(f"KV is {element} {got}, needed is {dtype} {shape}")
        self.holding().check(got[2], needed_by=self.description)

    def _planes(self, rank: int) -> Iterator[tuple[slice, slice, Plane]]:
        """Yield what each region holds, with its layers and halves; half by half where they are packed.

        As much at once as lies together: K and V of a block apart took numpy a quarter longer.
        """
        layout = self.description.layout
        axes = [*layout.regions, None, *layout.block]
        order = [axes.index(axis) for axis in (Axis.LAYER, Axis.HALF, None, Axis.TOKEN, Axis.HEAD, Axis.DIM)]
        for at, region in zip(np.ndindex(*self.description.region_shape()), self.ranks[rank], strict=True):
            first = dict(zip(layout.regions, at, strict=True))
            plane = region[(None,) * len(at)].transpose(order)
            layers, step = _from(first.get(Axis.LAYER, 0), len(plane)), plane.shape[1]
            if layout.packing is not Packing.PLAIN:
                step = 1
            for half in range(0, plane.shape[1], step):
                yield layers, _from(first.get(Axis.HALF, 0) + half, step), plane[:, half : half + step]

    def _places(self, tokens: int) -> list[tuple[Ids, list[_Piece]]]:
        """Return for each layer the blocks that hold what it needs, and what lies where in them."""
        size, described = self.description.block_size, self.description
        alike = [(described.first_token(layer, tokens), described.group(layer)) for layer in range(described.layers)]
        found = {}
        for first, group in set(alike):
            ids = np.array(self.block_ids[group], np.intp)
            ids = ids[first // size - (-(-tokens // size) - len(ids)) :]
            found[first, group] = ids, _pieces(first, tokens, size, ids)
        return [found[key] for key in alike]


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class _Piece:
    """Find ``tokens`` at the same places ``inside`` each of some blocks.

    ``pages`` counts blocks from the first token's, ``blocks`` from the first that is needed, ``ids`` names the same
    where all blocks lie.
    """

    tokens: slice
    pages: slice
    blocks: slice
    ids: slice | Ids
    inside: slice

    def of(self, kv: Stored) -> Stored:
        """Return a view ``[…, block, inside, head, dim]`` of these tokens of ``[…, page, token, head, dim]``."""
        *outer, pages, _, heads, width = kv.shape
        if pages > 1:
            return kv[:, :, self.pages, self.inside]
        inside = self.inside.stop - self.inside.start
        return kv[:, :, 0, self.tokens].reshape(*outer, self.blocks.stop - self.blocks.start, inside, heads, width)


def _pieces(first: int, tokens: int, size: int, ids: Ids) -> list[_Piece]:
    """Cut tokens into a part of a block, whole blocks, and a part of a block, leaving out what is empty."""
    start = first // size * size
    whole = min(-(-first // size) * size, tokens), max(tokens // size * size, first)
    pieces = []
    for low, high in itertools.pairwise(sorted({first, *whole, tokens})):
        blocks, inside = (
            slice((low - start) // size, -(-(high - start) // size)),
            slice(low % size, (high - 1) % size + 1),
        )
        pages = slice(low // size, -(-high // size))
        pieces.append(
            _Piece(tokens=slice(low, high), pages=pages, blocks=blocks, ids=_consecutive(ids[blocks]), inside=inside)
        )
    return pieces


def _consecutive(ids: Ids) -> slice | Ids:
    """Return ids as a slice if they allow it, which saves numpy a copy."""
    start = int(ids[0])
    return slice(start, start + len(ids)) if (np.diff(ids) == 1).all() else ids


def _unpacked(blocks: Plane, packing: Packing, half: int) -> Plane:
    return unpack(blocks.swapaxes(-3, -2), packing, half=half).swapaxes(-3, -2)


def _packed(blocks: Plane, packing: Packing, half: int) -> Plane:
    return pack(blocks.swapaxes(-3, -2), packing, half=half).swapaxes(-3, -2)


def _from(start: int, count: int) -> slice:
    return slice(start, start + count)


def _slice(heads: range) -> slice:
    return slice(heads.start, heads.stop)
