"""A seal that is made from vLLM's memory is one that a reader can verify."""

from __future__ import annotations

import numpy as np
import pytest

from runtime.connector.prefilled import Prefilled
from runtime.connector.sealer import LAYOUTS, Sealer, describe
from runtime.handoff.contract import Code, HandoffError
from runtime.handoff.kv import digest
from runtime.handoff.kv.cache import Cache

SHAPE = (6, 3, 32, 128)
"""vLLM's tensor of a layer: blocks, heads, tokens, K and V."""


@pytest.mark.parametrize("kind", LAYOUTS)
def test_a_reader_that_undoes_the_layout_finds_the_digests(kind: tuple[str, str]) -> None:
    description = describe([SHAPE, SHAPE], "torch.bfloat16", kind)
    assert description is not None
    computed = np.random.default_rng(0).integers(0, 2**16, (2, 2, 70, 3, 64), np.uint16)
    memory = Cache.allocate(description, 6, [[4, 1, 5]])
    memory.write(computed)
    regions = [region.view(np.uint8).reshape(6, 3, 32, 256) for region in memory.ranks[0]]
    seal = Sealer(description, regions).seal(Prefilled((4, 1, 5), 70))
    digest.verify(computed, seal, SHAPE[2])
    regions[1][1, 2, 3, 4] ^= 1
    with pytest.raises(HandoffError) as caught:
        digest.verify(memory.read(70), seal, SHAPE[2])
    assert caught.value.code is Code.KV_CORRUPT


def test_a_sealer_sees_what_is_written_later() -> None:
    description = describe([SHAPE], "torch.float16", ("CPU_ATTN", "vec"))
    assert description is not None
    memory = np.zeros((6, 3, 32, 256), np.uint8)
    sealer = Sealer(description, [memory])
    before = sealer.seal(Prefilled((2,), 1))
    memory[2] = 1
    after = sealer.seal(Prefilled((2,), 1))
    assert before.digests != after.digests
    assert before.generation == after.generation == sealer.generation


@pytest.mark.parametrize(
    ("regions", "dtype", "kind"),
    [
        ([SHAPE], "torch.bfloat16", ("NEURON", "vec")),
        ([SHAPE], "torch.float8_e4m3fn", ("CPU_ATTN", "vec")),
        ([SHAPE, (6, 1, 32, 128)], "torch.bfloat16", ("CPU_ATTN", "vec")),
    ],
)
def test_unknown_layouts_are_not_described(regions: list[tuple[int, ...]], dtype: str, kind: tuple[str, str]) -> None:
    assert describe(regions, dtype, kind) is None
