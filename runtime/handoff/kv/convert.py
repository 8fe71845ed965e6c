"""Convert KV between layouts, elements and RoPE conventions, by way of one canonical order (see ``cache``)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.handoff.contract import Code, HandoffError
from runtime.handoff.kv.attention import Heads, Latent, Rope
from runtime.handoff.kv.cache import Cache
from runtime.handoff.kv.description import KvDescription
from runtime.handoff.kv.element import Floats, Stored, from_f32, scales_for, to_f32


def convert(source: Cache, target: Cache, tokens: int, scales: Floats | None = None) -> Floats | None:
    """Write the KV of ``tokens`` tokens into ``target``, which keeps all else; return its scales, if it has any.

    ``scales`` are the source's. Raises ``HandoffError`` as ``translate`` does.
    """
    kv, scales = translate(source.read(tokens), source.description, target.description, scales)
    target.write(kv)
    return scales


def translate(
    kv: Stored, source: KvDescription, target: KvDescription, scales: Floats | None = None
) -> tuple[Stored, Floats | None]:
    """Return canonical KV, and its scales, with the target's element and RoPE convention.

    ``scales`` have the shape of ``scales_for``. They are kept where the target shares scales likewise, so that nothing
    is rounded twice. Raises ``HandoffError`` (``kv_layout``) where the models differ, the source's windows are too
    short, or RoPE would have to be computed.
    """
    if (source.attention, source.layers) != (target.attention, target.layers):
        raise HandoffError(Code.KV_LAYOUT, "KV is of a model with other layers or heads: it cannot be converted")
    if not source.keeps_for(target):
        raise HandoffError(Code.KV_LAYOUT, "the source's windows are shorter than the target's: tokens are missing")
    kv = reorder_rope(kv, source.attention, source.rope, target.rope)
    if (source.element, source.scales) == (target.element, target.scales):
        return kv, scales
    # layer by layer, which stays in the processor's cache: half the time for f8-e4m3
    coded = [
        _recoded(kv[layer : layer + 1], source, target, None if scales is None else scales[layer : layer + 1])
        for layer in range(source.layers)
    ]
    stored = np.concatenate([codes for codes, _ in coded])
    return stored, np.concatenate([shared for _, shared in coded if shared is not None]) if target.scales else None


def _recoded(
    kv: Stored, source: KvDescription, target: KvDescription, scales: Floats | None
) -> tuple[Stored, Floats | None]:
    values = to_f32(kv, source.element, scales)
    shared = scales_for(values, target.scales) if target.scales else None
    return from_f32(values, target.element, shared), shared


def reorder_rope(kv: NDArray[Any], attention: Heads | Latent, source: Rope, target: Rope) -> NDArray[Any]:
    """Return canonical KV with the rotated part of K in the target's order; V and the rest stay."""
    if source is target or not attention.rope_dim:
        return kv
    if Rope.NOT_APPLIED in (source, target):
        raise HandoffError(Code.KV_LAYOUT, f"RoPE is {source}, needed is {target}: only the order can be converted")
    kv = kv.copy()
    rotated = kv[:, 0, ..., attention.rotated]
    rows, columns = (2, -1) if source is Rope.HALF_SPLIT else (-1, 2)
    pairs = rotated.reshape(*rotated.shape[:-1], rows, columns)
    kv[:, 0, ..., attention.rotated] = pairs.swapaxes(-1, -2).reshape(rotated.shape)
    return kv
