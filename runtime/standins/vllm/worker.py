"""Prefill for a remote decoder, or answer a request whole, with one engine."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from typing import Any

from runtime.handoff.contract import HandoffError
from runtime.handoff.seal import Seal
from runtime.handoff.stream import Telling
from runtime.standins.engine.engine import Engine
from runtime.standins.engine.layer import Half
from runtime.standins.engine.sampling import Sampling
from runtime.standins.engine.tokenizer import Detokenizer
from runtime.standins.vllm.completion import Usage
from runtime.standins.vllm.consumer import Consumer, Source
from runtime.standins.vllm.handover import Handover
from runtime.standins.vllm.kv_pool import KvPool
from runtime.standins.vllm.metrics import Metrics
from runtime.standins.vllm.producer import Producer
from runtime.standins.vllm.protocol import bad_request, failed
from runtime.standins.vllm.turns import Blocks, Turns

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Prefilled:
    """Hold what a prefill request is answered with: the first token's text, and where the KV is."""

    text: str
    finish_reason: str
    usage: Usage
    kv_transfer_params: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Piece:
    """Hold some text of an answer and the usage so far; only the last piece has a ``finish_reason``."""

    text: str
    usage: Usage
    finish_reason: str | None = None
    token_ids: tuple[int, ...] = ()


class Worker:
    """Serve prompts; ``max_model_len`` bounds prompt and answer together, in tokens."""

    def __init__(
        self,
        engine: Engine,
        pool: KvPool,
        turns: Turns,
        metrics: Metrics,
        *,
        max_model_len: int,
        producer: Producer | None,
        consumer: Consumer | None,
    ) -> None:
        self.engine = engine
        self.max_model_len = max_model_len
        self._pool = pool
        self._turns = turns
        self._metrics = metrics
        self._producer = producer
        self._consumer = consumer

    async def prefill(
        self, request_id: str, prompt: list[int], sampling: Sampling, invitation: tuple[str, str] | None
    ) -> Prefilled:
        """Compute the KV of a prompt, keep it under a lease, and sample one token.

        An endpoint whose ``invitation`` came along (``stream.invitation``) is told as layers are written.
        If cancelled, the engine stops within one layer and the blocks are free again.
        """
        if self._producer is None:
            raise bad_request("do_remote_decode is not possible: the server is no kv_producer")
        self.answer_limit(prompt, 1)
        queued = time.monotonic()
        async with self._turns.take(self._pool.blocks_for(len(prompt))) as blocks:
            with ExitStack() as held:
                held.callback(self._turns.free, blocks)
                self._metrics.queue_seconds.observe(time.monotonic() - queued)
                with self._producer.streaming(request_id, blocks, len(prompt), invitation) as telling:
                    tokens, reason, seal = await self._prefill_into(
                        blocks, prompt, sampling, self._producer.generation, telling
                    )
                params = self._producer.lease(request_id, blocks, len(prompt), seal)
                held.pop_all()  # from now on the lease frees them
        self._metrics.answered(reason, prompt_tokens=len(prompt), generation_tokens=len(tokens))
        text = self.engine.tokenizer.decode(tokens)
        return Prefilled(text, reason, Usage(len(prompt), len(tokens)), params)

    async def answer(
        self, prompt: list[int], sampling: Sampling, limit: int | None, source: Source | None = None
    ) -> AsyncGenerator[Piece, None]:
        """Decode, piece by piece, after prefill here or from the KV at ``source``; close or cancel to stop.

        Raise ``RequestError`` where that KV cannot be had, or is another.
        """
        async with self._kept(source):
            async for piece in self._answer(prompt, sampling, self.answer_limit(prompt, limit), source):
                yield piece

    def source(self, params: dict[str, Any] | None) -> Source | None:
        """Return where KV is to be read; raise ``RequestError`` where that is not said, or not possible here."""
        if params is None:
            return None
        if self._consumer is None:
            raise bad_request("do_remote_prefill is not possible: the server is no kv_consumer")
        try:
            return Source.read(params)
        except HandoffError as error:
            raise bad_request(str(error)) from error

    def _kept(self, source: Source | None) -> AbstractAsyncContextManager[None]:
        return self._consumer.wanted(source) if self._consumer and source else nullcontext()

    async def _answer(
        self, prompt: list[int], sampling: Sampling, limit: int, source: Source | None
    ) -> AsyncGenerator[Piece, None]:
        queued = time.monotonic()
        async with self._turns.take(self._pool.blocks_for(len(prompt) + limit)) as blocks:
            with ExitStack() as held:
                held.callback(self._turns.free, blocks)
                self._metrics.queue_seconds.observe(time.monotonic() - queued)
                async for piece in self._decode(prompt, sampling, limit, source):
                    yield piece

    def answer_limit(self, prompt: list[int], limit: int | None) -> int:
        """Return how many tokens to answer with; raise ``RequestError`` where prompt and answer exceed the model."""
        room = self.max_model_len - len(prompt)
        if room < 1:
            raise bad_request(
                f"This model's maximum context length is {self.max_model_len} tokens. However, your request has "
                f"{len(prompt)} input tokens. Please reduce the length of the input messages."
            )
        if limit is not None and limit > room:
            raise bad_request(
                f"'max_tokens' or 'max_completion_tokens' is too large: {limit}. This model's maximum context length "
                f"is {self.max_model_len} tokens and your request has {len(prompt)} input tokens"
            )
        return limit or room

    async def _prefill_into(
        self, blocks: Blocks, prompt: list[int], sampling: Sampling, generation: str, telling: Telling | None
    ) -> tuple[list[int], str, Seal]:
        cache = self.engine.new_cache(len(prompt))
        handover = Handover(self._pool, blocks, cache, telling)
        started = time.monotonic()
        await self._turns.run(
            lambda cancelled: self.engine.prefill(prompt, cache, cancelled=cancelled, wrote=handover.wrote)
        )
        self._metrics.prefill_seconds.observe(time.monotonic() - started)
        seal = handover.seal(generation)
        answer = self.engine.generate(prompt, cache, sampling, max_tokens=1)
        tokens = await self._turns.run(lambda _: list(answer))
        return tokens, answer.finish_reason or "length", seal

    async def _fill(self, cache: Half, prompt: list[int], source: Source | None) -> None:
        if self._consumer and source and await self._read(self._consumer, source, prompt, cache):
            return
        started = time.monotonic()
        await self._turns.run(lambda cancelled: self.engine.prefill(prompt, cache, cancelled=cancelled))
        self._metrics.prefill_seconds.observe(time.monotonic() - started)

    async def _read(self, consumer: Consumer, source: Source, prompt: list[int], cache: Half) -> bool:
        """Tell whether ``cache`` has the prompt's KV; raise ``RequestError`` where it is not to be computed instead."""
        try:
            await consumer.read(source, prompt, cache)
        except HandoffError as error:
            log.warning("KV of %s cannot be used: %s", source.request_id, error)
            if consumer.recomputes:
                return False
            raise failed(f"KV transfer failed: {error}") from error
        return True

    async def _decode(
        self, prompt: list[int], sampling: Sampling, limit: int, source: Source | None
    ) -> AsyncGenerator[Piece, None]:
        cache = self.engine.new_cache(len(prompt) + limit)
        await self._fill(cache, prompt, source)
        generation = self.engine.generate(prompt, cache, sampling, max_tokens=limit)
        text, count = Detokenizer(self.engine.tokenizer), 0
        while (token := await self._turns.run(lambda _: next(generation, None))) is not None:
            count += 1
            yield Piece(text.push(token), Usage(len(prompt), count), token_ids=(token,))
        reason = generation.finish_reason or "length"
        self._metrics.answered(reason, prompt_tokens=len(prompt), generation_tokens=count)
        yield Piece(text.flush(), Usage(len(prompt), count), reason)
