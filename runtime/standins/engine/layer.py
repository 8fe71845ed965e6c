"""Compute one Llama layer: norm, rotary positions, attention over the cached KV, gated MLP.

Everything is f32 except the cache, which is f16. Attention reads the rounded cache, in prefill as in decode, so moving
the cache to another process loses nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from runtime.standins.engine.weights import Floats

Half = NDArray[np.float16]


def rms_norm(x: Floats, weight: Floats, epsilon: float) -> Floats:
    """Return ``x`` ``[tokens, width]`` scaled to a root mean square of one, times ``weight``."""
    mean_square = np.einsum("tw,tw->t", x, x)[:, None] / np.float32(x.shape[-1])
    scaled: Floats = x / np.sqrt(mean_square + np.float32(epsilon)) * weight
    return scaled


def rope_table(context: int, head_dim: int, theta: float) -> tuple[Floats, Floats]:
    """Return the cosines and sines of every position, each f32 ``[context, 1, head_dim / 2]``, broadcast over heads."""
    frequencies = theta ** (-np.arange(0, head_dim, 2) / head_dim)
    angles = np.arange(context)[:, None, None] * frequencies
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)


def rotate(x: Floats, cosines: Floats, sines: Floats) -> Floats:
    """Return ``x`` ``[tokens, heads, head_dim]`` with its two halves rotated against each other (RoPE, half-split)."""
    low, high = np.split(x, 2, axis=-1)
    return np.concatenate([low * cosines - high * sines, high * cosines + low * sines], axis=-1)


def widen(half: Half) -> Floats:
    """Return finite f16 values as f32, exactly, three times as fast as ``astype``.

    The f16 bits move to their f32 places and a power of two corrects the exponent's bias (127 - 15).
    """
    bits = half.view(np.int16).astype(np.int32, order="C")
    bits <<= 13
    bits &= np.int32(-0x70000001)  # keeps the sign, clears its three copies that the shift left above the exponent
    wide = bits.view(np.float32)
    wide *= np.float32(2.0**112)
    return wide


def put(half: Half, position: int, rows: Floats) -> None:
    """Write ``[tokens, kv_heads, head_dim]`` from a position on into K or V of a layer, ``[blocks, tokens, …]``."""
    while len(rows):
        block, inside = divmod(position, half.shape[1])
        part = rows[: half.shape[1] - inside]
        half[block, inside : inside + len(part)] = part
        position, rows = position + len(part), rows[len(part) :]


def take(half: Half, positions: int) -> Floats:
    """Return the first positions of K or V of a layer as f32 ``[positions, kv_heads, head_dim]``."""
    blocks = half[: -(-positions // half.shape[1]), :positions]  # of a single block only what is needed
    return widen(blocks).reshape(-1, *half.shape[2:])[:positions]


def attend(queries: Floats, kv: Half, positions: int) -> Floats:
    """Return causal attention ``[tokens, heads * head_dim]``.

    ``queries`` ``[tokens, heads, head_dim]`` belong to the last of the first ``positions`` of a layer's ``kv``,
    ``[2, blocks, tokens, kv_heads, head_dim]``; heads share a KV head in consecutive groups.
    """
    tokens, heads, head_dim = queries.shape
    kv_heads = kv.shape[3]
    grouped = queries.reshape(tokens, kv_heads, -1, head_dim).transpose(1, 2, 0, 3) * np.float32(head_dim**-0.5)
    wide_keys, wide_values = take(kv[0], positions), take(kv[1], positions)
    out = np.empty((tokens, kv_heads, heads // kv_heads, head_dim), np.float32)
    for head in range(kv_heads):  # one head at a time keeps the scores in the processor's cache
        scores = grouped[head].reshape(-1, head_dim) @ wide_keys[:, head].T
        _weigh(scores.reshape(-1, tokens, positions))
        mixed = scores @ wide_values[:, head]
        mixed /= scores.sum(axis=-1, keepdims=True)
        out[:, head] = mixed.reshape(-1, tokens, head_dim).swapaxes(0, 1)
    return out.reshape(tokens, -1)


def _weigh(scores: Floats) -> None:
    """Turn ``scores`` ``[group, tokens, positions]`` into softmax weights in place, but for their sum."""
    tokens = scores.shape[1]
    if tokens > 1:
        future = np.triu(np.full((tokens, tokens), -np.inf, np.float32), 1)
        scores[:, :, -tokens:] += future
    scores -= scores.max(axis=-1, keepdims=True)
    np.exp(scores, out=scores)


def gated_mlp(x: Floats, gate_up: Floats, down: Floats) -> Floats:
    """Return ``down(silu(gate(x)) * up(x))``; silu is written with tanh, which cannot overflow."""
    gate, up = np.split(x @ gate_up.T, 2, axis=-1)
    gate *= np.float32(0.5)
    up *= gate
    np.tanh(gate, out=gate)
    gate += np.float32(1.0)
    up *= gate
    product: Floats = up @ down.T
    return product
