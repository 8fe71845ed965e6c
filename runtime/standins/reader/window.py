"""Cut a worker's KV into windows of some layers, which are read in turns.

Where the worker's blocks hold KV as the engine's cache does, it is read into that, and is there. Else into little
memory, to be converted. A READ costs some microseconds for each range, and what a block has of K alone is a range where
K and V part. So whole blocks are read: the cache has blocks like the worker's, and the little memory is laid out like
it, with blocks in the worker's order, where neighbours are one range. vLLM hands freed blocks out again in falling
order.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from runtime.handoff.kv import layout
from runtime.handoff.kv.attention import Rope
from runtime.handoff.kv.cache import Cache
from runtime.handoff.kv.description import Element, KvDescription
from runtime.handoff.kv.element import DTYPES
from runtime.handoff.kv.layout import Axis
from runtime.handoff.kv.memory import Holding, Integers
from runtime.handoff.kv.plan import in_place, plan
from runtime.standins.engine.layer import Half

WINDOW_BYTES: Final = 16 * 2**20
"""The most that one window brings, unless a layer has more: some milliseconds of loopback."""
STAGED_BYTES: Final = 6 * 2**20
"""The same where KV is converted. Memory for five is less than the 32 MB from which on glibc asks for new pages."""
TURNS: Final = 5
"""Windows that are read at once, and that there is memory for where KV is converted.

Often several end together: then some are still read while those are converted. With four, TCP took 3 to 9 % longer.
"""


def block_size(worker: KvDescription, capacity: int) -> int:
    """Return how long the blocks of a cache for KV of ``worker`` are best: like its own, up to the whole capacity.

    Where the worker keeps K and V apart there is nothing to gain by that: then one block has all.
    """
    return min(worker.block_size, capacity) if Axis.HALF in worker.layout.block else capacity


def engines(worker: KvDescription, block_size: int) -> KvDescription:
    """Describe KV of ``worker``'s model in a cache of the engine."""
    return msgspec.structs.replace(
        worker, element=Element.F16, rope=Rope.HALF_SPLIT, layout=layout.NHD, block_size=block_size
    )


def staging_bytes(worker: KvDescription, blocks: int) -> int:
    """Return how much memory windows of so many blocks take beside the cache."""
    if in_place(worker, engines(worker, worker.block_size)):
        return 0
    parts = list(_parts(worker, blocks, STAGED_BYTES))
    return math.prod(_turns(worker, parts)) * blocks * worker.block_bytes()


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class Window:
    """Hold some layers: ``pairs`` is what to read, ``staged`` the blocks that it is read into, None for the cache."""

    layers: slice
    pairs: Integers
    staged: Cache | None


def cut(worker: Holding, num_tokens: int, cache: Half, limit: int) -> tuple[NDArray[Any], Iterator[Window]]:
    """Return the memory that is read into, and the windows of one rank's ``num_tokens`` tokens, planned one by one.

    ``cache`` has one block, or blocks as long as the worker's. Nothing behind the last token is moved, unless blocks
    are packed. Raises ``HandoffError`` as ``Holding.check`` does.
    """
    ours = engines(worker.description, cache.shape[3])
    worker.check(num_tokens, needed_by=worker.description)
    if not in_place(worker.description, ours):
        return _staged(worker, num_tokens, min(limit, STAGED_BYTES))
    memory = cache.swapaxes(1, 2)
    blocks = tuple(range(-(-num_tokens // ours.block_size)))
    windows = (
        Window(
            layers=slice(part.start, part.stop),
            pairs=_pairs(worker, _part(ours, part, memory[part.start : part.stop], blocks), part, num_tokens),
            staged=None,
        )
        for part in _parts(worker.description, len(worker.block_ids[0]), limit)
    )
    return memory, windows


def _staged(worker: Holding, num_tokens: int, limit: int) -> tuple[NDArray[Any], Iterator[Window]]:
    """Return memory for ``TURNS`` windows, and all windows, which take turns in it."""
    whole, blocks = worker.description, len(worker.block_ids[0])
    places = tuple(np.argsort(np.argsort(worker.block_ids[0])).tolist())
    parts = list(_parts(whole, blocks, limit))
    memory = np.empty((*_turns(whole, parts), blocks, *whole.block_shape()), DTYPES[whole.element])

    def window(number: int, part: range) -> Window:
        staged = _part(whole, part, memory[number % TURNS], places)
        pairs = _pairs(worker, staged, part, num_tokens)
        return Window(layers=slice(part.start, part.stop), pairs=pairs, staged=staged)

    return memory, itertools.starmap(window, enumerate(parts))


def _part(whole: KvDescription, layers: range, memory: NDArray[Any], blocks: tuple[int, ...]) -> Cache:
    """Keep some layers in the first regions of ``memory``."""
    described = whole.of_layers(layers)
    regions = memory[: math.prod(described.region_shape())]
    return Cache(description=described, ranks=(tuple(regions),), block_ids=(blocks,))


def _pairs(worker: Holding, there: Cache, layers: range, num_tokens: int) -> Integers:
    (transfer,) = plan(worker.of_layers(layers), there.holding(), num_tokens).transfers
    return transfer.pairs


def _turns(whole: KvDescription, parts: Sequence[range]) -> tuple[int, int]:
    """Return how many windows there is memory for, and how many regions each has."""
    return min(len(parts), TURNS), math.prod(whole.region_shape()) * len(parts[0]) // whole.layers


def _parts(whole: KvDescription, blocks: int, limit: int) -> Iterator[range]:
    """Yield layers that come together: all, unless each has regions of its own, one after the other."""
    count = whole.layers
    if whole.layout.regions[:1] == (Axis.LAYER,):
        layer_bytes = math.prod(whole.region_shape()) // whole.layers * blocks * whole.block_bytes()
        count = min(max(limit // layer_bytes, 1), whole.layers)
    for first in range(0, whole.layers, count):
        yield range(first, min(first + count, whole.layers))
