"""One real engine for the whole run, and a tiny one with made weights for the mathematics."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from runtime.standins.engine.chat_template import ChatTemplate
from runtime.standins.engine.engine import Engine
from runtime.standins.engine.tokenizer import Tokenizer
from runtime.standins.engine.weights import Floats, Geometry, Layer, Weights

GEOMETRY = Geometry(layers=3, kv_heads=2, head_dim=8, context=512, vocabulary=94)
HEADS, WIDTH, INNER = 6, 40, 56


@pytest.fixture(scope="session")
def engine() -> Engine:
    return Engine.load()


@pytest.fixture(scope="session")
def weights() -> Weights:
    random = np.random.default_rng(7)

    def matrix(outputs: int, inputs: int) -> Floats:
        return random.standard_normal((outputs, inputs), np.float32) / np.float32(inputs**0.5)

    def vector() -> Floats:
        return random.uniform(0.5, 1.5, WIDTH).astype(np.float32)

    def layer() -> Layer:
        return Layer(
            attention_norm=vector(),
            qkv=matrix((HEADS + 2 * GEOMETRY.kv_heads) * GEOMETRY.head_dim, WIDTH),
            output=matrix(WIDTH, HEADS * GEOMETRY.head_dim),
            mlp_norm=vector(),
            gate_up=matrix(2 * INNER, WIDTH),
            down=matrix(WIDTH, INNER),
        )

    return Weights(
        geometry=GEOMETRY,
        heads=HEADS,
        rope_theta=1e4,
        epsilon=1e-5,
        embedding=matrix(GEOMETRY.vocabulary, WIDTH),
        layers=tuple(layer() for _ in range(GEOMETRY.layers)),
        final_norm=vector(),
    )


@pytest.fixture(scope="session")
def tiny(weights: Weights) -> Callable[[int], Engine]:
    """Return a function from a thread count to an engine whose tokens are the characters from "!" to "~"."""
    characters = [chr(code) for code in range(ord("!"), ord("~") + 1)]
    tokenizer = Tokenizer(characters, [], control=frozenset(), stop_ids=frozenset(), template=ChatTemplate(""))
    return lambda threads: Engine(weights, tokenizer, ThreadPoolExecutor(threads))
