"""What is remembered of each peer's prompts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runtime.gateway.routing.prefix import BLOCK_BYTES, PrefixIndex, block_hashes

BLOCKS = st.lists(st.integers(0, 50), max_size=20, unique=True)


@given(st.binary(max_size=4 * BLOCK_BYTES), st.binary(max_size=BLOCK_BYTES), st.binary(max_size=BLOCK_BYTES))
def test_equal_hashes_mean_equal_prefixes(shared: bytes, first: bytes, second: bytes) -> None:
    one, other = block_hashes(shared + first), block_hashes(shared + second)
    whole = len(shared) // BLOCK_BYTES
    assert one[:whole] == other[:whole]
    for index, (left, right) in enumerate(zip(one, other, strict=False)):
        end = (index + 1) * BLOCK_BYTES
        assert (left == right) == ((shared + first)[:end] == (shared + second)[:end])


def test_the_same_block_behind_another_prefix_is_another() -> None:
    block = b"x" * BLOCK_BYTES
    first, second = block_hashes(block + block)
    assert first != second


@given(BLOCKS, BLOCKS)
def test_overlap_is_the_common_beginning(given_before: list[int], asked: list[int]) -> None:
    index: PrefixIndex[str] = PrefixIndex()
    index.record("a", given_before)
    expected = next((n for n, block in enumerate(asked) if block not in given_before), len(asked))
    assert index.overlap("a", asked) == expected
    assert index.overlap("b", asked) == 0


@given(st.lists(BLOCKS, max_size=30))
def test_memory_is_bounded_and_the_last_beginning_is_known(prompts: list[list[int]]) -> None:
    index: PrefixIndex[str] = PrefixIndex(capacity=8)
    for prompt in prompts:
        index.record("a", prompt)
        assert index.overlap("a", range(51)) <= 8
        assert index.overlap("a", prompt) == min(8, len(prompt))


def test_who_left_is_forgotten() -> None:
    index: PrefixIndex[str] = PrefixIndex()
    for peer in ("a", "b"):
        index.record(peer, [1, 2])
    index.keep(["b"])
    assert (index.overlap("a", [1, 2]), index.overlap("b", [1, 2])) == (0, 2)
