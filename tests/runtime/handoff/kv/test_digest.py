"""Digests tell equal KV from any other, whatever layout it came by."""

from __future__ import annotations

import numpy as np
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from runtime.handoff.contract import Code, HandoffError
from runtime.handoff.kv.digest import PIECE_BYTES, Digester, block_tokens, digests, verify
from runtime.handoff.kv.element import Stored
from runtime.handoff.seal import DIGEST_BYTES, Seal

SHAPE = (3, 2, 40, 2, 8)
SIZE = 16
BLOCK = 8


def some_kv() -> Stored:
    kv: Stored = np.random.default_rng(1).integers(0, 2**16, SHAPE, np.uint16).view(np.float16)
    return kv


def seal(kv: Stored) -> Seal:
    return Seal(generation="g", model_digest="", block_tokens=SIZE, digests=digests(kv, SIZE, BLOCK))


@given(layer=st.integers(0, 2), half=st.integers(0, 1), token=st.integers(0, 39), bit=st.integers(0, 255))
def test_any_flipped_bit_is_found_and_its_block_named(layer: int, half: int, token: int, bit: int) -> None:
    kv = some_kv()
    stated = seal(kv)
    verify(kv, stated, BLOCK)
    kv[layer, half, token].view(np.uint8).reshape(-1)[bit // 8] ^= 1 << bit % 8
    with pytest.raises(HandoffError, match=f"1 of 3 blocks of 16 tokens .* block {token // SIZE}:") as refused:
        verify(kv, stated, BLOCK)
    assert refused.value.code is Code.KV_CORRUPT


def test_blocks_in_another_order_are_found() -> None:
    kv = some_kv()
    stated = seal(kv)
    kv[:, :, :32] = np.roll(kv[:, :, :32], 16, axis=2)
    with pytest.raises(HandoffError, match="2 of 3 blocks"):
        verify(kv, stated, BLOCK)


def test_equal_blocks_at_other_places_have_other_digests() -> None:
    kv = np.zeros(SHAPE, np.float16)
    parts = digests(kv, SIZE, BLOCK)
    assert len({parts[at : at + DIGEST_BYTES] for at in range(0, len(parts), DIGEST_BYTES)}) == 3


def test_the_same_bits_of_another_element_are_found() -> None:
    """The handshake does not tell bf16 from f16; the digests do."""
    kv = some_kv()
    with pytest.raises(HandoffError, match="3 of 3 blocks"):
        verify(kv.view(np.uint16), seal(kv), BLOCK)


def test_fewer_tokens_are_found() -> None:
    kv = some_kv()
    for tokens in (39, 32, 1):
        with pytest.raises(HandoffError):
            verify(kv[:, :, :tokens], seal(kv), BLOCK)


def test_layout_does_not_matter() -> None:
    kv = some_kv()
    head_major = np.ascontiguousarray(kv.swapaxes(2, 3)).swapaxes(2, 3)
    assert not head_major.flags.c_contiguous
    verify(head_major, seal(kv), BLOCK)
    longer = np.zeros((3, 2, 100, 2, 8), np.float16)
    longer[:, :, :40] = kv
    verify(longer[:, :, :40], seal(kv), BLOCK)


def test_is_what_the_documentation_says() -> None:
    kv = some_kv()
    header = b"<f2 3 2 2 8 16 32"
    layers = [kv[layer, :, start : start + BLOCK].tobytes() for layer in range(3) for start in (16, 24)]
    assert digests(kv, SIZE, BLOCK)[8:16] == xxhash.xxh3_64(header + b"".join(layers)).digest()


@given(page=st.integers(1, 45), size=st.integers(1, 45), block=st.integers(1, 45), nhd=st.booleans())
def test_paged_kv_has_the_digests_of_canonical_kv(page: int, size: int, block: int, nhd: bool) -> None:
    pages = -(-40 // page)
    memory = np.zeros((3, pages, 2, page, 2, 8), np.float16).swapaxes(1, 2)
    paged = memory if nhd else np.ascontiguousarray(memory)
    canonical = np.zeros((3, 2, pages * page, 2, 8), np.float16)
    canonical[:, :, :40] = some_kv()
    paged[:] = canonical.reshape(paged.shape)
    digester = Digester(SHAPE, paged.dtype, size, block)
    digester.advance_all(paged[:1])
    digester.advance_all(paged[1:])
    assert digester.digests() == digests(some_kv(), size, block)


@given(token_bytes=st.integers(1, 2**17), block_size=st.integers(1, 256))
def test_blocks_are_worth_the_call(token_bytes: int, block_size: int) -> None:
    size = block_tokens(token_bytes, block_size=block_size)
    assert size % block_size == 0
    assert size * token_bytes >= PIECE_BYTES
    assert size == block_size or (size - block_size) * token_bytes < PIECE_BYTES


@given(st.lists(st.integers(0, 11), max_size=8))
def test_kv_digested_as_it_comes_has_the_same_digests(steps: list[int]) -> None:
    kv = np.random.default_rng(1).integers(0, 2**16, (3, 2, 11, 2, 4), np.uint16)
    digester = Digester(kv.shape, kv.dtype, 4, 2)
    for step in sorted(steps):
        digester.advance_to((step, step // 2, step // 3), kv[:, :, None])
    with pytest.raises(RuntimeError, match="not up to 3"):
        digester.digests()
    digester.advance_to((11, 11, 11), kv[:, :, None])
    assert digester.digests() == digests(kv, 4, 2)
