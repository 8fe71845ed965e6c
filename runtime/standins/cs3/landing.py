"""Say where KV that is read lands, and bring it into the engine's cache.

The engine's cache is f16 ``[layers, 2, capacity, kv_heads, head_dim]``, which is canonical order. Where the worker
keeps the same bytes, and a token's heads together (vLLM's NHD), a READ lands in the cache itself. KV of any other
layout lands in memory laid out like the worker's and is converted from there.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.handoff.contract import Code, HandoffError
from runtime.handoff.kv import layout
from runtime.handoff.kv.cache import Cache
from runtime.handoff.kv.convert import translate
from runtime.handoff.kv.description import KvDescription
from runtime.handoff.kv.element import DTYPES, Stored
from runtime.handoff.kv.memory import Holding, Integers, Memory
from runtime.handoff.kv.plan import plan
from runtime.handoff.sidechannel import NixlAgentMetadata
from runtime.standins.cs3.pull import f16
from runtime.standins.engine.layer import Half
from runtime.standins.engine.weights import Geometry


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class Landing:
    """Say what to read into ``memory``, which is to be registered for that.

    After the READ, ``received`` returns the tokens' KV as the worker computed it, in canonical order and the worker's
    element type; ``settle`` puts that into the engine's cache. Both take some milliseconds for a hundred tokens.
    """

    memory: NDArray[Any]
    pairs: Integers
    received: Callable[[], Stored]
    settle: Callable[[Stored], None]


def land(
    remote: NixlAgentMetadata,
    worker: KvDescription,
    block_ids: list[int],
    num_tokens: int,
    geometry: Geometry,
    cache: Half,
) -> Landing:
    """Plan how ``num_tokens`` tokens in a worker's blocks come into the first of ``cache``; its rest is not touched.

    ``worker`` was checked against ``remote``. Nothing behind the last token is moved, unless blocks are packed.
    """
    there = Memory(
        bases=tuple(remote.kv_caches_base_addr),
        block_strides=tuple(remote.block_strides),
        num_blocks=remote.num_blocks,
    )
    producer = Holding(description=worker, memories=(there,), block_ids=(tuple(block_ids),))
    engine = f16(geometry, layout.TOKEN_MAJOR, cache.shape[2])
    if worker == f16(geometry, layout.NHD, worker.block_size):
        target = Cache(description=engine, ranks=((cache.reshape(1, *cache.shape),),), block_ids=((0,),))
        ours = cache[:, :, :num_tokens]
        return Landing(
            memory=cache, pairs=_pairs(producer, target, num_tokens), received=lambda: ours, settle=lambda kv: None
        )
    memory, staged = _staging(worker, len(block_ids))

    def settle(kv: Stored) -> None:
        cache[:, :, :num_tokens] = _narrowed(kv, worker, engine)

    pairs = _pairs(producer, staged, num_tokens)
    return Landing(memory=memory, pairs=pairs, received=lambda: staged.read(num_tokens), settle=settle)


def _pairs(producer: Holding, target: Cache, num_tokens: int) -> Integers:
    (transfer,) = plan(producer, target.holding(), num_tokens).transfers
    return transfer.pairs


def _staging(worker: KvDescription, blocks: int) -> tuple[NDArray[Any], Cache]:
    """Return memory for as many of the worker's blocks, and how to read it."""
    memory = np.empty((math.prod(worker.region_shape()), blocks, *worker.block_shape()), DTYPES[worker.element])
    return memory, Cache(description=worker, ranks=(tuple(memory),), block_ids=(tuple(range(blocks)),))


def _narrowed(kv: Stored, worker: KvDescription, engine: KvDescription) -> Half:
    """Return canonical KV in f16; raise ``HandoffError`` (``kv_layout``) on values that f16 cannot hold."""
    narrowed, _ = translate(kv, worker, engine)
    if not np.isfinite(narrowed).all():
        raise HandoffError(Code.KV_LAYOUT, f"worker's KV in {worker.element} has values that f16 cannot hold")
    return narrowed
