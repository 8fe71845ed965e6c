"""Read files that the gguf package wrote."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from gguf.quants import dequantize, quantize
from numpy.typing import NDArray

from runtime.standins.engine.gguf_file import GgufFile, stack
from runtime.standins.engine.weights import Geometry, half_split, read_weights

HEADS, KV_HEADS, HEAD_DIM, WIDTH, INNER, VOCABULARY = 4, 2, 8, 32, 64, 5


def interleave(matrix: NDArray[Any], heads: int) -> NDArray[Any]:
    """Reorder Q or K rows as llama.cpp's converter does."""
    halves = matrix.reshape(heads, 2, HEAD_DIM // 2, -1)
    return halves.swapaxes(1, 2).reshape(matrix.shape)


@pytest.fixture
def tensors() -> dict[str, NDArray[np.float32]]:
    random = np.random.default_rng(5)
    shapes: dict[str, tuple[int, ...]] = {
        "token_embd": (VOCABULARY, WIDTH),
        "output_norm": (WIDTH,),
        "blk.0.attn_norm": (WIDTH,),
        "blk.0.attn_q": (HEADS * HEAD_DIM, WIDTH),
        "blk.0.attn_k": (KV_HEADS * HEAD_DIM, WIDTH),
        "blk.0.attn_v": (KV_HEADS * HEAD_DIM, WIDTH),
        "blk.0.attn_output": (WIDTH, HEADS * HEAD_DIM),
        "blk.0.ffn_norm": (WIDTH,),
        "blk.0.ffn_gate": (INNER, WIDTH),
        "blk.0.ffn_up": (INNER, WIDTH),
        "blk.0.ffn_down": (WIDTH, INNER),
    }
    return {name: random.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


@pytest.fixture
def file(tmp_path: Path, tensors: dict[str, NDArray[np.float32]]) -> GgufFile:
    path = tmp_path / "tiny.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(1)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_dimension_count(HEAD_DIM)
    writer.add_rope_freq_base(1e5)
    writer.add_context_length(64)
    writer.add_vocab_size(VOCABULARY)
    writer.add_layer_norm_rms_eps(0.5)
    writer.add_token_list(["a", "é", "<|x|>"])
    writer.add_token_types([1, 1, 3])
    writer.add_bool("tokenizer.flag", True)
    for name, tensor in tensors.items():
        heads = {"blk.0.attn_q": HEADS, "blk.0.attn_k": KV_HEADS}.get(name)
        stored = interleave(tensor, heads) if heads else tensor
        if stored.ndim == 2:
            kind = gguf.GGMLQuantizationType.Q4_1
            writer.add_tensor(f"{name}.weight", quantize(stored, kind), raw_dtype=kind)
        else:
            writer.add_tensor(f"{name}.weight", stored)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return GgufFile(path)


def rounded(tensor: NDArray[np.float32]) -> NDArray[np.float32]:
    kind = gguf.GGMLQuantizationType.Q4_1
    return np.asarray(dequantize(quantize(tensor, kind), kind))


def test_metadata_keeps_its_types(file: GgufFile) -> None:
    assert file.metadata["tokenizer.ggml.tokens"] == ["a", "é", "<|x|>"]
    assert file.metadata["tokenizer.ggml.token_type"] == [1, 1, 3]
    assert file.metadata["tokenizer.flag"] is True
    assert file.metadata["llama.attention.layer_norm_rms_epsilon"] == 0.5


def test_weights_are_fused_and_their_rope_pairs_are_half_a_head_apart(
    file: GgufFile, tensors: dict[str, NDArray[np.float32]]
) -> None:
    with ThreadPoolExecutor(1) as workers:
        weights = read_weights(file, workers)
    assert weights.geometry == Geometry(layers=1, kv_heads=2, head_dim=8, context=64, vocabulary=5)
    (layer,) = weights.layers
    qkv = np.concatenate([rounded(tensors[f"blk.0.attn_{name}"]) for name in "qkv"])
    gate_up = np.concatenate([rounded(tensors[f"blk.0.ffn_{name}"]) for name in ("gate", "up")])
    np.testing.assert_array_equal(layer.qkv, qkv)
    np.testing.assert_array_equal(layer.gate_up, gate_up)
    np.testing.assert_array_equal(layer.down, rounded(tensors["blk.0.ffn_down"]))
    np.testing.assert_array_equal(layer.mlp_norm, tensors["blk.0.ffn_norm"])
    np.testing.assert_array_equal(weights.embedding, rounded(tensors["token_embd"]))


def test_half_split_undoes_the_interleaving() -> None:
    rows = np.arange(HEADS * HEAD_DIM)
    np.testing.assert_array_equal(interleave(rows[:, None], HEADS)[half_split(HEADS, HEAD_DIM), 0], rows)


def test_matrices_quantised_differently_are_not_stacked(file: GgufFile) -> None:
    with pytest.raises(ValueError, match="too many values"):
        stack([file.rows("blk.0.attn_q.weight"), file.rows("output_norm.weight")])


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "not.gguf"
    path.write_bytes(b"PK\x03\x04" + bytes(64))
    with pytest.raises(ValueError, match="is not a GGUF file"):
        GgufFile(path)
