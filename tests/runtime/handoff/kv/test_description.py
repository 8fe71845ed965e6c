"""A description counts bytes as the models' makers do, travels as JSON, and contradicts itself nowhere."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given

from runtime.handoff.contract import Code, HandoffError
from runtime.handoff.kv import layout as layouts
from runtime.handoff.kv.attention import Heads, Latent, Rope
from runtime.handoff.kv.description import Element, Granularity, KvDescription, decode, encode
from runtime.handoff.kv.layout import Axis, Layout, Packing
from tests.runtime.handoff.kv.reference import descriptions, heads_of


def model(layers: int, attention: Heads | Latent, **changes: Any) -> KvDescription:
    """Describe a model in bf16, as vLLM would hold it."""
    values: dict[str, Any] = {"element": Element.BF16, "rope": Rope.HALF_SPLIT, "layout": layouts.NHD, "block_size": 16}
    return KvDescription(layers=layers, attention=attention, **(values | changes))


def gqa(layers: int, kv_heads: int, width: int, **changes: Any) -> KvDescription:
    return model(layers, Heads(kv_heads=kv_heads, width=width, rope_dim=width), **changes)


def mla(layers: int, **changes: Any) -> KvDescription:
    return model(layers, Latent(kv_lora_rank=512, rope_dim=64), **changes)


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        (gqa(32, 8, 128), 131_072),  # Llama-3.1-8B
        (gqa(80, 8, 128), 327_680),  # Llama-3.1-70B; DeepSeek publishes 327.680 KB for Qwen-2.5-72B
        (gqa(126, 8, 128), 516_096),  # Llama-3.1-405B, published too
        (gqa(36, 8, 128), 147_456),  # Qwen3-8B
        (gqa(64, 8, 128), 262_144),  # Qwen3-32B
        (gqa(94, 4, 128), 192_512),  # Qwen3-235B-A22B
        (gqa(24, 8, 64), 49_152),  # gpt-oss-20b, windows ignored
        (gqa(36, 8, 64), 73_728),  # gpt-oss-120b, windows ignored
        (gqa(92, 8, 128), 376_832),  # GLM-4.5
        (gqa(46, 8, 128), 188_416),  # GLM-4.5-Air
        (mla(47), 54_144),  # GLM-4.7-Flash
        (mla(61), 70_272),  # DeepSeek-V3, published as 70.272 KB
        (mla(61, tp_size=16), 70_272),  # replicas count once
        (gqa(30, 3, 64), 23_040),  # SmolLM2-135M
        (gqa(32, 8, 128, element=Element.F8_E4M3, scales=Granularity.TENSOR), 65_536),
        (gqa(32, 8, 128, element=Element.F8_E4M3, scales=Granularity.TOKEN), 65_536 + 32 * 2 * 8 * 4),
        (gqa(32, 8, 128, element=Element.F32, tp_size=16), 262_144),
    ],
)
def test_bytes_per_token(description: KvDescription, expected: int) -> None:
    assert description.bytes_per_token() == expected
    assert description.nbytes(8192) == 8192 * expected


def test_windows_take_a_constant_once_they_are_full() -> None:
    small = gqa(24, 8, 64, windows=(128, None) * 12)  # gpt-oss-20b
    assert small.bytes_per_token() == 24_576
    assert small.nbytes(8192) == 8192 * 24_576 + 3 * 2**20
    assert small.nbytes(100) == 100 * 49_152
    large = gqa(36, 8, 64, windows=(128, None) * 18)  # gpt-oss-120b
    assert large.nbytes(2**17) == 2**17 * 36_864 + 4.5 * 2**20


@given(descriptions())
def test_json_brings_back_the_same_description(description: KvDescription) -> None:
    assert decode(encode(description)) == description
    assert decode(json.dumps(json.loads(encode(description)))) == description


@given(descriptions())
def test_ranks_hold_the_heads_that_they_ought_to(description: KvDescription) -> None:
    held = [list(description.heads_of(rank)) for rank in range(description.tp_size)]
    assert held == [heads_of(description, rank) for rank in range(description.tp_size)]
    once = [head for rank in description.first_holders() for head in description.heads_of(rank)]
    assert once == list(range(description.attention.kv_heads))


def test_scales_of_tokens_are_described_like_kv() -> None:
    for attention, halves in ((Heads(kv_heads=8, width=128, rope_dim=128), 2), (Latent(kv_lora_rank=9, rope_dim=2), 1)):
        paged = model(2, attention, element=Element.F8_E4M3, scales=Granularity.TOKEN)
        assert paged.of_scales().nbytes(10) == 10 * 2 * halves * attention.kv_heads * 4
    with pytest.raises(ValueError, match="by value"):
        gqa(2, 8, 128).of_scales()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tp_size": 3}, "8 KV heads do not divide over 3 ranks"),
        ({"element": Element.F8_E4M3}, "needs them"),
        ({"scales": Granularity.HEAD}, "other types have none"),
        ({"windows": (128,)}, "one a layer"),
        ({"windows": (128, None), "layout": layouts.TOKEN_MAJOR}, "regions of their own"),
        ({"groups": (0, 1), "layout": layouts.TOKEN_MAJOR}, "regions of their own"),
        ({"layout": layouts.VLLM_CPU_AMX, "block_size": 8}, "16 by 16"),
        ({"layout": layouts.VLLM_CPU_AMX, "element": Element.F32}, "16-bit"),
        ({"attention": Latent(kv_lora_rank=512, rope_dim=64), "layout": layouts.VLLM_CPU_AMX}, "a latent"),
    ],
)
def test_contradictions_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        msgspec.structs.replace(gqa(2, 8, 128), **changes)


@pytest.mark.parametrize(
    ("regions", "block", "packing", "message"),
    [
        ((), (Axis.TOKEN, Axis.DIM), Packing.PLAIN, "each of"),
        ((Axis.LAYER,), (Axis.LAYER, Axis.HALF, Axis.TOKEN, Axis.HEAD, Axis.DIM), Packing.PLAIN, "each of"),
        ((Axis.HEAD,), (Axis.LAYER, Axis.HALF, Axis.TOKEN, Axis.DIM), Packing.PLAIN, "only layer and half"),
        ((Axis.LAYER,), (Axis.HALF, Axis.HEAD, Axis.DIM, Axis.TOKEN), Packing.PLAIN, "innermost"),
        ((Axis.LAYER,), (Axis.HALF, Axis.TOKEN, Axis.HEAD, Axis.DIM), Packing.VNNI, "innermost"),
        ((Axis.LAYER,), (Axis.HALF, Axis.TOKEN, Axis.HEAD, Axis.DIM), Packing.K_TRANSPOSED, "innermost"),
    ],
)
def test_layouts_name_every_axis_once(regions: Any, block: Any, packing: Packing, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Layout(regions=regions, block=block, packing=packing)


@pytest.mark.parametrize(
    "change",
    [
        {"layers": 0},
        {"layers": 2**40},
        {"layers": "32"},
        {"element": "f64"},
        {"rope": None},
        {"unheard": 1},
        {"tp_size": 3},
        {"attention": {"type": "heads", "kv_heads": 8, "width": 128, "rope_dim": 130}},
        {"attention": {"type": "heads", "kv_heads": 8, "width": 128, "rope_dim": 3}},
        {"attention": {"type": "mamba"}},
    ],
)
def test_a_peers_broken_description_is_refused(change: dict[str, Any]) -> None:
    document = json.dumps(json.loads(encode(gqa(2, 8, 128))) | change)
    with pytest.raises(HandoffError, match="unusable") as caught:
        decode(document)
    assert caught.value.code is Code.KV_LAYOUT


def test_some_layers_are_described_with_their_own_windows_and_groups() -> None:
    whole = msgspec.structs.replace(
        gqa(2, 8, 128), layers=4, windows=(None, 7, 7, None), groups=(0, 2, 2, 1), layout=layouts.NHD
    )
    part = whole.of_layers(range(1, 4))
    assert (part.layers, part.windows, part.groups) == (3, (7, 7, None), (1, 1, 0))
    assert part.block_bytes() == whole.block_bytes()
    everywhere = msgspec.structs.replace(gqa(2, 8, 128), layout=layouts.TOKEN_MAJOR)
    with pytest.raises(ValueError, match="share a region"):
        everywhere.of_layers(range(1))
