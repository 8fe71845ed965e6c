"""Say where the KV of one request lies: addresses of regions, and the ids of its blocks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runtime.handoff.contract import Code, HandoffError
from runtime.handoff.kv.description import KvDescription
from runtime.handoff.kv.layout import Axis

Integers = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Memory:
    """Place one rank's regions: block ``b`` of region ``r`` lies at ``bases[r] + b * block_strides[r]``, in bytes."""

    bases: tuple[int, ...]
    block_strides: tuple[int, ...]
    num_blocks: int

    def check(self, description: KvDescription) -> None:
        """Raise ``HandoffError`` (``kv_layout``) unless these can be the regions that ``description`` speaks of."""
        regions, block_bytes = math.prod(description.region_shape()), description.block_bytes()
        if {len(self.bases), len(self.block_strides)} != {regions}:
            counts = f"{len(self.bases)} regions and {len(self.block_strides)} strides"
            raise HandoffError(Code.KV_LAYOUT, f"memory has {counts}, its description {regions}")
        if min(self.block_strides) < block_bytes:
            shortest = min(self.block_strides)
            raise HandoffError(Code.KV_LAYOUT, f"blocks lie {shortest} bytes apart, one has {block_bytes}")
        # beyond 63 bits numpy would turn addresses into floats
        if min(self.bases) < 0 or max(self.bases) + max(self.block_strides) * self.num_blocks >= 2**63:
            raise HandoffError(Code.KV_LAYOUT, "regions lie outside of memory")

    def of_regions(self, regions: Sequence[int]) -> Memory:
        """Place some of the regions."""
        return Memory(
            bases=tuple(self.bases[region] for region in regions),
            block_strides=tuple(self.block_strides[region] for region in regions),
            num_blocks=self.num_blocks,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Holding:
    """Place one request's KV: a ``Memory`` for each rank, and for each group the ids of its last blocks in order.

    A group of windowed layers may leave out leading blocks; the last id is always that of the last token's block.
    """

    description: KvDescription
    memories: tuple[Memory, ...]
    block_ids: tuple[tuple[int, ...], ...]

    def check(self, tokens: int, *, needed_by: KvDescription) -> None:
        """Raise ``HandoffError`` unless every token that a consumer needs of ``tokens`` tokens has a block here.

        ``kv_layout`` on ranks, groups or regions that contradict the description, ``kv_incomplete`` on too few blocks,
        ``kv_foreign`` on too many, on ids that the memory lacks, and on a block named twice.
        """
        groups = [self.description.group(layer) for layer in range(self.description.layers)]
        if len(self.memories) != self.description.tp_size or set(groups) != set(range(len(self.block_ids))):
            got = f"{len(self.memories)} ranks and {len(self.block_ids)} block groups"
            needed = f"{self.description.tp_size} ranks and groups {sorted(set(groups))}"
            raise HandoffError(Code.KV_LAYOUT, f"memory has {got}, its description {needed}")
        for memory in self.memories:
            memory.check(self.description)
        first = dict.fromkeys(groups, tokens)
        for layer, group in enumerate(groups):
            first[group] = min(first[group], needed_by.first_token(layer, tokens))
        for group, token in first.items():
            self._check_ids(self.block_ids[group], range(token, tokens))

    def of_layers(self, layers: range) -> Holding:
        """Place some of the layers, which ``KvDescription.of_layers`` describes."""
        whole, described = self.description, self.description.of_layers(layers)
        if described is whole:
            return self
        shape = whole.region_shape()
        of_each = np.arange(math.prod(shape)).reshape(shape)
        regions = of_each.take(layers, whole.layout.regions.index(Axis.LAYER)).ravel().tolist()
        return Holding(
            description=described,
            memories=tuple(memory.of_regions(regions) for memory in self.memories),
            block_ids=tuple(self.block_ids[group] for group in whole.groups_of(layers)),
        )

    def _check_ids(self, ids: tuple[int, ...], tokens: range) -> None:
        size, num_blocks = self.description.block_size, min(memory.num_blocks for memory in self.memories)
        most = -(-tokens.stop // size)
        fewest = most - tokens.start // size
        if not tokens or len(ids) < fewest:
            raise HandoffError(
                Code.KV_INCOMPLETE, f"{len(ids)} blocks of {size} tokens came, {len(tokens)} tokens need {fewest}"
            )
        if len(ids) > most:
            raise HandoffError(Code.KV_FOREIGN, f"{len(ids)} blocks came, {tokens.stop} tokens have at most {most}")
        if not all(0 <= block < num_blocks for block in ids) or len(set(ids)) < len(ids):
            raise HandoffError(Code.KV_FOREIGN, f"block ids must be distinct and from 0 to {num_blocks - 1}")


class Rank:
    """Compute addresses in one rank of a checked ``Holding`` that holds ``tokens`` tokens."""

    def __init__(self, holding: Holding, number: int, tokens: int) -> None:
        self.number = number
        self.description = holding.description
        self.heads = self.description.heads_of(number)
        self.strides = self.description.axis_strides()
        memory, shape = holding.memories[number], self.description.region_shape()
        self._bases = np.array(memory.bases, np.int64).reshape(shape)
        self._block_strides = np.array(memory.block_strides, np.int64).reshape(shape)
        self._ids = [np.array(ids, np.int64) for ids in holding.block_ids]
        self._num_blocks = -(-tokens // self.description.block_size)

    def address(self, layer: Integers, half: Integers, head: Integers, token: Integers) -> Integers:
        """Return where heads of tokens begin; the arguments broadcast, and all layers are of one group."""
        size = self.description.block_size
        ids = self._ids[self.description.group(int(layer.flat[0]))]
        block = ids[token // size - (self._num_blocks - len(ids))]
        index = {Axis.LAYER: layer, Axis.HALF: half, Axis.HEAD: head - self.heads.start, Axis.TOKEN: token % size}
        region = tuple(index[axis] for axis in self.description.layout.regions)
        start = self._bases[region] + block * self._block_strides[region]
        return sum((index[axis] * self.strides[axis] for axis in index if axis in self.strides), start)
