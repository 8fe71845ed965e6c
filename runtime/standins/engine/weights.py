"""Hold a Llama model's weights in f32, fused for few and large matrix products."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.standins.engine.gguf_file import GgufFile, Rows, stack

Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True)
class Geometry:
    """State the sizes that both sides of a KV handoff must share; ``context`` is in tokens."""

    layers: int
    kv_heads: int
    head_dim: int
    context: int
    vocabulary: int

    @property
    def kv_bytes_per_token(self) -> int:
        """Return the bytes of K and V, in f16, of one token over all layers."""
        return self.layers * 2 * self.kv_heads * self.head_dim * 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Layer:
    """Hold one layer; every matrix is ``[outputs, inputs]``.

    ``qkv`` stacks the rows of Q, K and V, with RoPE pairs half a head apart; ``gate_up`` those of gate and up.
    """

    attention_norm: Floats
    qkv: Floats
    output: Floats
    mlp_norm: Floats
    gate_up: Floats
    down: Floats


@dataclass(frozen=True, kw_only=True, slots=True)
class Weights:
    """Hold the model; ``embedding`` ``[vocabulary, width]`` also gives the logits (tied)."""

    geometry: Geometry
    heads: int
    rope_theta: float
    epsilon: float
    embedding: Floats
    layers: tuple[Layer, ...]
    final_norm: Floats


def read_weights(file: GgufFile, workers: Executor) -> Weights:
    """Dequantise a GGUF file of the llama architecture with tied embeddings, layer by layer, in ``workers``."""
    facts = file.metadata
    geometry, heads = _geometry(facts), facts["llama.attention.head_count"]
    embedding = workers.submit(lambda: file.rows("token_embd.weight").floats())
    layers = workers.map(lambda number: _layer(file, f"blk.{number}", heads, geometry), range(geometry.layers))
    return Weights(
        geometry=geometry,
        heads=heads,
        rope_theta=facts["llama.rope.freq_base"],
        epsilon=facts["llama.attention.layer_norm_rms_epsilon"],
        layers=tuple(layers),
        embedding=embedding.result(),
        final_norm=_vector(file, "output_norm.weight"),
    )


def _geometry(facts: Mapping[str, Any]) -> Geometry:
    return Geometry(
        layers=facts["llama.block_count"],
        kv_heads=facts["llama.attention.head_count_kv"],
        head_dim=facts["llama.rope.dimension_count"],
        context=facts["llama.context_length"],
        vocabulary=facts["llama.vocab_size"],
    )


def _layer(file: GgufFile, prefix: str, heads: int, geometry: Geometry) -> Layer:
    def rows(name: str) -> Rows:
        return file.rows(f"{prefix}.{name}.weight")

    queries = rows("attn_q").reordered(half_split(heads, geometry.head_dim))
    keys = rows("attn_k").reordered(half_split(geometry.kv_heads, geometry.head_dim))
    return Layer(
        attention_norm=_vector(file, f"{prefix}.attn_norm.weight"),
        qkv=stack([queries, keys, rows("attn_v")]).floats(),
        output=rows("attn_output").floats(),
        mlp_norm=_vector(file, f"{prefix}.ffn_norm.weight"),
        gate_up=stack([rows("ffn_gate"), rows("ffn_up")]).floats(),
        down=rows("ffn_down").floats(),
    )


def _vector(file: GgufFile, name: str) -> Floats:
    vector: Floats = file.rows(name).floats()[0]
    return vector


def half_split(heads: int, head_dim: int) -> NDArray[np.intp]:
    """Return the order that undoes GGUF's interleaving of RoPE pairs: rows 0, 2, 4 … of each head, then 1, 3, 5 …."""
    order = np.arange(heads * head_dim).reshape(heads, head_dim // 2, 2)
    return order.swapaxes(1, 2).reshape(-1)
