"""Hold the fast forward pass against a slow one, token by token and head by head in float64."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain, repeat
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from threadpoolctl import threadpool_info

from runtime.standins.engine.engine import Cancelled, Engine
from runtime.standins.engine.layer import Half, attend, widen
from runtime.standins.engine.sampling import Sampling
from runtime.standins.engine.weights import Floats, Weights
from tests.patience import HUNG_SECONDS

TOKENS = np.random.default_rng(3).integers(0, 94, 300).tolist()  # three chunks


def assert_close(actual: NDArray[Any], expected: NDArray[Any]) -> None:
    np.testing.assert_allclose(actual, expected, rtol=0, atol=0.01)  # K and V may round to f16 either way


def reference_logits(weights: Weights, tokens: list[int]) -> NDArray[np.float64]:
    """Return the logits after the last token."""
    cache: list[tuple[list[Any], list[Any]]] = [([], []) for _ in weights.layers]
    x = np.empty(0)
    for position, token in enumerate(tokens):
        x = weights.embedding[token].astype(np.float64)
        for layer, (keys, values) in zip(weights.layers, cache, strict=True):
            x = x + reference_attention(weights, layer, x, position, keys, values)
            gate, up = np.split(layer.gate_up @ norm(x, layer.mlp_norm), 2)
            x = x + layer.down @ (gate / (1 + np.exp(-gate)) * up)
    return np.asarray(weights.embedding @ norm(x, weights.final_norm))


def reference_attention(
    weights: Weights, layer: Any, x: NDArray[Any], position: int, keys: list[Any], values: list[Any]
) -> NDArray[Any]:
    heads, kv_heads, size = weights.heads, weights.geometry.kv_heads, weights.geometry.head_dim
    qkv = (layer.qkv @ norm(x, layer.attention_norm)).reshape(-1, size)
    keys.append(np.stack([turn(head, position) for head in qkv[heads : heads + kv_heads]]).astype(np.float16))
    values.append(qkv[heads + kv_heads :].astype(np.float16))
    mixed = []
    for number, query in enumerate(qkv[:heads]):
        shared = number // (heads // kv_heads)
        scores = np.array([turn(query, position) @ key[shared].astype(float) for key in keys]) / np.sqrt(size)
        share = np.exp(scores) / np.exp(scores).sum()
        mixed.append(sum(part * value[shared].astype(float) for part, value in zip(share, values, strict=True)))
    return np.asarray(layer.output @ np.concatenate(mixed))


def turn(head: NDArray[Any], position: int) -> NDArray[Any]:
    """Rotate by RoPE, each pair as a complex number."""
    half = len(head) // 2
    angles = position * 1e4 ** (-np.arange(half) / half)
    turned = (head[:half] + 1j * head[half:]) * np.exp(1j * angles)
    return np.concatenate([turned.real, turned.imag])


def norm(x: NDArray[Any], weight: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(x / np.sqrt(np.mean(x**2) + 1e-5) * weight)


def test_prefill_and_step_equal_the_reference(tiny: Callable[[int], Engine], weights: Weights) -> None:
    engine = tiny(2)
    cache = engine.new_cache(200)
    engine.prefill(TOKENS[:199], cache)
    assert_close(engine.step(TOKENS[199], 199, cache), reference_logits(weights, TOKENS[:200]))


def test_recomputing_the_last_prompt_token_changes_nothing_but_rounding(tiny: Callable[[int], Engine]) -> None:
    engine = tiny(2)
    cache = engine.new_cache(300)
    engine.prefill(TOKENS, cache)
    prefilled = cache.copy()
    engine.step(TOKENS[-1], 299, cache)
    np.testing.assert_array_equal(cache[:, :, 0, :299], prefilled[:, :, 0, :299])
    assert_close(cache[:, :, 0, 299], prefilled[:, :, 0, 299])


@pytest.mark.parametrize("chunk", [1, 7, 299, 512])
def test_any_chunk_size_gives_the_same_cache(
    tiny: Callable[[int], Engine], monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    engine = tiny(2)
    expected, other = engine.new_cache(300), engine.new_cache(300)
    engine.prefill(TOKENS, expected)
    monkeypatch.setattr("runtime.standins.engine.engine.CHUNK", chunk)
    engine.prefill(TOKENS, other)
    assert_close(other, expected)


def test_the_thread_count_changes_no_bit(tiny: Callable[[int], Engine]) -> None:
    caches = []
    for threads in (1, 2, 3):
        engine = tiny(threads)
        caches.append(engine.new_cache(300))
        engine.prefill(TOKENS, caches[-1])
    assert caches[0].tobytes() == caches[1].tobytes() == caches[2].tobytes()


def test_prefills_share_an_engine(tiny: Callable[[int], Engine]) -> None:
    engine = tiny(2)
    caches = [engine.new_cache(300) for _ in range(4)]
    with ThreadPoolExecutor(4) as callers:
        list(callers.map(partial(engine.prefill, TOKENS), caches, timeout=HUNG_SECONDS))
    assert len({cache.tobytes() for cache in caches}) == 1
    assert caches[0][:, :, 0, 299].any()


def test_a_moved_cache_gives_identical_tokens(tiny: Callable[[int], Engine]) -> None:
    engine = tiny(2)
    cache = engine.new_cache(340)
    engine.prefill(TOKENS, cache)
    moved = engine.new_cache(400)
    moved[:, :, 0, :300] = np.frombuffer(cache[:, :, 0, :300].tobytes(), np.float16).reshape(3, 2, 300, 2, 8)
    here, there = (list(engine.generate(TOKENS, kv, Sampling(), max_tokens=40)) for kv in (cache, moved))
    assert here == there
    assert len(here) == 40


@pytest.mark.parametrize("block_size", [1, 32, 50, 128, 1000])
def test_blocks_of_any_size_give_identical_tokens_and_kv(tiny: Callable[[int], Engine], block_size: int) -> None:
    engine = tiny(2)
    whole, paged = engine.new_cache(340), engine.new_cache(340, block_size=block_size)
    for cache in (whole, paged):
        engine.prefill(TOKENS, cache)
    here, there = (list(engine.generate(TOKENS, kv, Sampling(), max_tokens=40)) for kv in (whole, paged))
    assert here == there
    np.testing.assert_array_equal(paged.reshape(3, 2, -1, 2, 8)[:, :, :339], whole[:, :, 0, :339])


def test_a_cancelled_prefill_ends_before_its_next_layer(tiny: Callable[[int], Engine]) -> None:
    engine = tiny(1)
    cache = engine.new_cache(300)
    answers = chain([False], repeat(True))
    told: list[int] = []
    with pytest.raises(Cancelled):
        engine.prefill(TOKENS, cache, cancelled=lambda: next(answers), wrote=lambda layer, _: told.append(layer))
    assert told == [0]
    assert cache[0, :, 0, :128].any()
    assert not cache[2].any()
    engine.prefill(TOKENS, cache)  # and leaves the engine fit for work
    assert cache[:, :, 0, 299].any()


def test_a_failed_chunk_ends_the_prefill(tiny: Callable[[int], Engine], monkeypatch: pytest.MonkeyPatch) -> None:
    def attend_later(queries: Floats, kv: Half, positions: int) -> Floats:
        if positions == len(queries):
            raise MemoryError("no room for the first chunk")
        return attend(queries, kv, positions)

    engine = tiny(2)
    monkeypatch.setattr("runtime.standins.engine.engine.attend", attend_later)
    with pytest.raises(MemoryError, match="no room"):  # and the chunks that wait for it end too
        engine.prefill(TOKENS, engine.new_cache(300))


def test_blas_is_held_to_one_thread(tiny: Callable[[int], Engine]) -> None:
    tiny(2)
    assert {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"} == {1}


def test_widen_is_exact_for_every_finite_f16() -> None:
    every = np.arange(2**16, dtype=np.uint16).view(np.float16)
    finite = every[np.isfinite(every)]
    assert widen(finite).tobytes() == finite.astype(np.float32).tobytes()


@pytest.mark.parametrize(
    ("tokens", "message"),
    [([], "at least one token"), ([94], "allowed is 0 to 93"), ([-1], "allowed is 0 to 93"), ([0] * 9, "holds 8")],
)
def test_prefill_refuses_tokens_it_cannot_take(tiny: Callable[[int], Engine], tokens: list[int], message: str) -> None:
    engine = tiny(1)
    with pytest.raises(ValueError, match=message):
        engine.prefill(tokens, engine.new_cache(8))


def test_a_foreign_cache_is_refused(tiny: Callable[[int], Engine]) -> None:
    engine = tiny(1)
    cache = engine.new_cache(8)
    foreigners: list[NDArray[Any]] = [cache.astype(np.float32), cache[:2], cache[0], cache.swapaxes(3, 4)]
    for foreign in foreigners:
        with pytest.raises(ValueError, match="must be one that new_cache made"):
            engine.step(0, 0, foreign)
    for position in (-1, 8):
        with pytest.raises(ValueError, match="the cache holds 8"):
            engine.step(0, position, cache)
    with pytest.raises(ValueError, match="allowed is 1 to 512"):
        engine.new_cache(513)
