"""Take from a plan the ranges that a part of the layers and tokens needs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from runtime.handoff.kv.description import KvDescription
from runtime.handoff.kv.layout import TOKEN_MAJOR, Axis
from runtime.handoff.kv.memory import Integers


def piece(pairs: Integers, target: KvDescription, base: int, front: Sequence[int], ahead: Sequence[int]) -> Integers:
    """Return ``[local, remote, bytes]`` of each layer's tokens from ``front`` to ``ahead``.

    ``pairs`` are those of a whole plan into one token-major block at ``base``, in the order that ``plan`` gives.
    """
    if target.layout != TOKEN_MAJOR:
        raise ValueError("a piece is of one token-major array")
    strides = target.axis_strides()
    spans = [
        base + layer * strides[Axis.LAYER] + half * strides[Axis.HALF] + np.array([start, stop]) * strides[Axis.TOKEN]
        for layer, (start, stop) in enumerate(zip(front, ahead, strict=True))
        for half in range(target.attention.halves)
        if start < stop
    ]
    return np.concatenate([_within(pairs, int(start), int(stop)) for start, stop in spans] or [pairs[:0]])


def _within(pairs: Integers, start: int, stop: int) -> Integers:
    """Return ranges, sorted by local address, clipped to the local addresses from ``start`` to ``stop``."""
    low = int(np.searchsorted(pairs[:, 0], start, side="right")) - 1
    high = int(np.searchsorted(pairs[:, 0], stop, side="left"))
    found = pairs[max(low, 0) : high].copy()
    before = np.maximum(start - found[:, 0], 0)
    found[:, :2] += before[:, None]
    found[:, 2] -= before
    found[:, 2] -= np.maximum(found[:, 0] + found[:, 2] - stop, 0)
    return found[found[:, 2] > 0]
