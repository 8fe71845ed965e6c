"""Plan a transfer: which bytes of which producer rank go where in which consumer rank.

A plan moves bytes and changes their order, never the bytes: where element, scales, RoPE or packing differ, read into
memory laid out with the producer's and convert there. It is cheap where tokens or heads lie together on both sides; a
plan between NHD and HND has a range a token and head, so read such KV in the producer's layout too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.handoff.contract import Code, HandoffError
from runtime.handoff.kv.description import KvDescription
from runtime.handoff.kv.layout import Axis, Packing
from runtime.handoff.kv.memory import Holding, Rank

Integers = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class Transfer:
    """Move ranges between two ranks; ``pairs`` is ``[n, 3]``: consumer's address, producer's address, bytes."""

    producer_rank: int
    consumer_rank: int
    pairs: Integers

    @property
    def nbytes(self) -> int:
        """The bytes moved."""
        return int(self.pairs[:, 2].sum())


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """Fill every consumer rank: do all ``transfers``, then ``copies`` (from rank, to rank) inside the consumer.

    A copy repeats all that its first rank holds of this request: both ranks keep the same heads.
    """

    transfers: tuple[Transfer, ...]
    copies: tuple[tuple[int, int], ...]

    @property
    def nbytes(self) -> int:
        """The bytes that cross the wire: ``KvDescription.nbytes`` without scales, or whole blocks if packed."""
        return sum(transfer.nbytes for transfer in self.transfers)


def plan(producer: Holding, consumer: Holding, tokens: int) -> Plan:
    """Return how to move the KV of ``tokens`` tokens, each byte once, adjacent ranges merged.

    Raises ``HandoffError``: ``kv_layout`` where bytes would have to change on the way, ``kv_incomplete`` or
    ``kv_foreign`` where the block ids of a side cannot hold these tokens.
    """
    check_same_bytes(producer.description, consumer.description)
    for side in (producer, consumer):
        side.check(tokens, needed_by=consumer.description)
    fillable = [Rank(consumer, number, tokens) for number in consumer.description.first_holders()]
    sources = [Rank(producer, number, tokens) for number in producer.description.first_holders()]
    transfers = [
        Transfer(producer_rank=source.number, consumer_rank=target.number, pairs=_pairs(source, target, heads, tokens))
        for target in fillable
        for source in sources
        if (heads := _common(source.heads, target.heads))
    ]
    return Plan(transfers=tuple(transfers), copies=_copies(consumer.description))


def in_place(producer: KvDescription, consumer: KvDescription) -> bool:
    """Tell whether each half of a block lies on both sides alike: a plan then has a range for it, and not for a token.

    What is read so needs no conversion afterwards.
    """
    sides = [description.axis_strides() for description in (producer, consumer)]
    alike = all(sides[0][axis] == sides[1][axis] for axis in (Axis.TOKEN, Axis.HEAD))
    return alike and not _differences(producer, consumer)


def check_same_bytes(producer: KvDescription, consumer: KvDescription) -> None:
    """Raise ``HandoffError`` (``kv_layout``) unless both sides store the same bytes for an element, in any order."""
    if wrong := _differences(producer, consumer):
        raise HandoffError(Code.KV_LAYOUT, f"KV cannot be moved without conversion: {'; '.join(wrong)}")


def _differences(producer: KvDescription, consumer: KvDescription) -> list[str]:
    names = ["attention", "layers", "element", "scales", "rope"]
    got_and_needed = {name: (getattr(producer, name), getattr(consumer, name)) for name in names}
    got_and_needed["packing"] = (producer.layout.packing, consumer.layout.packing)
    if got_and_needed["packing"] != (Packing.PLAIN, Packing.PLAIN):
        got_and_needed["block size of packed KV"] = (producer.block_size, consumer.block_size)
    wrong = [f"{name} is {got}, needed is {needed}" for name, (got, needed) in got_and_needed.items() if got != needed]
    if not wrong and not producer.keeps_for(consumer):
        return ["the producer's windows are shorter than the consumer's"]
    return wrong


def _copies(consumer: KvDescription) -> tuple[tuple[int, int], ...]:
    first = {consumer.heads_of(rank): rank for rank in consumer.first_holders()}
    pairs = ((first[consumer.heads_of(rank)], rank) for rank in range(consumer.tp_size))
    return tuple((source, rank) for source, rank in pairs if source != rank)


def _common(first: range, second: range) -> range:
    return range(max(first.start, second.start), min(first.stop, second.stop))


def _pairs(source: Rank, target: Rank, heads: range, tokens: int) -> Integers:
    """Plan each class of layers that need the same tokens of the same blocks, then merge all ranges."""
    alike: dict[tuple[int, int, int], list[int]] = {}
    for layer in range(target.description.layers):
        first = target.description.first_token(layer, tokens)
        alike.setdefault((first, source.description.group(layer), target.description.group(layer)), []).append(layer)
    ranges = [
        _ranges(source, target, np.array(layers), heads, range(first, tokens))
        for (first, _, _), layers in alike.items()
    ]
    return _merged(*(np.concatenate(column) for column in zip(*ranges, strict=True)))


def _ranges(
    source: Rank, target: Rank, layers: Integers, heads: range, tokens: range
) -> tuple[Integers, Integers, Integers]:
    """Return target addresses, source addresses and lengths, with the longest ranges that both sides have in common."""
    width = target.description.attention.width * target.description.element.nbytes
    sides = (source.strides, target.strides)
    # heads of one token lie together on both sides as in NHD, or each head is a range of its own
    together = len(heads) == 1 or all(strides[Axis.HEAD] == width for strides in sides)
    row = width * (len(heads) if together else 1)
    consecutive = all(strides[Axis.TOKEN] == row for strides in sides)
    sizes = (source.description.block_size, target.description.block_size)
    starts, counts = _segments(tokens, sizes if consecutive else (1,), source.description)
    layer, half, head, token = np.ix_(
        layers, np.arange(target.description.attention.halves), np.array(heads[:1] if together else heads), starts
    )
    columns: Any = np.broadcast_arrays(
        target.address(layer, half, head, token), source.address(layer, half, head, token), counts * row
    )
    local, remote, length = (column.ravel() for column in columns)
    return local, remote, length


def _segments(tokens: range, sizes: tuple[int, ...], description: KvDescription) -> tuple[Integers, Integers]:
    """Cut tokens at the blocks' ends of both sides; return where each piece starts and how many tokens it has."""
    start, stop = tokens.start, tokens.stop
    if description.layout.packing is not Packing.PLAIN:  # tokens of a packed block are mingled: move whole blocks
        start, stop = (start // description.block_size * description.block_size, -(-stop // sizes[0]) * sizes[0])
    ends = [np.arange((start // size + 1) * size, stop, size) for size in sizes]
    cuts = np.unique(np.concatenate([np.array([start]), *ends]))
    return cuts, np.diff(cuts, append=stop)


def _merged(local: Integers, remote: Integers, length: Integers) -> Integers:
    """Sort by local address and join ranges that follow each other without a gap on both sides."""
    order = np.argsort(local, kind="stable")
    local, remote, length = local[order], remote[order], length[order]
    gap = (local[1:] != local[:-1] + length[:-1]) | (remote[1:] != remote[:-1] + length[:-1])
    starts = np.concatenate([[0], np.flatnonzero(gap) + 1])
    return np.stack([local[starts], remote[starts], np.add.reduceat(length, starts)], axis=1)
