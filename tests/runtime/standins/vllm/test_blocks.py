"""Never give a block to two holders, and get all of them back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.standins.vllm.blocks import BlockAllocator


@given(st.integers(2, 40), st.lists(st.tuples(st.booleans(), st.integers(0, 12))))
def test_blocks_have_one_holder_and_all_come_back(num_blocks: int, steps: list[tuple[bool, int]]) -> None:
    allocator, held = BlockAllocator(num_blocks), list[tuple[int, ...]]()
    for take, number in steps:
        if take and (blocks := allocator.allocate(number)) is not None:
            held.append(blocks)
        elif not take and held:
            allocator.free(held.pop(number % len(held)))
        given_out = [block for blocks in held for block in blocks]
        assert len(set(given_out)) == len(given_out) == allocator.used
        assert set(given_out) <= set(range(1, num_blocks))
    for blocks in held:
        allocator.free(blocks)
    assert sorted(allocator.allocate(num_blocks - 1) or ()) == list(range(1, num_blocks))


def test_a_full_pool_gives_nothing_at_all() -> None:
    allocator = BlockAllocator(4)
    assert allocator.allocate(4) is None
    assert allocator.used == 0


def test_the_block_freed_last_is_reused_last() -> None:
    allocator = BlockAllocator(4)
    first = allocator.allocate(1) or ()
    allocator.free(first)
    assert (allocator.allocate(3) or ())[-1] == first[0]


@pytest.mark.parametrize("blocks", [(1,), (0,), (99,)])
def test_freeing_what_is_not_given_out_is_an_error(blocks: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="not given out"):
        BlockAllocator(4).free(blocks)


def test_a_pool_needs_more_than_the_null_block() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        BlockAllocator(1)
