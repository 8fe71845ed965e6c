"""Hand a prompt's KV over as the engine writes it: into blocks, into digests, into what readers are told."""

from __future__ import annotations

from runtime.handoff.kv.digest import Digester
from runtime.handoff.seal import Seal
from runtime.handoff.stream import Telling
from runtime.standins.engine.engine import CHUNK
from runtime.standins.engine.layer import Half
from runtime.standins.engine.model_file import MODEL_DIGEST
from runtime.standins.vllm.kv_pool import KvPool

DIGEST_TOKENS = CHUNK
"""Tokens digested together: those that one thread of the engine writes, 48 KB of a layer's K or V."""


class Handover:
    """Follow one prefill; ``telling`` is None where no reader is told before it has ended.

    Digests are of the engine's cache, and taken before the blocks are written: so they cover them too.
    """

    def __init__(self, pool: KvPool, blocks: tuple[int, ...], cache: Half, telling: Telling | None) -> None:
        self._pool, self._blocks, self._cache, self._telling = pool, blocks, cache, telling
        layers, halves, _, tokens, *vector = cache.shape
        self._digester = Digester((layers, halves, tokens, *vector), cache.dtype, DIGEST_TOKENS, pool.block_size)

    def wrote(self, layer: int, tokens: slice) -> None:
        """Take what the engine has written of a layer; called in its threads."""
        self._digester.advance(tokens.start // DIGEST_TOKENS, self._cache[layer : layer + 1])
        self._pool.write(self._blocks, layer, self._cache[layer, :, 0, tokens], tokens.start)
        if self._telling:
            self._telling.wrote(layer, tokens.stop)

    def seal(self, generation: str) -> Seal:
        """Return what to say of the KV, once all is written."""
        return Seal(
            generation=generation,
            model_digest=MODEL_DIGEST,
            block_tokens=DIGEST_TOKENS,
            digests=self._digester.digests(),
        )
