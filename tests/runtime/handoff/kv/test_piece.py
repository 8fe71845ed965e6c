"""Pieces of a plan, put together, are the plan."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.handoff.kv import layout
from runtime.handoff.kv.attention import Heads, Rope
from runtime.handoff.kv.description import Element, KvDescription
from runtime.handoff.kv.layout import Layout
from runtime.handoff.kv.memory import Holding, Integers, Memory
from runtime.handoff.kv.piece import piece
from runtime.handoff.kv.plan import plan

LAYERS = 3
TOKENS = 21
BASE = 10_000


def description(order: Layout, block_size: int) -> KvDescription:
    heads = Heads(kv_heads=2, width=2, rope_dim=2)
    return KvDescription(
        attention=heads, layers=LAYERS, element=Element.F16, rope=Rope.HALF_SPLIT, layout=order, block_size=block_size
    )


def whole(blocks: list[int]) -> Integers:
    paged, engine = description(layout.NHD, 4), description(layout.TOKEN_MAJOR, 32)
    there = Memory(bases=(1000, 4000, 7000), block_strides=(64,) * 3, num_blocks=8)
    here = Memory(bases=(BASE,), block_strides=(engine.block_bytes(),), num_blocks=1)
    producer = Holding(description=paged, memories=(there,), block_ids=(tuple(blocks),))
    (transfer,) = plan(producer, Holding(description=engine, memories=(here,), block_ids=((0,),)), TOKENS).transfers
    return transfer.pairs


def copied(pairs: Integers) -> dict[int, int]:
    moved = [(local + at, remote + at) for local, remote, length in pairs.tolist() for at in range(length)]
    assert len(dict(moved)) == len(moved)
    return dict(moved)


falling = st.lists(st.integers(0, TOKENS), min_size=LAYERS, max_size=LAYERS).map(lambda front: sorted(front)[::-1])


@given(st.permutations(range(8)), st.lists(falling, max_size=4))
def test_pieces_cover_the_plan_once(order: list[int], fronts: list[list[int]]) -> None:
    pairs = whole(order[:6])
    steps = [np.zeros(LAYERS, int), *np.maximum.accumulate(np.array([*fronts, [TOKENS] * LAYERS]))]
    parts = [
        copied(piece(pairs, description(layout.TOKEN_MAJOR, 32), BASE, before, after))
        for before, after in itertools.pairwise(steps)
    ]
    together = {local: remote for part in parts for local, remote in part.items()}
    assert sum(map(len, parts)) == len(together)
    assert together == copied(pairs)


def test_a_piece_is_of_the_tokens_asked_for() -> None:
    engine = description(layout.TOKEN_MAJOR, 32)
    part = piece(whole([0, 1, 2, 3, 4, 5]), engine, BASE, (2, 0, 0), (3, 0, 0))
    assert part[:, 2].tolist() == [8, 8]  # K and V of one token: 2 heads of 2 f16
    assert part[:, 0].tolist() == [BASE + 2 * 8, BASE + 32 * 8 + 2 * 8]
    assert not len(piece(whole([0, 1, 2, 3, 4, 5]), engine, BASE, (3, 0, 0), (3, 0, 0)))


def test_another_layout_has_no_pieces() -> None:
    with pytest.raises(ValueError, match="token-major"):
        piece(whole([0, 1, 2, 3, 4, 5]), description(layout.NHD, 4), BASE, (0,), (1,))
