"""Merge ranges that touch, and cut long ones."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runtime.handoff.transport.agent import Pairs, cut, merge

blocks = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=20)


@given(blocks)
def test_merging_copies_the_same_bytes(numbers: list[tuple[int, int]]) -> None:
    pairs = [(local * 16, 1000 + remote * 16, 16) for local, remote in numbers]
    assert _bytes(merge(pairs)) == _bytes(pairs)


def test_merging_joins_only_what_touches_on_both_sides() -> None:
    assert merge([(0, 100, 8), (8, 108, 8), (16, 200, 8), (24, 208, 4)]).tolist() == [[0, 100, 16], [16, 200, 12]]


@given(blocks, st.integers(1, 50))
def test_cutting_copies_the_same_bytes_in_order_and_none_longer(numbers: list[tuple[int, int]], limit: int) -> None:
    ranges = merge([(local * 16, 1000 + remote * 16, 16) for local, remote in numbers])
    pieces = cut(ranges, limit)
    assert _bytes(pieces) == _bytes(ranges)
    assert all(0 < length <= limit for _, _, length in pieces)
    assert len(pieces) == sum(-(-length // limit) for _, _, length in ranges)


def _bytes(pairs: Pairs) -> list[tuple[int, int]]:
    return [(local + i, remote + i) for local, remote, length in pairs for i in range(length)]
